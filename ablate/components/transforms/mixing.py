"""Transforms that mix pairs of images, and their labels with them."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ablate.registry.params import Positive, Unit

from .random import rand


@dataclass(frozen=True)
class Mixing:
    """What the engine calls in place of a transform: it takes and returns soft labels `[N, K]` beside the images."""

    alpha: float
    p: float
    boxes: bool

    def mix(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mixes each image with another one of the chunk; the weight of the image itself is Beta(alpha, alpha)."""
        count, device = len(images), images.device
        partner = torch.randperm(count, generator=generator, device=generator.device).to(device)
        concentration = torch.full((count, 2), self.alpha, device=generator.device)
        weight = torch._sample_dirichlet(concentration, generator=generator)[:, 0].to(device)
        weight = torch.where(rand(count, generator, device) < self.p, weight, 1.0)
        if self.boxes:
            mask, weight = _boxes(images, weight, generator)
            images = torch.where(mask, images[partner], images)
        else:
            share = weight.view(-1, 1, 1, 1)
            mixed = images * share + images[partner] * (1 - share)
            images = mixed if images.is_floating_point() else mixed.round().to(images.dtype)
        return images, targets * weight[:, None] + targets[partner] * (1 - weight[:, None])


def _boxes(images: Tensor, weight: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """A box for each image, of the area 1 - weight where it lies inside; and the weight that is really left."""
    height, width, device = *images.shape[2:], images.device
    half = 0.5 * (1 - weight).sqrt()
    middle_y = (rand(len(images), generator, device) * height).long()
    middle_x = (rand(len(images), generator, device) * width).long()
    half_h, half_w = (half * height).long(), (half * width).long()
    top, bottom = (middle_y - half_h).clamp(min=0), (middle_y + half_h).clamp(max=height)
    left, right = (middle_x - half_w).clamp(min=0), (middle_x + half_w).clamp(max=width)
    row, column = torch.arange(height, device=device), torch.arange(width, device=device)
    inside_rows = (row >= top[:, None]) & (row < bottom[:, None])
    inside_columns = (column >= left[:, None]) & (column < right[:, None])
    mask = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return mask, 1 - ((bottom - top) * (right - left)) / (height * width)


def mixup(*, alpha: Positive = 0.2, p: Unit = 1.0) -> Mixing:
    """Weighted sums of two images and of their labels (Zhang et al., 2017, arXiv 1710.09412).

    Args:
        alpha: Parameter of the Beta distribution of the weight; 1 is uniform.
        p: Probability for each image.
    """
    return Mixing(alpha, p, boxes=False)


def cutmix(*, alpha: Positive = 1.0, p: Unit = 1.0) -> Mixing:
    """A box of another image in each image, and labels by area (Yun et al., 2019, arXiv 1905.04899).

    Args:
        alpha: Parameter of the Beta distribution of the area that is kept; 1 is uniform.
        p: Probability for each image.
    """
    return Mixing(alpha, p, boxes=True)
