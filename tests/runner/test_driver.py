"""Studies that decide by themselves how many seeds they need."""

import re
from dataclasses import replace

import pandas as pd
import pytest

import ablate
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.results import Results
from ablate.runner.job import wanted
from ablate.spec import load
from ablate.stats.effects import effects
from ablate.stats.summary import values

RULE = {"min": 3, "max": 5, "stop": "decided"}


@pytest.fixture
def planned(spec, environment):
    spec["factors"]["lr"] = {"low": {"optimizer": {"lr": 0.01}}}
    plan = make_plan(load(spec | {"seeds": RULE}), default())
    return plan, make_cells(plan, default(), environment, "cpu")


def study_of(plan, values, failed=()):
    """A study with these values: variant -> one for each seed."""
    rows = [(name, seed, "done", value) for name, numbers in values.items() for seed, value in enumerate(numbers)]
    rows += [(name, seed, "failed", None) for name, seed in failed]
    cells = pd.DataFrame(rows, columns=["variant", "seed", "status", "accuracy"])
    return Results("tiny", "", plan.compare, plan.infos(), cells, pd.DataFrame(), stopping=plan.stopping)


def counts(cells):
    return pd.Series([cell.variant for cell in cells]).value_counts().to_dict()


def test_a_study_begins_with_the_least_and_adds_where_nothing_is_decided(planned):
    plan, cells = planned
    assert counts(wanted(plan, cells, None)) == {"base": 3, "batch_norm=on": 3, "lr=low": 3}
    clear, unclear, base = [0.9, 0.91, 0.92], [0.5, 0.52, 0.48], [0.5, 0.51, 0.49]
    study = study_of(plan, {"base": base, "batch_norm=on": clear, "lr=low": unclear})
    assert counts(wanted(plan, cells, study)) == {"base": 4, "batch_norm=on": 3, "lr=low": 4}
    at_the_end = study_of(plan, {"base": [*base, 0.5, 0.5], "batch_norm=on": clear, "lr=low": [*unclear, 0.5, 0.5]})
    assert len(wanted(plan, cells, at_the_end)) == len(at_the_end.cells)


def test_a_failed_cell_does_not_hold_a_study_up(planned):
    plan, cells = planned
    values = {"base": [0.5, 0.51, 0.49], "batch_norm=on": [0.9, 0.91, 0.92], "lr=low": [0.5, 0.52]}
    study = study_of(plan, values, failed=[("lr=low", 2)])
    assert counts(wanted(plan, cells, study)) == {"base": 4, "batch_norm=on": 3, "lr=low": 4}


def test_a_run_that_ended_before_the_epoch_that_is_compared_does_not_hold_a_study_up(planned):
    plan, cells = planned
    plan = replace(plan, compare=replace(plan.compare, at=3))
    numbers = {"base": [0.5, 0.51, 0.49, 0.5], "batch_norm=on": [0.9, 0.91, 0.92], "lr=low": [0.5, 0.52, 0.51, 0.5]}
    study = study_of(plan, numbers)
    epochs = study.cells[["variant", "seed", "accuracy"]].assign(epoch=3)
    epochs.loc[epochs["variant"].eq("lr=low") & epochs["seed"].eq(2), "epoch"] = 2
    study = replace(study, cells=study.cells.assign(weights_sha256=None), epochs=epochs)
    assert values(study)["value"].isna().sum() == 1
    assert counts(wanted(plan, cells, study)) == {"base": 5, "batch_norm=on": 3, "lr=low": 5}
    looked = {effect.variant: effect.n for effect in effects(study)}
    assert looked == {"batch_norm=on": 3, "lr=low": 3}, "of four seeds, with the one that has no value"


def test_a_fixed_number_of_seeds_is_all_of_them(planned):
    plan, cells = planned
    assert len(wanted(replace(plan, stopping=None), cells, None)) == 15


@pytest.mark.slower
def test_a_study_runs_until_it_is_decided_and_again_without_training(spec, tmp_path, in_this_process):
    spec["base"]["epochs"] = 3
    study = ablate.run(spec | {"seeds": RULE}, store=tmp_path, device="cpu")
    (effect,) = effects(study)
    assert set(study.cells["status"]) == {"done"}
    assert study.stopping is not None
    seeds = len(study.cells) // 2
    assert 3 <= seeds <= 5
    assert seeds == 5 or effect.verdict != "undecided"
    again = ablate.run(spec | {"seeds": RULE}, store=tmp_path, device="cpu")
    pd.testing.assert_frame_equal(again.cells, study.cells)


@pytest.mark.slower
def test_a_second_spec_of_one_name_is_told_and_the_first_keeps_its_record(spec, tmp_path, in_this_process):
    spec |= {"seeds": 1}
    first = ablate.run(spec, store=tmp_path, device="cpu", progress=False)
    second = spec | {"factors": {"rate": {"low": {"optimizer": {"lr": 0.0001}}}}}
    with pytest.warns(
        UserWarning, match=r"had a study '.*' with another spec: factors\..* Its cells stay, and it is called '.*@.*'"
    ) as told:
        ablate.run(second, store=tmp_path, device="cpu", progress=False)
    (earlier,) = {name for warning in told for name in re.findall(r"`ablate report (.*@.*)`", str(warning.message))}
    pd.testing.assert_frame_equal(ablate.load_study(earlier, store=tmp_path).cells, first.cells)
