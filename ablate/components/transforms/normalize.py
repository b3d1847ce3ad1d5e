"""The transform that nearly every recipe has; alone in its file, because torchvision takes long to import."""

from functools import cache
from typing import Annotated

import torch
from torch import Generator, Tensor

from ablate.registry.params import Bound

from . import Transform, deterministic, photometric

SCALE = "because images are scaled to [0, 1] first (127.5 of 255 is 0.5)"
CACHED = 1 << 19  # bytes of float32 images that stay in a core's cache between one step and the next
Mean = Annotated[float, Bound(minimum=0, maximum=1, words=f"a number from 0 to 1, {SCALE}")]
Std = Annotated[float, Bound(above=0, maximum=1, words=f"a number above 0 and at most 1, {SCALE}")]


def normalize(*, mean: list[Mean], std: list[Std]) -> Transform:
    """Scales uint8 to [0, 1], then subtracts the mean and divides by the standard deviation of each channel.

    Args:
        mean: One number a channel, or one for all, on the scale [0, 1].
        std: One number a channel, or one for all, on the scale [0, 1]; above 0.
    """

    @cache
    def constants(device: torch.device, scale: float) -> tuple[Tensor, Tensor]:
        """On the device: to bring them there for each batch would make it wait."""
        offset, divisor = (torch.tensor(values, device=device).view(1, -1, 1, 1) * scale for values in (mean, std))
        return offset, divisor

    @photometric
    @deterministic
    def apply(images: Tensor, _: Generator) -> Tensor:
        channels = images.shape[1]
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, channels):
                has = f"{len(values)} number{'s' * (len(values) != 1)}"
                raise ValueError(
                    f"{name} has {has}, and the images have {channels} channel{'s' * (channels > 1)}. Give 1 for all"
                )
        scale = 255.0 if images.dtype == torch.uint8 else 1.0
        offset, divisor = constants(images.device, scale)
        if images.device.type == "cpu" and images.dtype == torch.uint8 and _channels_last(images):
            return _by_rows(images, offset, divisor)
        return images.to(torch.float32).sub_(offset).div_(divisor) if scale != 1.0 else (images - offset) / divisor

    return apply


def _channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()


def _by_rows(images: Tensor, offset: Tensor, divisor: Tensor) -> Tensor:
    """The same bits as pixel by pixel, of which each would be a loop over three numbers; and while they are in the cache.

    Args:
        images: uint8 `[N, C, H, W]`, channels last.
        offset: float32 `[1, C or 1, 1, 1]`.
        divisor: The same.
    """
    count, channels, height, width = images.shape
    of_row = [values.flatten().expand(channels).repeat(width) for values in (offset, divisor)]
    pixels = images.permute(0, 2, 3, 1).view(count, height, width * channels)
    made = torch.empty(pixels.shape)
    together = max(1, CACHED // (4 * height * width * channels))
    for some, out in zip(pixels.split(together), made.split(together), strict=True):
        out.copy_(some).sub_(of_row[0]).div_(of_row[1])
    return made.view(count, height, width, channels).permute(0, 3, 1, 2)
