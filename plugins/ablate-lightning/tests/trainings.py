"""A cell trained in this process, in one sitting or in many."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ablate.contracts import Cell, Environment, Result
from ablate.registry import default
from ablate.spec.trainer import Controls, Interrupted, trainer_of

TIMES = ("seconds",)


def recipe(**more: Any) -> dict[str, Any]:
    own = {
        "use": "lightning",
        "module": "rings.py:Net",
        "data_module": "rings.py:Rings",
        "metrics": {"val_accuracy": "maximize", "val_loss": "minimize"},
        "max_epochs": 3,
    }
    defaults = {name: p.default for name, p in default().load("trainer", "lightning").signature.parameters.items()}
    return {**defaults, **own, **more}


def trained(recipe: dict[str, Any], folder: Path, seed: int = 0, stop: Callable[[], bool] = lambda: False) -> Result:
    trainer = trainer_of(default(), recipe)
    cell = Cell("k" * 64, recipe, seed, "cpu", {})
    steps = trainer.train(cell, Environment(folder), "cpu", Controls(folder / "cell.safetensors", should_stop=stop))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def interrupted(recipe: dict[str, Any], folder: Path, every: int, seed: int = 0) -> tuple[Result, int]:
    """The result of a training that is asked to stop at each so many batches that it gets, and the number of sittings."""
    for sitting in itertools.count(1):
        asked = itertools.count(1)
        try:
            return trained(recipe, folder, seed, lambda asked=asked: next(asked) >= every), sitting
        except Interrupted:
            assert sitting < 20, "it does not get on"


def numbers(result: Result) -> Any:
    epochs = [{name: value for name, value in record.items() if name not in TIMES} for record in result.epochs]
    return epochs, result.metrics, result.weights_sha256, result.parameters
