"""Images that say where each of their pixels was, and masks that say the same: what a transform moves, it moves in both alike."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from ablate.engine.masks import together

from .randomness import REMEDY

LEVELS = 127  # of a uint8 image that are odd
APART = 1.5  # pixels of what comes in or comes out, whichever are larger: smoothed pixels lie between two nearest ones
ALIKE = 0.8  # of the pixels of all images; at borders, smoothed ones are mixed with what is filled in, and small images have many
LEAST = 0.2  # of the pixels have to have come from somewhere


def patterns(count: int, height: int, width: int) -> Iterator[tuple[str, Tensor, float]]:
    """Masks int64 `[N, 1, H, W]` of the row of each pixel, its column, or the number of its image; how far images may be off.

    Numbers are odd, so that the mean of two neighbours is none.
    """
    for name, length in (("row", height), ("column", width), ("image", count)):
        alike = -(-length // LEVELS)  # pixels that have one number
        numbers = torch.arange(length) // alike * 2 + 1
        form = {"row": (1, 1, -1, 1), "column": (1, 1, 1, -1), "image": (-1, 1, 1, 1)}[name]
        apart = 0.1 if name == "image" else 2 * (APART + alike - 1) / alike
        yield name, numbers.view(form).expand(count, 1, height, width), apart


def shown(masks: Tensor, channels: int, dtype: str) -> tuple[Tensor, float]:
    """Images of masks, and how much brighter each number is than the one before."""
    step = 255 // int(masks.max())
    images = (masks * step).expand(-1, channels, -1, -1).to(torch.uint8)
    return (images, step) if dtype == "uint8" else (images.float() / 255, step / 255)


def mistake(transform: Any, shape: tuple[int, int, int], dtype: str, count: int, seed: int, recolors: bool) -> str:
    """In what masks do not move as their images do, in words; empty where they do."""
    channels, height, width = shape
    for name, masks, most in patterns(count, height, width):
        images, step = shown(masks, channels, dtype)
        made, moved = together(transform, images, masks, _draws(transform, seed))
        if hasattr(transform, "mix"):
            alone = transform.mix(images, torch.eye(count), _draws(transform, seed))[0]
        else:
            alone = transform(images, _draws(transform, seed))
        if not torch.equal(made, alone):
            return f"beside masks, images become others than without: draw the same in the same order. {REMEDY}"
        if not set(moved.unique().tolist()) <= {0, *masks.unique().tolist()}:
            return "masks get classes that they did not have: take the nearest pixel, and fill with 0."
        if (moved > 0).float().mean() < LEAST:
            lost = 100 * (moved == 0).float().mean()
            return f"{lost:.0f} % of the pixels of masks do not count: fill only what comes from outside."
        if recolors or getattr(transform, "photometric", False):
            continue
        scale = max(1.0, height / made.shape[2], width / made.shape[3])
        apart = (made.float().mean(1, keepdim=True) / step - moved).abs()[moved > 0]
        alike = (apart <= most * scale).float().mean()
        if alike < ALIKE:
            return (
                f"where each pixel is its {name}, images and masks agree in {100 * alike:.0f} % of the pixels: move masks by the "
                "same draws, such as by `moves_masks`. Or set `recolors`, where it changes colours, too."
            )
    return ""


def _draws(transform: Any, seed: int) -> Generator | None:
    return None if getattr(transform, "deterministic", False) else Generator().manual_seed(seed)
