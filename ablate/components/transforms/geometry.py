"""Random changes of the geometry: each image is sampled through a grid of its own, all of a chunk at once."""

from functools import partial
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from ablate.registry.params import NonNegative, Positive, Unit

from . import Transform, moves_masks
from .random import rand, randint

Interpolation = Literal["nearest", "bilinear"]


def random_affine(
    *,
    degrees: NonNegative = 0,
    translate: tuple[Unit, Unit] = (0, 0),
    scale: tuple[Positive, Positive] = (1.0, 1.0),
    shear: tuple[NonNegative, NonNegative] = (0, 0),
    interpolation: Interpolation = "nearest",
) -> Transform:
    """Rotates, moves, scales and shears each image around its middle; what comes in from outside is 0, and masks do not
    count there.

    Args:
        degrees: Angles are uniform in [-degrees, degrees].
        translate: Largest shift, as a part of the width and of the height; whole pixels, uniform to both sides.
        scale: Smallest and largest factor of the size.
        shear: Largest angles in degrees along x and along y, uniform to both sides.
        interpolation: How pixels between pixels are found.
    """
    if scale[0] > scale[1]:
        raise ValueError(f"scale {list(scale)} is the smallest and the largest")

    def apply(images: Tensor, generator: Generator, mode: Interpolation = interpolation) -> Tensor:
        count, height, width, device = len(images), *images.shape[2:], images.device

        def uniform(low: float, high: float) -> Tensor:
            return low + rand(count, generator, device).double() * (high - low)

        angle = uniform(-degrees, degrees)
        reach = translate[0] * width, translate[1] * height
        shift = torch.stack([uniform(-most, most).round() for most in reach])
        factor = uniform(*scale)
        sheared = torch.stack([uniform(-most, most) for most in shear])
        matrix = _inverse_affine(angle.deg2rad(), shift, factor, sheared.deg2rad())
        base = _base(height, width, -width / 2 + 0.5, -height / 2 + 0.5, device)
        half = torch.tensor([0.5 * width, 0.5 * height], device=device)
        grid = base @ (matrix.float().transpose(1, 2) / half)
        return _sampled(images, grid, mode)

    return moves_masks(apply, partial(apply, mode="nearest"))


def _inverse_affine(angle: Tensor, shift: Tensor, scale: Tensor, shear: Tensor) -> Tensor:
    """From pixels of the result to those of the image, around the middle, as torchvision has it: `[N, 2, 3]`."""
    sx, sy = shear
    a = (angle - sy).cos() / sy.cos()
    b = -(angle - sy).cos() * sx.tan() / sy.cos() - angle.sin()
    c = (angle - sy).sin() / sy.cos()
    d = -(angle - sy).sin() * sx.tan() / sy.cos() + angle.cos()
    tx, ty = shift
    rows = [[d, -b, -d * tx + b * ty], [-c, a, c * tx - a * ty]]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1) / scale[:, None, None]


def random_perspective(*, distortion_scale: Unit = 0.5, p: Unit = 0.5, interpolation: Interpolation = "bilinear") -> Transform:
    """Moves the four corners of an image inwards, each by itself; what comes in from outside is 0, and masks do not count
    there.

    Args:
        distortion_scale: How far corners are moved at most, as a part of half of the height and width.
        p: Probability for each image.
        interpolation: How pixels between pixels are found.
    """

    def apply(images: Tensor, generator: Generator, mode: Interpolation = interpolation) -> Tensor:
        count, height, width, device = len(images), *images.shape[2:], images.device
        reach = [int(distortion_scale * (width // 2)) + 1, int(distortion_scale * (height // 2)) + 1]
        moved = [[randint(most, count, generator, device) for most in reach] for _ in range(4)]
        chosen = (rand(count, generator, device) < p).nonzero().squeeze(1)
        if not len(chosen):
            return images
        ends = torch.stack([torch.stack(corner, dim=1) for corner in moved], dim=1)[chosen]
        return images.index_copy(0, chosen, warped(images[chosen], ends, mode))

    return moves_masks(apply, partial(apply, mode="nearest"))


def warped(images: Tensor, moved: Tensor, interpolation: Interpolation) -> Tensor:
    """Images whose corners (top left, top right, bottom right, bottom left) are moved inwards by (x, y), int `[N, 4, 2]`."""
    height, width, device = *images.shape[2:], images.device
    corners = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    start = torch.tensor(corners, dtype=torch.float64, device=device).expand(len(images), -1, -1)
    inwards = torch.tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]], device=device)
    matrix = _inverse_perspective(start, start + moved * inwards).float()
    base = _base(height, width, 0.5, 0.5, device)
    half = torch.tensor([0.5 * width, 0.5 * height], device=device)
    grid = base @ (matrix[:, :2].transpose(1, 2) / half) / (base @ matrix[:, 2:].transpose(1, 2)) - 1
    return _sampled(images, grid, interpolation)


def _inverse_perspective(start: Tensor, end: Tensor) -> Tensor:
    """The matrices `[N, 3, 3]` that lead from four points of the result, `end`, to four of the image, both `[N, 4, 2]`."""
    x, y = end.unbind(2)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    u, v = start.unbind(2)
    rows_u = torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=2)
    rows_v = torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=2)
    solved = torch.linalg.solve(torch.cat([rows_u, rows_v], dim=1), torch.cat([u, v], dim=1))
    return torch.cat([solved, one[:, :1]], dim=1).view(-1, 3, 3)


def _base(height: int, width: int, left: float, top: float, device: torch.device) -> Tensor:
    """The middles of pixels in homogeneous coordinates, `[H * W, 3]`."""
    x = torch.linspace(left, left + width - 1, width, device=device).expand(height, -1)
    y = torch.linspace(top, top + height - 1, height, device=device)[:, None].expand(-1, width)
    return torch.stack([x, y, torch.ones_like(x)], dim=2).view(-1, 3)


def _sampled(images: Tensor, grid: Tensor, interpolation: Interpolation) -> Tensor:
    """Images at the points of a grid `[N, H * W, 2]`."""
    grid = grid.view(len(images), *images.shape[2:], 2)
    sampled = grid_sample(images.float(), grid, mode=interpolation, padding_mode="zeros", align_corners=False)
    return sampled if images.is_floating_point() else sampled.round_().to(images.dtype)
