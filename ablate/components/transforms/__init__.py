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
