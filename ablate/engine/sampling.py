"""Which training images an epoch sees, and in which order."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.registry import Registry, build
from ablate.spec.recipe import Recipe

from .build import blame
from .seeding import generator, global_rng

Sampler = Callable[
    [int, torch.Generator], Tensor
]  # epoch from 0, and a generator of its own -> int64 indices, as many as it likes


@dataclass(frozen=True)
class Samples:
    """What the factory of a sampler is given.

    Attributes:
        labels: int64 `[N]`, of the training images in their order.
        classes: Number of classes.
        epochs: Number of epochs.
    """

    labels: Tensor
    classes: int
    epochs: int


class Order:
    """The images of an epoch, all of them in an order that is drawn anew unless the recipe has a sampler.

    Attributes:
        first: Images of the first epoch.
    """

    def __init__(self, registry: Registry, recipe: Recipe, labels: Tensor, classes: int, seed: int):
        self.images, self.seed, self.first = len(labels), seed, len(labels)
        self.sampler: Sampler | None = None
        if recipe.get("sampler"):
            samples = Samples(labels.to("cpu"), classes, recipe["epochs"])
            with blame("sampler"), global_rng(seed, "sampler"):
                self.sampler = build(registry, "sampler", recipe["sampler"], samples)
            self.first = len(self(0))

    def __call__(self, epoch: int) -> Tensor:
        """The images of an epoch, from 0: int64 `[M]`, each from 0 to their number.

        Raises:
            PartError: The sampler fails, or gave something else.
        """
        draws = generator(self.seed, "order", epoch)
        if self.sampler is None:
            return torch.randperm(self.images, generator=draws)
        with blame("sampler"):
            return checked(self.sampler(epoch, draws), epoch, self.images)


def checked(given: object, epoch: int, images: int) -> Tensor:
    """What a sampler gave for an epoch, if it can be trained on.

    Raises:
        TypeError: It is something else than whole numbers in a row.
        ValueError: There are none, or no such images.
    """
    if not isinstance(given, Tensor) or given.dtype != torch.int64 or given.ndim != 1:
        form = f"{given.dtype} {list(given.shape)}" if isinstance(given, Tensor) else f"a {type(given).__name__}"
        raise TypeError(f"gave {form} for epoch {epoch}; expected a tensor of int64 [M] with the numbers of images")
    if not len(given):
        raise ValueError(f"gave no images for epoch {epoch}; expected one at least")
    if not 0 <= given.min() <= given.max() < images:
        raise ValueError(
            f"gave images from {given.min()} to {given.max()} for epoch {epoch}; there are {images:,}, counted from 0"
        )
    return given
