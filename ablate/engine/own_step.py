"""The calls of a recipe's own step."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from .build import Parts
from .steps import Batch

Record = dict[str, Any]  # one of `Result.epochs`


class OwnStep:
    """The calls of a recipe's own step, and what the recipe says beside it.

    Args:
        parts: What the recipe builds. The optimizer's `step` is replaced, so that it clips and is counted whoever calls it.
        trainable: Parameters whose gradients are clipped.
        recipe: `grad_clip` is used.
        total: Running sum of the losses of the images, float64 scalar, added to in place.
    """

    def __init__(self, parts: Parts, trainable: Sequence[nn.Parameter], recipe: Mapping[str, Any], total: Tensor):
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
        self.total.add_(loss.detach().to(self.total.dtype).reshape(()) * len(batch.images))
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
