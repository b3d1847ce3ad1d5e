"""Transforms without randomness."""

from typing import Literal

from torchvision.transforms.v2 import functional as F

from ablate.registry.params import NonNegativeInt, PositiveInt

from . import Transform, deterministic, fixes_size, photometric

PaddingMode = Literal["constant", "edge", "reflect", "symmetric"]


def grayscale(*, channels: Literal[1, 3] = 1) -> Transform:
    """Luminance (ITU-R 601-2) of RGB images.

    Args:
        channels: 1, or 3 for the same values three times.
    """
    return photometric(deterministic(lambda images, _: F.rgb_to_grayscale(images, num_output_channels=channels)))


def center_crop(*, size: tuple[PositiveInt, PositiveInt] | PositiveInt) -> Transform:
    """The middle of the images; smaller ones are padded with 0.

    Args:
        size: Height and width, or one number for both.
    """
    wanted = [size, size] if isinstance(size, int) else list(size)
    return fixes_size(deterministic(lambda images, _: F.center_crop(images, wanted)))


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
    return deterministic(lambda images, _: F.pad(images, sides, fill=fill, padding_mode=mode))
