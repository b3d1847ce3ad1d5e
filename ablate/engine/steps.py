"""A recipe's own step: how a batch is trained, where that is not forward, backward and one update.

What the factory of a step gets is a `Training`, and what its step gets for each batch is a `Batch`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from ablate.records import Horizon

if TYPE_CHECKING:
    from .build import Parts

Record = dict[str, Any]  # one of `Result.epochs`
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


class OwnStep:
    """The calls of a recipe's own step, and what the recipe says beside it.

    Args:
        parts: What the recipe builds. The optimizer's `step` is replaced, so that it clips and is counted whoever calls it.
        trainable: Parameters whose gradients are clipped.
        recipe: `grad_clip` is used.
        total: Running sum of the losses of the images, float64 scalar, added to in place.
    """

    def __init__(self, parts: "Parts", trainable: Sequence[nn.Parameter], recipe: Mapping[str, Any], total: Tensor):
        self.step: Any = parts.step  # with what the protocol only allows
        self.total, self.updates = total, 0
        clip, inner = recipe["grad_clip"], parts.optimizer.step

        def counted(*arguments: Any, **named: Any) -> Any:
            if clip is not None:
                if any(argument is not None for argument in (*arguments, *named.values())):
                    raise ValueError("grad_clip cannot clip the gradients that a closure computes: remove it from the recipe")
                nn.utils.clip_grad_norm_(trainable, clip)
            self.updates += 1
            return inner(*arguments, **named)

        parts.optimizer.step = counted  # type: ignore[method-assign]

    def __call__(self, batch: Batch) -> bool:
        """Trains on a batch.

        Returns:
            Whether the optimizer made a step.

        Raises:
            TypeError: What the step gave is no loss.
        """
        before = self.updates
        loss = self.step(batch)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            got = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise TypeError(f"gave {got}; expected the loss of the batch, a tensor with one number")
        self.total.add_(loss.detach().double().reshape(()) * len(batch.images))
        return self.updates > before

    def state(self) -> Any:
        """What the next batches depend on; None where the step keeps nothing."""
        return self.step.state_dict() if hasattr(self.step, "state_dict") else None

    def restore(self, state: Any) -> None:
        if state is not None:
            self.step.load_state_dict(state)

    def stops(self, records: Sequence[Record], hidden: Collection[str]) -> bool:
        """Whether the step asks to stop after these epochs.

        Args:
            records: Of all epochs so far.
            hidden: Metrics that are of the test images, which decide nothing before the end.
        """
        return hasattr(self.step, "stop") and bool(self.step.stop([_Told(record, hidden) for record in records]))


class _Told(Record):
    """A record without the metrics that are of the test images."""

    def __init__(self, record: Record, hidden: Collection[str]):
        super().__init__({name: value for name, value in record.items() if name not in hidden})
        self.hidden = hidden

    def __missing__(self, name: str) -> Any:
        if name not in self.hidden:
            raise KeyError(name)
        raise ValueError(
            f"the step asks for {name!r}, and the metrics are of the test images, which are to be looked at once. "
            'Add "eval_split": "validation" to the recipe, and give the dataset a `validation` part, such as 0.1'
        )

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self or name in self.hidden else default


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """The precision of a recipe, for what calls the model."""
    return nullcontext() if precision != "bfloat16" else torch.autocast(device.type, dtype=torch.bfloat16)
