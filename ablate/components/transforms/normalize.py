"""The transform that nearly every recipe has; alone in its file, because torchvision takes long to import."""

import torch
from torch import Generator, Tensor

from . import Transform, deterministic


def normalize(*, mean: list[float], std: list[float]) -> Transform:
    """Scales uint8 to [0, 1], then subtracts the mean and divides by the standard deviation of each channel.

    Args:
        mean: One number a channel, or one for all, on the scale [0, 1].
        std: One number a channel, or one for all, on the scale [0, 1]; none is 0.
    """
    if 0 in std:
        raise ValueError("std has a 0, and it is divided by")

    @deterministic
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
