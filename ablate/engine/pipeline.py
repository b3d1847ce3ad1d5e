"""A recipe's transforms as one function of a chunk of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ablate.errors import describe

from .seeding import generator


class TransformError(ValueError):
    """A transform does not fit the images that it gets; `name` says which."""

    def __init__(self, name: str, message: str):
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Pipeline:
    """Transforms by name, in their order.

    Attributes:
        transforms: Callables `(images, generator) -> images`, or objects with `mix(images, soft_labels, generator)`.
        purpose: `train` or `eval`; part of the names of the draws.
        classes: Number of classes, for soft labels.
    """

    transforms: Mapping[str, Any]
    purpose: str
    classes: int

    def __call__(self, images: Tensor, labels: Tensor, seed: int, epoch: int, chunk: int) -> tuple[Tensor, Tensor]:
        """Transforms a chunk; every transform has draws of its own, named by seed, epoch and chunk.

        Args:
            images: uint8 `[N, C, H, W]`.
            labels: int64 `[N]`.
            seed: The cell's seed.
            epoch: From 0.
            chunk: Which part of the epoch, from 0.

        Returns:
            Images float32 `[N, C', H', W']`, and labels: int64 `[N]`, or float32 `[N, classes]` where images were mixed.

        Raises:
            TransformError: A transform failed, or what comes out is not float32 `[N, C, H, W]`.
        """
        count = len(images)
        for name, transform in self.transforms.items():
            draws = generator(seed, f"{self.purpose}/{name}", epoch, chunk)
            try:
                if hasattr(transform, "mix"):
                    soft = labels if labels.is_floating_point() else one_hot(labels, self.classes).float()
                    images, labels = transform.mix(images, soft, draws)
                else:
                    images = transform(images, draws)
            except Exception as error:  # any library may complain in any way; the name of the transform is what helps
                raise TransformError(name, describe(error)) from error
            if not isinstance(images, Tensor) or images.ndim != 4 or len(images) != count:
                got = f"{tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
                raise TransformError(name, f"gave {got} for {count} images; expected a tensor [{count}, C, H, W]")
        if images.dtype != torch.float32:
            last = next(reversed(list(self.transforms)), "")
            raise TransformError(last, f"the images are {images.dtype} at the end, and the model needs float32: add `normalize`")
        return images, labels
