"""Transforms that mix pairs of images, and their labels with them."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ablate.registry.params import Positive, Unit

from .random import rand


@dataclass(frozen=True)
class Mixup:
    """What the engine calls in place of a transform: it takes and returns soft labels `[N, K]` beside the images."""

    alpha: float
    p: float

    def mix(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mixes each image with another one of the chunk; the weight of the image itself is Beta(alpha, alpha)."""
        partner, weight = _pairs(images, self.alpha, self.p, generator)
        share = weight.view(-1, 1, 1, 1)
        mixed = images * share + images[partner] * (1 - share)
        images = mixed if images.is_floating_point() else mixed.round().to(images.dtype)
        return images, _mixed_labels(targets, partner, weight)


@dataclass(frozen=True)
class CutMix:
    """The same, of boxes: so it can take masks in place of labels, too."""

    alpha: float
    p: float

    def mix(self, images: Tensor, targets: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Cuts a box of another image of the chunk into each; the area of the image itself is Beta(alpha, alpha)."""
        partner, weight = _pairs(images, self.alpha, self.p, generator)
        inside, weight = _boxes(images, weight, generator)
        return torch.where(inside, images[partner], images), _mixed_labels(targets, partner, weight)

    def with_masks(self, images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """The same boxes of images and of their masks `[N, 1, H, W]`."""
        partner, weight = _pairs(images, self.alpha, self.p, generator)
        inside, _ = _boxes(images, weight, generator)
        return torch.where(inside, images[partner], images), torch.where(inside, masks[partner], masks)


def _pairs(images: Tensor, alpha: float, p: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Another image for each, and the weight of the image itself, 1 where it is not mixed."""
    count, device = len(images), images.device
    partner = torch.randperm(count, generator=generator, device=generator.device).to(device)
    concentration = torch.full((count, 2), alpha, device=generator.device)
    weight = torch._sample_dirichlet(concentration, generator=generator)[:, 0].to(device)
    return partner, torch.where(rand(count, generator, device) < p, weight, 1.0)


def _mixed_labels(targets: Tensor, partner: Tensor, weight: Tensor) -> Tensor:
    return targets * weight[:, None] + targets[partner] * (1 - weight[:, None])


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


def mixup(*, alpha: Positive = 0.2, p: Unit = 1.0) -> Mixup:
    """Weighted sums of two images and of their labels (Zhang et al., 2017, arXiv 1710.09412). Not for masks.

    Args:
        alpha: Parameter of the Beta distribution of the weight; 1 is uniform.
        p: Probability for each image.
    """
    return Mixup(alpha, p)


def cutmix(*, alpha: Positive = 1.0, p: Unit = 1.0) -> CutMix:
    """A box of another image in each image, and labels by area (Yun et al., 2019, arXiv 1905.04899); or the box of its mask.

    Args:
        alpha: Parameter of the Beta distribution of the area that is kept; 1 is uniform.
        p: Probability for each image.
    """
    return CutMix(alpha, p)
