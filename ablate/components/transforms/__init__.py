"""Batched transforms: `(images, generator) -> images`, with a draw of its own for every image.

Images are uint8 or float32 `[N, C, H, W]`. torchvision's own transforms draw once a batch; these group the images of a large
chunk by what was drawn for them and call torchvision's functional kernels once a group.
"""

from collections.abc import Callable

from torch import Generator, Tensor

Transform = Callable[[Tensor, Generator], Tensor]


def deterministic(transform: Transform) -> Transform:
    """Marks a transform that draws nothing: the engine may apply it to any part of a chunk."""
    transform.deterministic = True  # type: ignore[attr-defined]
    return transform


def photometric(transform: Transform) -> Transform:
    """Marks a transform that leaves every pixel where it is: masks stay as they are beside what it makes of the images."""
    transform.photometric = True  # type: ignore[attr-defined]
    return transform


def moves_masks(transform: Transform, on_masks: Transform) -> Transform:
    """Says how a transform moves the masks of its images, which get what the method `with_masks(images, masks, generator)` gives.

    Args:
        transform: Of the images.
        on_masks: Of the masks, as images of one channel, int64 `[N, 1, H, W]`: 0 where a pixel does not count, and the classes
            from 1 on. It moves them as `transform` does, taking nearest pixels; its generator draws what that of the images drew.
    """

    def with_masks(images: Tensor, masks: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
        again = None if generator is None else Generator(generator.device).set_state(generator.get_state())
        return transform(images, generator), on_masks(masks, again)  # type: ignore[arg-type]

    transform.with_masks = with_masks  # type: ignore[attr-defined]
    return transform


def fixes_size(transform: Transform) -> Transform:
    """Marks a transform after which all images have one size, whatever comes in.

    The engine gives it photographs one at a time, from other threads: it draws from its generator, and touches nothing global.
    """
    transform.fixes_size = True  # type: ignore[attr-defined]
    return transform
