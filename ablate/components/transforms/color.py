"""Random changes of colour."""

from typing import Annotated

import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as F

from ablate.registry.params import Bound, NonNegative

from . import Transform, photometric
from .random import groups, rand

Hue = Annotated[float, Bound(minimum=0, maximum=0.5)]


def color_jitter(
    *, brightness: NonNegative = 0, contrast: NonNegative = 0, saturation: NonNegative = 0, hue: Hue = 0
) -> Transform:
    """Changes brightness, contrast, saturation and hue, in a random order for each image.

    Args:
        brightness: The factor is uniform in [max(0, 1 - brightness), 1 + brightness].
        contrast: The same for contrast.
        saturation: The same for saturation.
        hue: The shift is uniform in [-hue, hue], in turns of the colour circle. Images go one by one: slower than the others.
    """
    strengths = (brightness, contrast, saturation)

    @photometric
    def apply(images: Tensor, generator: Generator) -> Tensor:
        count, device = len(images), images.device
        factors = []
        for strength in strengths:
            low, high = max(0.0, 1 - strength), 1 + strength
            factors.append(low + rand(count, generator, device) * (high - low))
        factors.append((rand(count, generator, device) * 2 - 1) * hue)
        order = rand(count * 4, generator, device).view(count, 4).argsort(dim=1)
        images = images.clone()
        for step in range(4):
            for operation, chosen in groups(order[:, step]):
                if (*strengths, hue)[operation]:
                    images[chosen] = adjusted(images[chosen], operation, factors[operation][chosen])
        return images

    return apply


def adjusted(images: Tensor, operation: int, factor: Tensor) -> Tensor:
    """Brightness (0), contrast (1), saturation (2) or hue (3), as torchvision's kernels, with a factor for each image."""
    if operation == 3:
        return torch.stack([F.adjust_hue(image, shift) for image, shift in zip(images, factor.tolist(), strict=True)])
    pixels = images.float()
    if operation == 0:
        other = torch.zeros_like(pixels)
    else:
        other = F.rgb_to_grayscale(images).float() if images.shape[1] == 3 else pixels
        if operation == 1:
            other = other.mean(dim=(1, 2, 3), keepdim=True)
    factor = factor.view(-1, 1, 1, 1)
    bound = 255 if images.dtype == torch.uint8 else 1
    return (pixels * factor + other * (1 - factor)).clamp_(0, bound).to(images.dtype)
