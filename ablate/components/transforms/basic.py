"""Transforms without randomness."""

from functools import partial
from typing import Literal

from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as F

from ablate.registry.params import NonNegativeInt, PositiveInt

from . import Transform, deterministic, fixes_size, moves_masks, photometric

PaddingMode = Literal["constant", "edge", "reflect", "symmetric"]


def grayscale(*, channels: Literal[1, 3] = 1) -> Transform:
    """Luminance (ITU-R 601-2) of RGB images.

    Args:
        channels: 1, or 3 for the same values three times.
    """
    return photometric(deterministic(lambda images, _: F.rgb_to_grayscale(images, num_output_channels=channels)))


def center_crop(*, size: tuple[PositiveInt, PositiveInt] | PositiveInt) -> Transform:
    """The middle of the images; smaller ones are padded with 0, where masks do not count.

    Args:
        size: Height and width, or one number for both.
    """
    wanted = [size, size] if isinstance(size, int) else list(size)

    def apply(images: Tensor, _: Generator) -> Tensor:
        out: Tensor = F.center_crop(images, wanted)
        return out

    return fixes_size(deterministic(moves_masks(apply, apply)))


def pad(
    *, padding: NonNegativeInt | tuple[NonNegativeInt, NonNegativeInt], fill: float = 0, mode: PaddingMode = "constant"
) -> Transform:
    """Adds a border to the images. Masks do not count in a constant one.

    Args:
        padding: Pixels on each side; or left and right, then top and bottom.
        fill: Value of a constant border, on the scale of the images.
        mode: What the border is made of.
    """
    sides = [padding] if isinstance(padding, int) else list(padding)

    def apply(images: Tensor, _: Generator, value: float = fill) -> Tensor:
        out: Tensor = F.pad(images, sides, fill=value, padding_mode=mode)
        return out

    return deterministic(moves_masks(apply, partial(apply, value=0)))
