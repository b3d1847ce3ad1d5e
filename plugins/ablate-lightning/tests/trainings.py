"""A cell trained in this process, in one sitting or in many."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ablate.contracts import Cell, Environment, Result
from ablate.registry import default
from ablate.spec.trainer import Controls, trainer_of
from ablate.testing import sittings


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
    controls = Controls(folder / "cell.safetensors", should_stop=stop)
    return sittings.trained(trainer_of(default(), recipe), Cell("k" * 64, recipe, seed, "cpu", {}), Environment(folder), controls)


def interrupted(recipe: dict[str, Any], folder: Path, every: int, seed: int = 0) -> tuple[Result, int]:
    """The result of a training that is asked to stop at each so many batches that it gets, and the number of sittings."""
    return sittings.in_sittings(lambda stop: trained(recipe, folder, seed, stop), every)
