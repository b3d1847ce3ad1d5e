"""Images that say where each of their pixels was, and masks that say the same: what a transform moves, it moves in both alike."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor

from ablate.engine.masks import together

from .randomness import REMEDY

APART = 1.5  # pixels of what comes in or comes out, whichever are larger: smoothed pixels lie between two nearest ones
ALIKE = 0.9  # of the pixels of all images; at borders, smoothed ones are mixed with what is filled in
LEAST = 0.2  # of the pixels have to have come from somewhere


def patterns(count: int, height: int, width: int) -> Iterator[tuple[str, Tensor]]:
    """Masks int64 `[N, 1, H, W]` from 1 on: the row of each pixel, its column, and the number of its image."""
    rows, columns, numbers = (torch.arange(1, length + 1) for length in (height, width, count))
    yield "row", rows[:, None].expand(count, 1, height, width)
    yield "column", columns.expand(count, 1, height, width)
    yield "image", numbers[:, None, None, None].expand(count, 1, height, width)


def shown(masks: Tensor, channels: int, dtype: str) -> tuple[Tensor, float]:
    """Images of masks, and how much brighter each number is than the one before."""
    step = 255 // int(masks.max())
    images = (masks * step).expand(-1, channels, -1, -1).to(torch.uint8)
    return (images, step) if dtype == "uint8" else (images.float() / 255, step / 255)


def mistake(transform: Any, shape: tuple[int, int, int], dtype: str, count: int, seed: int, recolors: bool) -> str:
    """In what masks do not move as their images do, in words; empty where they do."""
    channels, height, width = shape
    for name, masks in patterns(count, height, width):
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
        scale = max(1.0, height / made.shape[2], width / made.shape[3]) if name != "image" else 1.0
        apart = (made.float().mean(1, keepdim=True) / step - moved).abs()[moved > 0]
        alike = (apart <= (APART * scale if name != "image" else 0.1)).float().mean()
        if alike < ALIKE:
            return (
                f"where each pixel is its {name}, images and masks agree in {100 * alike:.0f} % of the pixels: move masks by the "
                "same draws, such as by `moves_masks`. Or set `recolors`, where it changes colours, too."
            )
    return ""


def _draws(transform: Any, seed: int) -> Generator | None:
    return None if getattr(transform, "deterministic", False) else Generator().manual_seed(seed)
