"""What the tests of trainers share: a recipe as it is trained, without a store and without workers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate import errors
from ablate.contracts import Cell, Environment, Result
from ablate.errors import AblateError
from ablate.registry import default
from ablate.spec.recipe import resolve
from ablate.spec.trainer import Controls, Trainer, trainer_of


def checked(recipe: dict[str, Any]) -> tuple[dict[str, Any], Trainer]:
    resolved, found = errors.checked(resolve(default(), recipe, "base", {}))
    assert not found, found
    return resolved, trainer_of(default(), resolved)


def problems(recipe: dict[str, Any]) -> list[str]:
    """What is wrong with a recipe as a whole."""
    return [f"{problem.path}: {problem.message}" for problem in checked(recipe)[1].problems()]


class Sitting:
    """Trains one cell in this process, as often as asked, and goes on where it was.

    Attributes:
        records: What it told, over all sittings.
    """

    def __init__(self, recipe: dict[str, Any], state: Path, seed: int = 0, device: str = "cpu"):
        self.resolved, self.trainer = checked(recipe)
        self.cell, self.device = Cell("key", self.resolved, seed, "cpu"), device
        self.state, self.records = state, list[dict[str, Any]]()

    def run(self, stop: Callable[["Sitting"], bool] = lambda sitting: False) -> Result:
        controls = Controls(self.state / "key.safetensors", 0, lambda: stop(self))
        steps = self.trainer.train(self.cell, Environment(self.state), self.device, controls)
        while True:
            try:
                record = next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result
            if record is not None:
                self.records.append(record)

    def error(self) -> str:
        with pytest.raises(AblateError) as caught:
            self.run()
        return str(caught.value)
