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
    """Marks a transform that leaves every pixel where it is: masks stay right beside what it makes of the images."""
    transform.photometric = True  # type: ignore[attr-defined]
    return transform


def fixes_size(transform: Transform) -> Transform:
    """Marks a transform after which all images have one size, whatever comes in.

    The engine gives it photographs one at a time, from other threads: it draws from its generator, and touches nothing global.
    """
    transform.fixes_size = True  # type: ignore[attr-defined]
    return transform
