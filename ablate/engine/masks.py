"""Masks that go through transforms with their images, moved by the same draws.

Transforms get masks as images of one channel, int64 `[N, 1, H, W]`: 0 where a pixel does not count, and the classes from 1 on.
So what a transform fills with 0 does not count.
"""

from typing import Any

import torch
from torch import Generator, Tensor

from ablate.contracts import IGNORED

UNKNOWN = (
    "it may move pixels or mix images, and does not say how masks go along. Take another one, or do it in the dataset, to images "
    "and masks alike; a transform of your own says it by `moves_masks`, or is marked as `photometric`"
)


def knows_masks(transform: Any) -> bool:
    """Whether a transform says what becomes of the masks of its images."""
    return hasattr(transform, "with_masks") or stays(transform)


def stays(transform: Any) -> bool:
    """Whether a transform leaves masks as they are."""
    return bool(getattr(transform, "photometric", False))


def together(transform: Any, images: Tensor, masks: Tensor, draws: Generator | None) -> tuple[Tensor, Tensor]:
    """What a transform makes of images and of their masks.

    Args:
        transform: Any that does not mix labels.
        images: `[N, C, H, W]`.
        masks: int64 `[N, 1, H, W]`, 0 where a pixel does not count.
        draws: What it draws from.

    Raises:
        ValueError: It does not say what becomes of masks, or makes of them what cannot be theirs.
        TypeError: It does not give masks.
    """
    if stays(transform):
        changed = transform(images, draws)
        if changed.shape[2:] != masks.shape[2:]:
            raise ValueError("it is marked as `photometric` and changes the size of images: say by `moves_masks` how masks move")
        return changed, masks
    if not knows_masks(transform):
        raise ValueError(UNKNOWN)
    low, high = masks.amin(), masks.amax()
    images, moved = transform.with_masks(images, masks, draws)
    expected = (len(masks), 1, *images.shape[2:])
    if not isinstance(moved, Tensor) or moved.dtype != torch.int64 or tuple(moved.shape) != expected:
        form = f"{moved.dtype} {list(moved.shape)}" if isinstance(moved, Tensor) else f"a {type(moved).__name__}"
        raise TypeError(f"makes masks that are {form} beside images of {list(images.shape)}: give int64 {list(expected)}")
    if ((moved < low) & (moved != 0)).any() or (moved > high).any():
        raise ValueError("makes masks with classes that none of them had: take the nearest pixel, and fill with 0")
    return images, moved


def as_images(masks: Tensor) -> Tensor:
    """Masks `[N, H, W]` of classes from 0 on as transforms get them."""
    return torch.where(masks == IGNORED, 0, masks + 1)[:, None]


def as_labels(masks: Tensor) -> Tensor:
    """The opposite of `as_images`."""
    return torch.where(masks == 0, IGNORED, masks - 1)[:, 0]
