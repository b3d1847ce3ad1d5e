"""Transforms without randomness."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ablate.params import NonNegativeInt, PositiveInt

Transform = Callable[[Tensor, Generator], Tensor]
PaddingMode = Literal["constant", "edge", "reflect", "symmetric"]


def normalize(*, mean: list[float], std: list[float]) -> Transform:
    """Scales uint8 to [0, 1], then subtracts the mean and divides by the standard deviation of each channel.

    Args:
        mean: One number a channel, or one for all, on the scale [0, 1].
        std: One number a channel, or one for all, on the scale [0, 1]; none is 0.
    """
    if 0 in std:
        raise ValueError("std has a 0, and it is divided by")

    def apply(images: Tensor, _: Generator) -> Tensor:
        channels = images.shape[1]
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, channels):
                raise ValueError(f"{name} has {len(values)} numbers, but the images have {channels} channels")
        scale = 255.0 if images.dtype == torch.uint8 else 1.0
        shape = (1, -1, 1, 1)
        divisor = torch.tensor(std, device=images.device).view(shape) * scale
        offset = torch.tensor(mean, device=images.device).view(shape) * scale
        return images.to(torch.float32).sub_(offset).div_(divisor) if scale != 1.0 else (images - offset) / divisor

    return apply


def grayscale(*, channels: Literal[1, 3] = 1) -> Transform:
    """Luminance (ITU-R 601-2) of RGB images.

    Args:
        channels: 1, or 3 for the same values three times.
    """
    return lambda images, _: F.rgb_to_grayscale(images, num_output_channels=channels)


def resize(
    *,
    size: tuple[PositiveInt, PositiveInt] | PositiveInt,
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear",
    antialias: bool = True,
) -> Transform:
    """Changes the size of the images.

    Args:
        size: Height and width, or the length of the shorter side.
        interpolation: How pixels between pixels are found.
        antialias: Whether images that get smaller are smoothed first.
    """
    wanted = [size] if isinstance(size, int) else list(size)
    return lambda images, _: F.resize(images, wanted, InterpolationMode(interpolation), antialias=antialias)


def center_crop(*, size: tuple[PositiveInt, PositiveInt] | PositiveInt) -> Transform:
    """The middle of the images; smaller ones are padded with 0.

    Args:
        size: Height and width, or one number for both.
    """
    wanted = [size, size] if isinstance(size, int) else list(size)
    return lambda images, _: F.center_crop(images, wanted)


def pad(
    *, padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt], fill: float = 0, mode: PaddingMode = "constant"
) -> Transform:
    """Adds a border to the images.

    Args:
        padding: Pixels on each side; or left and right, then top and bottom.
        fill: Value of a constant border, on the scale of the images.
        mode: What the border is made of.
    """
    sides = [padding] if isinstance(padding, int) else list(padding)
    return lambda images, _: F.pad(images, sides, fill=fill, padding_mode=mode)
