"""A cell trained in this process: in one sitting, in many, and up to a failure."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ablate.contracts import Cell, Environment, Result
from ablate.spec.trainer import Controls, Interrupted, Record, Trainer

from .processes import descendants

CLOCK = ("seconds", "images_per_second")  # what no two trainings have in common
MOST = 100  # sittings of a training that gets on


def trained(trainer: Trainer, cell: Cell, environment: Environment, controls: Controls) -> Result:
    """What a training gives, on a CPU, from its checkpoint where it has one.

    Raises:
        Interrupted: `controls.should_stop` said so.
    """
    steps = trainer.train(cell, environment, "cpu", controls)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result


def in_sittings(train: Callable[[Callable[[], bool]], Result], every: int) -> tuple[Result, int]:
    """The result of a training that is asked to stop again and again, and the number of its sittings.

    Args:
        train: Trains from a checkpoint that stays, given what is asked whether to stop.
        every: In each sitting it is to stop from this question on, counted from 1.
    """
    for sitting in range(1, MOST + 1):
        asked = itertools.count(1)

        def stop(asked: Iterator[int] = asked) -> bool:
            return next(asked) >= every

        try:
            return train(stop), sitting
        except Interrupted:
            continue
    raise AssertionError(f"it has not ended after {MOST} sittings: let it go on from its checkpoint.")


@dataclass
class Sitting:
    """What became of a training until it ended or stopped.

    Attributes:
        records: Those that it has yielded.
        yields: How often it has yielded, records or not.
        result: What it gave; None where it stopped.
    """

    records: list[Record] = field(default_factory=list)
    yields: int = 0
    result: Result | None = None


class Failure(Exception):
    """Something that a trainer calls went wrong, because a test wants to see what follows."""


@dataclass
class Places:
    """Counts where a trainer hands over, to `controls` or by a yield, and fails at one of them.

    Attributes:
        fails_at: Number of that place, from 0.
        count: Places so far.
        processes: What ran when it failed.
    """

    fails_at: float
    count: int = 0
    processes: set[int] = field(default_factory=set)

    def __call__(self) -> bool:
        self.count += 1
        if self.count == self.fails_at + 1:
            self.processes = descendants()
            raise Failure("a test lets this fail")
        return False


def numbers(result: Result) -> dict[str, Any]:
    """What two trainings of one cell have in common: all but the time that they took."""
    epochs = {str(r["epoch"]): {name: value for name, value in r.items() if name not in CLOCK} for r in result.epochs}
    return {"epochs": epochs, "metrics": result.metrics, "weights_sha256": result.weights_sha256, "parameters": result.parameters}
