"""What a few batches tell of a whole training."""

from dataclasses import replace
from statistics import fmean

import pytest
import torch

from ablate.engine import pace as module
from ablate.engine.cell_training import CellTraining
from ablate.engine.pace import Clock, pace, whole_of
from ablate.engine.train import train
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.trainer import Controls, Pace

CPU = torch.device("cpu")
NOTHING = Pace(0, 0, 0, 0, 0, "")


def cell_of(spec, environment, *overrides):
    plan = make_plan(load({key: value for key, value in spec.items() if key != "factors"}, overrides), default())
    return make_cells(plan, default(), environment, "cpu")[-1].cell


def ended(steps):
    """What a generator returns, and how often it yields."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


def training_of(cell, environment):
    from ablate.engine import data

    return CellTraining(default(), cell, data.load(default(), cell.recipe, cell.seed, environment, CPU), CPU)


def test_a_training_that_is_over_soon_is_measured_whole(spec, environment):
    cell = cell_of(spec, environment)
    found, turns = ended(pace(default(), cell, environment, CPU, 3600))
    assert found.measured == "10 batches"  # 160 images, 32 a batch, 2 epochs
    assert turns >= 10, "others have a turn after each batch"
    assert 0 < found.low < found.seconds < found.high
    assert found.spent >= found.once


def test_a_long_one_is_measured_in_parts(spec, environment, monkeypatch):
    monkeypatch.setattr(module, "IMAGES", 16)
    cell = cell_of(spec, environment, "base.batch_size=1", "base.epochs=1000")
    found, _ = ended(pace(default(), cell, environment, CPU, 0.01))
    batches, images = (int(part.split()[0]) for part in found.measured.split(" and "))
    assert 2 <= batches < 160
    assert 16 <= images <= 1000
    assert found.seconds > 10 * found.spent


def test_measuring_leaves_no_trace_in_what_is_trained(spec, environment, tmp_path):
    cell = cell_of(spec, environment)
    ended(pace(default(), cell, environment, CPU, 0.05))
    after = train(default(), cell, environment, CPU, Controls(tmp_path / "state.safetensors"))
    assert after.weights_sha256 == train(default(), cell, environment, CPU, Controls(tmp_path / "s.safetensors")).weights_sha256


def test_the_whole_is_put_together_from_its_parts(spec, environment):
    """5 batches an epoch, of which the first has the transforms; the third and the last epoch are evaluated."""
    run = training_of(cell_of(spec, environment, "base.epochs=4", "base.eval_every=3"), environment)
    clock = Clock(first=[3.0, 5.0], pieces=[(2, 2.0), (1, 3.0), (2, 0.8)], evaluations=[7.0])
    a_batch = 5.8 / 5
    found = whole_of(run, clock, setup=2.0, so_far=NOTHING)
    assert found.seconds == pytest.approx(2 + 4 * (4.0 + 4 * a_batch) + 2 * 7)
    assert found.low == pytest.approx(found.seconds * 0.4 / a_batch)
    assert found.high == pytest.approx(found.seconds * 3.0 / a_batch)


def test_the_range_is_never_narrower_than_a_machine_is_even(spec, environment):
    run = training_of(cell_of(spec, environment), environment)
    found = whole_of(run, Clock([1.0], [(1, 1.0), (1, 1.0)], [1.0]), 0.0, NOTHING)
    assert (found.low, found.high) == (pytest.approx(0.9 * found.seconds), pytest.approx(1.1 * found.seconds))


def test_a_selected_epoch_is_tested_beside(spec, environment):
    dataset = 'base.dataset={"use": "digits", "size": 16, "limit": 160, "validation": 0.5}'
    cells = [
        cell_of(spec, environment, dataset, 'base.eval_split="validation"', f"base.select={name}") for name in ('"loss"', "null")
    ]
    runs = [training_of(cell, environment) for cell in cells]
    with_test, without = (whole_of(run, Clock([1.0], [(1, 1.0)], [1.0]), 0.0, NOTHING).seconds for run in runs)
    assert with_test - without == pytest.approx(len(runs[0].test.labels) / len(runs[0].evaluation.labels))


def test_one_batch_an_epoch_has_no_others(spec, environment):
    run = training_of(cell_of(spec, environment, "base.batch_size=160"), environment)
    clock = Clock(first=[1.0, 2.0], evaluations=[1.0])
    assert clock.other == fmean(clock.first)
    assert whole_of(run, clock, 0.0, NOTHING).seconds == pytest.approx(2 * 1.5 + 2 * 1.0)


def test_a_machine_without_the_data_says_so(spec, environment):
    cell = cell_of(spec, environment)
    lost = replace(cell, identity={**cell.identity, "data": "0" * 64})
    with pytest.raises(Exception, match="was changed while the study ran"):
        ended(pace(default(), lost, environment, CPU, 0.1))
