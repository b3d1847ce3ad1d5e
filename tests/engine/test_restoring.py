"""A model that was kept gives what its training gave, whatever a recipe has of its own."""

from dataclasses import replace

import numpy as np
import pytest
from test_train import CPU, cell_of, interrupted, run

from ablate.engine import data
from ablate.engine.prepared import prepare
from ablate.engine.restoring import restored
from ablate.engine.train import train
from ablate.predictions import decoded, unpacked
from ablate.registry import default
from ablate.spec.trainer import Controls

pytestmark = pytest.mark.usefixtures("own")
METRICS = 'base.metrics={"accuracy": {"use": "accuracy"}, "loss": {"use": "loss"}, "darker": {"use": "darker"}}'
SPLIT = ('base.eval_split="validation"', "base.dataset.validation=0.3", METRICS)
CASES = {
    "the last epoch": (METRICS, "base.epochs=2"),
    "a moving average": (METRICS, "base.epochs=2", "base.ema=0.9"),
    "a selected epoch": (*SPLIT, "base.epochs=3", 'base.select="accuracy"'),
    "a model that follows the epoch": (METRICS, 'base.model={"use": "deep"}', "base.epochs=3"),
    "a training that its step ended": (*SPLIT, 'base.model={"use": "deep"}', 'base.step={"use": "until"}', "base.epochs=5"),
    "a sampler and a transform that draws": (
        METRICS,
        'base.sampler={"use": "every_other"}',
        'base.eval_transforms.crop={"use": "random_crop", "size": 16, "padding": 2}',
    ),
}


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_a_kept_model_measures_what_its_training_measured(spec, environment, tmp_path, overrides):
    cell = cell_of(spec, environment, *overrides)
    file = tmp_path / "kept.safetensors"
    result = train(default(), cell, environment, CPU, Controls(tmp_path / "state", weights=file))
    model = restored(default(), cell, file, result.kept_sha256, CPU)
    tensors = data.load(default(), cell.recipe, cell.seed, environment, CPU)
    shown = tensors.evaluation if cell.recipe["select"] is None else tensors.test
    part = prepare(shown, model.pipeline, cell.recipe, "eval_transforms", cell.seed)
    found = model.measured(default(), cell.recipe, part)
    assert {name: found[name] for name in result.metrics} == result.metrics
    said = unpacked(decoded(result.predictions))
    assert (said.answers == model.predicted(part)[0].argmax(1).numpy()).all()
    assert np.mean(said.answers == said.labels) == pytest.approx(result.metrics["accuracy"], abs=1e-7)


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_what_was_said_does_not_depend_on_interruptions(spec, environment, tmp_path, overrides):
    cell = cell_of(spec, environment, *overrides)
    whole, parts = run(cell, environment, tmp_path / "whole"), interrupted(cell, environment, tmp_path / "parts", 2)[0]
    assert whole.predictions is not None
    assert parts.predictions == whole.predictions


def test_a_training_that_diverged_has_said_nothing(spec, environment, tmp_path):
    cell = cell_of(spec, environment, "base.optimizer.lr=1e30")
    result = run(cell, environment, tmp_path)
    assert result.metrics == {"accuracy": None, "loss": None}
    assert replace(result, predictions=None) == result
