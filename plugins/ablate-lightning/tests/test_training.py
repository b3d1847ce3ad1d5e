"""Trainings of a cell in this process, as the contract does not try them: what is learnt, and other recipes interrupted."""

import json
from pathlib import Path
from typing import Any

import pytest
from trainings import interrupted, recipe, trained

from ablate.testing.sittings import numbers


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
