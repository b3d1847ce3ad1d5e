"""A recipe's own step: how a batch is trained, where that is not forward, backward and one update.

What the factory of a step gets is a `Training`, and what its step gets for each batch is a `Batch`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ablate.contracts import Horizon

EAGER = "the recipe has a step of its own"


@dataclass(frozen=True)
class Batch:
    """What a step trains on.

    Attributes:
        images: float32 `[N, C, H, W]`, transformed.
        labels: int64 `[N]`, or float32 `[N, classes]` where a transform mixes.
        indices: int64 `[N]`: which of the training images they are, from 0 to `Training.images`.
        epoch: From 0.
        number: Of the batch in its epoch, from 0.
        generator: On the CPU, of this batch alone.
        view: The same samples, augmented anew: number of the view, from 1, to images and labels. All batches of a chunk are
            transformed together, with draws that the number names.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    epoch: int
    number: int
    generator: torch.Generator
    view: Callable[[int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Training:
    """What the factory of a step is given.

    Attributes:
        model: The network, on its device.
        optimizer: Over its trainable parameters. Its `step` is what the recipe's `grad_clip` and `ema` follow.
        loss: The recipe's: (output of the model, labels) -> scalar.
        horizon: Length of the training.
        images: Number of training images.
        classes: Number of classes.
        device: Where all this is.
        precision: Of the recipe.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[Any, Tensor], Tensor]
    horizon: Horizon
    images: int
    classes: int
    device: torch.device
    precision: str

    def autocast(self) -> AbstractContextManager[Any]:
        """The recipe's precision, for whatever calls the model."""
        return autocast(self.device, self.precision)

    def backward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Forward, loss and backward in the recipe's precision; gradients are added to those that are there.

        Returns:
            The loss, a scalar without gradient.
        """
        with self.autocast():
            loss = self.loss(self.model(images), labels)
        loss.backward()
        return loss.detach()

    def update(self) -> None:
        """A step of the optimizer, after which there are no gradients."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def plain(self, batch: Batch) -> Tensor:
        """What a recipe without a step of its own does with a batch."""
        loss = self.backward(batch.images, batch.labels)
        self.update()
        return loss


class TrainStep(Protocol):
    """What the factory of a step returns.

    It may also have `state_dict()` and `load_state_dict(state)`, for what the next batches depend on; and `stop(records)`, which
    says whether the training ends, where the factory has the attribute `stops = True`. It is asked after each epoch that was
    evaluated, with the records of all epochs so far, and depends on them alone. They have the metrics where those are of
    validation images.
    """

    def __call__(self, batch: Batch, /) -> Tensor:
        """Trains on a batch, and gives its loss: one number, the mean over the images."""
        ...


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The precision of a recipe, for what calls the model."""
    return nullcontext() if precision != "bfloat16" else torch.autocast(device.type, dtype=torch.bfloat16)
