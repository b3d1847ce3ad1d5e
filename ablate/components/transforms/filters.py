"""Filters that are random for each image, and 3-Augment, which chooses among them."""

from collections.abc import Callable
from typing import Annotated

import torch
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional as F

from ablate.registry.params import Bound, Positive, PositiveInt, Unit

from . import Transform, photometric
from .random import groups, rand, randint

Bits = Annotated[int, Bound(minimum=0, maximum=8)]
Level = Annotated[float, Bound(minimum=0, maximum=255)]
Sigmas = tuple[Positive, Positive]
FAR = 4  # standard deviations up to which a blur of 3-Augment looks


def gaussian_blur(
    *, kernel_size: PositiveInt | tuple[PositiveInt, PositiveInt], sigma: Sigmas = (0.1, 2.0), p: Unit = 1.0
) -> Transform:
    """Blurs each image with a normal distribution of a random width; what lies outside is the mirrored image.

    Args:
        kernel_size: Height and width in pixels of what is averaged, odd; or one number for both.
        sigma: Smallest and largest standard deviation in pixels; uniform between them.
        p: Probability for each image.
    """
    sizes = (kernel_size, kernel_size) if isinstance(kernel_size, int) else (kernel_size[0], kernel_size[1])
    if not all(size % 2 for size in sizes) or sigma[0] > sigma[1]:
        raise ValueError(f"kernel_size {list(sizes)} is odd, and sigma {list(sigma)} the smallest and the largest")

    @photometric
    def apply(images: Tensor, generator: Generator) -> Tensor:
        count, device = len(images), images.device
        sigmas = sigma[0] + rand(count, generator, device) * (sigma[1] - sigma[0])
        chosen = (rand(count, generator, device) < p).nonzero().squeeze(1)
        return images.index_copy(0, chosen, _blurred(images[chosen], sizes, sigmas[chosen]))

    return apply


def _blurred(images: Tensor, sizes: tuple[int, int], sigmas: Tensor) -> Tensor:
    """Each image with its own standard deviation: rows and columns as products with matrices, which have the weights."""
    for length, size in zip(images.shape[2:], sizes, strict=True):
        if size // 2 >= length:
            raise ValueError(f"a kernel of {size} does not fit images of {images.shape[2]}×{images.shape[3]}")
    down, across = (_weights(length, size, sigmas)[:, None] for length, size in zip(images.shape[2:], sizes, strict=True))
    out = down @ images.float() @ across.transpose(2, 3)
    return out.round_().clamp_(0, 255).to(images.dtype) if images.dtype == torch.uint8 else out


def _weights(length: int, size: int, sigmas: Tensor) -> Tensor:
    """`[N, length, length]`: what each pixel of a blurred line has of the pixels of the line; beyond its ends it is mirrored."""
    offsets = torch.arange(-(size // 2), size // 2 + 1, device=sigmas.device)
    kernels = torch.softmax(-(offsets.float() ** 2) / (2 * sigmas[:, None] ** 2), dim=1)
    source = (torch.arange(length, device=sigmas.device)[:, None] + offsets).abs()
    source = torch.where(source >= length, 2 * (length - 1) - source, source)
    matrices = torch.zeros(len(sigmas), length, length, device=sigmas.device)
    return matrices.scatter_add_(2, source.expand(len(sigmas), -1, -1), kernels[:, None].expand(-1, length, -1))


def solarize(*, threshold: Level = 128, p: Unit = 0.5) -> Transform:
    """Inverts the pixels of an image that are at least so bright.

    Args:
        threshold: On the scale 0–255; images in [0, 1] have it there.
        p: Probability for each image.
    """
    return _sometimes(lambda images: _solarized(images, threshold), p)


def _solarized(images: Tensor, threshold: float) -> Tensor:
    out: Tensor = F.solarize(images, threshold if images.dtype == torch.uint8 else threshold / 255)
    return out


def posterize(*, bits: Bits, p: Unit = 0.5) -> Transform:
    """Keeps so many bits of each pixel.

    Args:
        bits: From 0 to 8.
        p: Probability for each image.
    """
    return _sometimes(lambda images: F.posterize(images, bits), p)


def equalize(*, p: Unit = 0.5) -> Transform:
    """Spreads the pixels of each channel of an image evenly over the range.

    Args:
        p: Probability for each image.
    """
    return _sometimes(F.equalize, p)


def _sometimes(kernel: Callable[[Tensor], Tensor], p: float) -> Transform:
    @photometric
    def apply(images: Tensor, generator: Generator) -> Tensor:
        chosen = (rand(len(images), generator, images.device) < p).nonzero().squeeze(1)
        return images.index_copy(0, chosen, kernel(images[chosen])) if len(chosen) else images

    return apply


def three_augment(*, sigma: Sigmas = (0.1, 2.0), threshold: Level = 128) -> Transform:
    """3-Augment (Touvron et al., 2022, arXiv 2204.07118): each image becomes grey, is solarized or is blurred, equally often.

    The paper has a colour jitter of 0.3 after it, which is `color_jitter`.

    Args:
        sigma: Smallest and largest standard deviation of the blur, in pixels; uniform between them.
        threshold: From which brightness on pixels are inverted, on the scale 0–255.
    """

    @photometric
    def apply(images: Tensor, generator: Generator) -> Tensor:
        if images.shape[1] != 3:
            raise ValueError(f"three_augment makes RGB images grey, and these have {images.shape[1]} channels")
        count, device = len(images), images.device
        choices = randint(3, count, generator, device)
        sigmas = sigma[0] + rand(count, generator, device) * (sigma[1] - sigma[0])
        side = 2 * min(round(FAR * sigma[1]), *(length - 1 for length in images.shape[2:])) + 1
        images = images.clone()
        for choice, members in groups(choices):
            match choice:
                case 0:
                    images[members] = F.rgb_to_grayscale(images[members], num_output_channels=3)
                case 1:
                    images[members] = _solarized(images[members], threshold)
                case _:
                    images[members] = _blurred(images[members], (side, side), sigmas[members])
        return images

    return apply
