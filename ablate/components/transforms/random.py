"""Random transforms that torch alone can do, and what the others draw with."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

from ablate.engine.masks import together
from ablate.registry.params import Nested, NonNegative, NonNegativeInt, Positive, PositiveInt, Unit

from . import Transform, fixes_size, moves_masks, photometric

ERASING_ATTEMPTS = 10  # as torchvision's RandomErasing
LARGE = 1 << 15  # numbers of an image from which on the processor flips it by itself: indexing takes four times as long


def rand(count: int, generator: Generator, device: torch.device) -> Tensor:
    """Uniform numbers in [0, 1), drawn where the generator is and moved to where the images are."""
    return torch.rand(count, generator=generator, device=generator.device).to(device)


def randint(high: int, count: int, generator: Generator, device: torch.device) -> Tensor:
    """Uniform whole numbers in [0, high)."""
    return torch.randint(high, (count,), generator=generator, device=generator.device).to(device)


def groups(codes: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each distinct code with the indices that have it, in rising order of the codes."""
    order = torch.argsort(codes, stable=True)
    values, counts = torch.unique_consecutive(codes[order], return_counts=True)
    yield from zip(values.tolist(), order.split(counts.tolist()), strict=True)


def random_horizontal_flip(*, p: Unit = 0.5) -> Transform:
    """Mirrors images left to right.

    Args:
        p: Probability for each image.
    """
    return _flip(-1, p)


def random_vertical_flip(*, p: Unit = 0.5) -> Transform:
    """Turns images upside down, as a mirror below them does.

    Args:
        p: Probability for each image.
    """
    return _flip(-2, p)


def _flip(dimension: int, p: float) -> Transform:
    def apply(images: Tensor, generator: Generator) -> Tensor:
        chosen = (rand(len(images), generator, images.device) < p).nonzero().squeeze(1)
        flipped = images.clone()  # in the memory format that they have, which `index_copy` would change
        if images.device.type == "cpu" and images[0].numel() >= LARGE:
            for place in chosen.tolist():
                flipped[place : place + 1] = images[place : place + 1].flip(dimension)
        else:
            flipped[chosen] = images[chosen].flip(dimension)
        return flipped

    return moves_masks(apply, apply)


def random_crop(*, size: tuple[PositiveInt, PositiveInt] | PositiveInt, padding: NonNegativeInt = 0) -> Transform:
    """A part of each image at a random place.

    Args:
        size: Height and width, or one number for both.
        padding: Pixels of 0 that are added on each side first; masks do not count there.
    """
    height, width = (size, size) if isinstance(size, int) else size

    def apply(images: Tensor, generator: Generator) -> Tensor:
        if padding:
            images = pad(images, [padding] * 4)
        rows, columns = images.shape[2] - height, images.shape[3] - width
        if rows < 0 or columns < 0:
            raise ValueError(f"images of {images.shape[2]}×{images.shape[3]} are smaller than the crop of {height}×{width}")
        for dimension, spare, length in ((2, rows, height), (3, columns, width)):
            starts = randint(spare + 1, len(images), generator, images.device)
            shape = list(images.shape)
            shape[dimension] = length
            cropped = images.new_empty(shape)
            for start, chosen in groups(starts):
                cropped[chosen] = images[chosen].narrow(dimension, start, length)
            images = cropped
        return images

    return fixes_size(moves_masks(apply, apply))


def random_rotation(*, degrees: NonNegative, interpolation: Literal["nearest", "bilinear"] = "nearest") -> Transform:
    """Rotates each image around its middle; what comes in from outside is 0, and masks do not count there.

    Args:
        degrees: Angles are uniform in [-degrees, degrees].
        interpolation: How pixels between pixels are found.
    """

    def apply(images: Tensor, generator: Generator, mode: Literal["nearest", "bilinear"] = interpolation) -> Tensor:
        angles = (rand(len(images), generator, images.device) * 2 - 1) * math.radians(degrees)
        height, width = images.shape[2:]
        cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
        rows = [[cos, -sin * height / width, zero], [sin * width / height, cos, zero]]
        theta = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
        grid = affine_grid(theta, list(images.shape), align_corners=False)
        rotated = grid_sample(images.float(), grid, mode=mode, align_corners=False)
        return rotated if images.is_floating_point() else rotated.round_().to(images.dtype)

    return moves_masks(apply, partial(apply, mode="nearest"))


