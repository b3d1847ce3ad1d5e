"""Trainings of a cell in this process, as the contract does not try them: what is learnt, and other recipes interrupted."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.records import Cell, Environment, Result
from ablate.registry import default
from ablate.trainers import Controls, Interrupted, trainer_of

HERE = Path(__file__).parent
TIMES = ("seconds",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where somebody has the code of a study, and is."""
    shutil.copy(HERE / "rings.py", tmp_path / "rings.py")
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


def test_a_training_learns_and_says_what_it_logs(folder: Path):
    result = trained(recipe(max_epochs=12), folder)
    assert [record["epoch"] for record in result.epochs] == list(range(1, 13))
    assert set(result.epochs[0]) == {"epoch", "lr", "seconds", "train_loss", "val_accuracy", "val_loss"}
    assert result.epochs[-1]["train_loss"] < result.epochs[0]["train_loss"]
    assert result.metrics["val_accuracy"] > 0.8
    assert result.parameters == 2 * 16 + 16 + 2 * 16 + 16 * 2 + 2


SETTINGS = [
    {},
    {"settings": {"module": {"schedule": "epoch"}}},
    {"settings": {"module": {"schedule": "cycle"}}, "accumulate_grad_batches": 3},
    {"settings": {"data_module": {"workers": 1}}},
    {"precision": "bf16-mixed", "gradient_clip_val": 0.5},
]


@pytest.mark.parametrize("more", SETTINGS, ids=json.dumps)
def test_interrupted_equals_whole(more: dict[str, Any], folder: Path):
    """Eight batches an epoch; it is stopped in the middle of the second one, and goes on from the end of the first."""
    whole = trained(recipe(**more), folder / "whole")
    parts, sittings = interrupted(recipe(**more), folder / "parts", every=12)
    assert sittings == 3
    assert numbers(parts) == numbers(whole)