def random_erasing(
    *,
    p: Unit = 0.5,
    scale: tuple[Positive, Positive] = (0.02, 0.33),
    ratio: tuple[Positive, Positive] = (0.3, 3.3),
    value: float | Literal["random"] = 0,
) -> Transform:
    """Overwrites a rectangle of each image (Zhong et al., 2017, arXiv 1708.04896). Masks stay as they are.

    Args:
        p: Probability for each image.
        scale: Smallest and largest part of the area that is erased.
        ratio: Smallest and largest ratio of height to width.
        value: What is written, on the scale of the images; `random` for standard normal noise in every pixel.
    """

    @photometric
    def apply(images: Tensor, generator: Generator) -> Tensor:
        count, height, width, device = len(images), *images.shape[2:], images.device
        shape = (count * ERASING_ATTEMPTS, generator, device)
        area = height * width * (scale[0] + rand(*shape) * (scale[1] - scale[0]))
        low, high = math.log(ratio[0]), math.log(ratio[1])
        aspect = torch.exp(low + rand(*shape) * (high - low))
        h = (area * aspect).sqrt().round().long().view(count, -1)
        w = (area / aspect).sqrt().round().long().view(count, -1)
        fits = (h < height) & (w < width)
        first = fits.int().argmax(dim=1, keepdim=True)
        h, w = h.gather(1, first), w.gather(1, first)
        top = (rand(count, generator, device)[:, None] * (height - h + 1)).long()
        left = (rand(count, generator, device)[:, None] * (width - w + 1)).long()
        row, column = torch.arange(height, device=device), torch.arange(width, device=device)
        chosen = fits.any(dim=1) & (rand(count, generator, device) < p)
        inside = ((row >= top) & (row < top + h))[:, :, None] & ((column >= left) & (column < left + w))[:, None, :]
        mask = (inside & chosen[:, None, None])[:, None]
        if value != "random":
            return images.masked_fill(mask, value)
        if not images.is_floating_point():
            raise TypeError("value 'random' is noise around 0, which uint8 images cannot hold: put it after normalize")
        noise = torch.randn(images.shape, generator=generator, device=generator.device).to(device, images.dtype)
        return torch.where(mask, noise, images)

    return apply


def random_apply(*, transforms: Annotated[dict[str, Transform], Nested("transform", many=True)], p: Unit = 0.5) -> Transform:
    """Applies other transforms, one after another, to some of the images.

    Args:
        transforms: Named, in the order in which they are applied; they keep the images' shape and type.
        p: Probability for each image.
    """

    def apply(images: Tensor, generator: Generator) -> Tensor:
        return changed(images, None, generator)[0]

    def changed(images: Tensor, masks: Tensor | None, generator: Generator) -> tuple[Tensor, Tensor | None]:
        chosen = (rand(len(images), generator, images.device) < p).nonzero().squeeze(1)
        if not len(chosen):
            return images, masks
        some, theirs = images[chosen], None if masks is None else masks[chosen]
        for name, transform in transforms.items():
            if theirs is None:
                some = transform(some, generator)
            else:
                some, theirs = together(transform, some, theirs, generator)
            if some.shape[1:] != images.shape[1:] or some.dtype != images.dtype:
                raise ValueError(
                    f"{name!r} makes {some.dtype} {tuple(some.shape[1:])} of {images.dtype} {tuple(images.shape[1:])}; "
                    "inside random_apply, a transform has to keep both"
                )
        moved = None if masks is None or theirs is None else masks.index_copy(0, chosen, theirs)
        return images.index_copy(0, chosen, some), moved

    apply.with_masks = changed  # type: ignore[attr-defined]
    return apply
