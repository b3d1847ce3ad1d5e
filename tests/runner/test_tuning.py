"""Settings that are tried and chosen: as often for every variant, on validation images, and the same however often one asks."""

import dataclasses
import json
import math
import os
import signal

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.contracts import Result
from ablate.engine import data
from ablate.engine.train import train
from ablate.errors import EnvironmentProblem, SpecError
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.registry.hooks import hookimpl
from ablate.results import Results
from ablate.runner import driver, job, tuning
from ablate.spec import load
from ablate.spec.trainer import Controls

SPACE = {"optimizer.lr": {"low": 0.001, "high": 1, "log": True}}


@pytest.fixture
def tuned(spec):
    spec["base"]["dataset"]["validation"] = 0.25
    return spec | {"tune": {"trials": 5, "space": SPACE}}


def result(recipe, seed, value):
    """A training whose best validation accuracy is that of the first epoch."""
    records = [{"epoch": 1, "accuracy": value + 0.1, "loss": 1 - value}, {"epoch": 2, "accuracy": value, "loss": 2 - value}]
    return Result(records, {"accuracy": value, "loss": 2 - value}, "0", 1.0, 1)


def rate(recipe):
    return recipe["optimizer"]["lr"]


def near(best):
    """Learning rates are the better, the nearer they are to this one."""
    return lambda recipe: 1 - abs(math.log10(rate(recipe) / best)) / 10


class Trainer:
    """Stands in for the driver: trains what is wanted, a round after the other, and keeps what came of it."""

    def __init__(self, spec, environment, value):
        self.plan = make_plan(load(spec), default())
        self.cells = make_cells(self.plan, default(), environment, "cpu")
        self.value, self.done, self.rounds = value, {}, []

    def advance(self):
        return tuning.advance(self.plan, self.cells, default(), lambda keys: {k: self.done[k] for k in keys if k in self.done})

    def round(self):
        """Trains all that is wanted; whether there was anything."""
        cells = self.advance()[1]
        missing = {planned.cell.key: planned.cell for planned in cells if planned.cell.key not in self.done}
        for key, cell in missing.items():
            value = self.value(cell.recipe)
            self.done[key] = None if value is None else result(cell.recipe, cell.seed, value)
        self.rounds.append(list(missing.values()))
        return bool(missing)

    def finish(self):
        while self.round():
            pass
        return self.advance()


@pytest.fixture
def trainer(tuned, environment):
    best = near(0.001)
    return lambda value=best, **tune: Trainer(tuned | {"tune": tuned["tune"] | tune}, environment, value)


def test_every_variant_has_as_many_trials_and_is_trained_with_the_best_setting_and_without(trainer):
    made = trainer(seeds=2)
    plan, cells = made.finish()
    for told, variant in zip(plan.tuning.variants, plan.variants, strict=True):
        assert len(told.trials) == 5
        assert told.trials[0].setting == {"optimizer.lr": 0.05}, "what the spec says comes first"
        best = max(told.trials, key=lambda trial: trial.value)
        assert told.trials[told.chosen] == best
        assert rate(variant.recipe) == best.setting["optimizer.lr"]
        seeds = {name: [p.cell for p in cells if p.variant == name] for name in (variant.name, told.untuned)}
        assert [cell.seed for cell in seeds[variant.name]] == [cell.seed for cell in seeds[told.untuned]] == [0, 1]
        assert {rate(cell.recipe) for cell in seeds[variant.name]} == {rate(variant.recipe)}
        assert {rate(cell.recipe) for cell in seeds[told.untuned]} == {0.05}
    one, other = ([trial.setting for trial in told.trials] for told in plan.tuning.variants)
    assert one == other, "the same space is searched with the same settings"


def test_trials_are_judged_on_validation_images_with_seeds_of_their_own(trainer):
    _, cells = trainer(seeds=2).finish()
    trials = [planned.cell for planned in cells if "(trial" in planned.variant]
    rest = [planned.cell for planned in cells if "(trial" not in planned.variant]
    assert len(trials) == 2 * 5 * 2
    assert {(cell.recipe["eval_split"], cell.recipe["select"]) for cell in trials} == {("validation", None)}
    assert {cell.recipe["eval_split"] for cell in rest} == {"test"}
    assert {cell.seed for cell in trials} == {2**32, 2**32 + 1}
    assert {cell.seed for cell in rest} == {0, 1}


def test_listeners_are_told_the_levels_of_a_variant_for_all_of_its_cells(trainer, environment):
    plan, cells = trainer().finish()
    infos = job.Job(plan, cells, default(), environment, "cpu").infos().values()
    assert len({name for info in infos for name in info.variants}) == 2 * (5 + 2), "trials, tuned, and without tuning"
    for info in infos:
        (level,) = {name.partition(" (")[0] for name in info.variants}
        assert info.levels == {"batch_norm": "on" if level == "batch_norm=on" else "base"}


def test_a_trial_never_sees_the_test_images(trainer, environment, tmp_path, monkeypatch):
    """Its result is the same, bit for bit, where there are other ones."""
    (cell, *_) = (planned.cell for planned in trainer().advance()[1])

    def trained(name):
        return train(default(), cell, environment, torch.device("cpu"), Controls(tmp_path / name))

    before = trained("one")
    real = data.load

    def poisoned(*arguments):
        loaded = real(*arguments)
        return dataclasses.replace(loaded, test=data.Part(torch.zeros_like(loaded.test.images), loaded.test.labels.flip(0)))

    monkeypatch.setattr(data, "load", poisoned)
    after = trained("other")
    assert (after.metrics, after.weights_sha256) == (before.metrics, before.weights_sha256)
    test = dataclasses.replace(cell, recipe={**cell.recipe, "eval_split": "test"}, key="0" * 64)
    poisoned_test = train(default(), test, environment, torch.device("cpu"), Controls(tmp_path / "third"))
    assert poisoned_test.weights_sha256 == before.weights_sha256
    assert poisoned_test.metrics != before.metrics


def test_decisions_are_the_same_wherever_one_stops(trainer):
    """A tuner that waits for values is asked again from the first trial on."""
    whole = trainer()
    plan, cells = whole.finish()
    for stop in range(0, len(whole.done), 4):
        again = trainer()
        again.done = dict(list(whole.done.items())[:stop])
        found, known = again.finish()
        assert found.tuning == plan.tuning
        assert known == cells
        assert not {cell.key for cells in again.rounds for cell in cells} - set(list(whole.done)[stop:])


def test_random_draws_all_trials_at_once_and_then_the_study_is_trained(trainer):
    made = trainer()
    made.finish()
    assert [len(cells) for cells in made.rounds] == [2 * 5, 2 * 2 * 2, 0]


class Stepping:
    """A tuner that halves the best learning rate, and waits for every value."""

    def __init__(self):
        self.asked = 0

    def __call__(self, trials):
        self.asked += 1
        if any(trial.value is None for trial in trials):
            return None
        known = [trial for trial in trials if not math.isnan(trial.value)]
        best = max(known, key=lambda trial: trial.value) if known else trials[-1]
        return {"optimizer.lr": max(best.setting["optimizer.lr"] / 2, 0.001)}


@pytest.fixture
def stepping(monkeypatch):
    tuner = Stepping()
    tuning.suggested.cache_clear()
    monkeypatch.setattr(tuning, "build", lambda *_: tuner)
    yield tuner
    tuning.suggested.cache_clear()


def test_a_tuner_that_waits_goes_trial_by_trial(trainer, stepping):
    made = trainer(near(0.0125))
    plan, _ = made.finish()
    assert [len(cells) for cells in made.rounds] == [2, 2, 2, 2, 8, 0], "the last setting was tried before"
    rates = [trial.setting["optimizer.lr"] for trial in plan.tuning.variants[0].trials]
    assert rates == [0.05, 0.025, 0.0125, 0.00625, 0.00625]
    assert plan.tuning.variants[0].chosen == 2
    assert stepping.asked == 2 * 4, "nobody asks twice, and variants with one history share the answer"


def test_values_point_the_way_that_the_metric_says(tuned, environment, stepping):
    """Where less is better, the tuner is told the opposite sign, and the smallest value is chosen."""
    made = Trainer(tuned | {"compare": {"metric": "loss"}}, environment, near(0.0125))
    plan, _ = made.finish()
    values = [trial.value for trial in plan.tuning.variants[0].trials]
    assert plan.tuning.variants[0].chosen == values.index(min(values)) == 2


def test_of_equal_settings_the_earliest_is_chosen(trainer):
    plan, cells = trainer(lambda recipe: 0.5).finish()
    assert [told.chosen for told in plan.tuning.variants] == [0, 0]
    keys = {name: [p.cell.key for p in cells if p.variant == name] for name in ("base", "base (untuned)")}
    assert keys["base"] == keys["base (untuned)"], "and its cells are those without tuning"


def test_a_trial_that_failed_is_not_chosen_and_one_seed_is_enough_for_that(trainer, stepping):
    def value(recipe):
        return None if rate(recipe) < 0.02 else near(0.0125)(recipe)

    plan, _ = trainer(value).finish()
    told = plan.tuning.variants[0]
    assert [trial.value is None for trial in told.trials] == [False, False, True, True, True]
    assert told.chosen == 1


def test_a_variant_whose_trials_all_failed_is_trained_as_it_is_and_no_other_way(trainer):
    plan, cells = trainer(lambda recipe: None if recipe["model"]["batch_norm"] else near(0.1)(recipe)).finish()
    base, normed = plan.tuning.variants
    assert base.chosen is not None
    assert normed.chosen is None
    assert normed.ended
    names = [planned.variant for planned in cells]
    assert names.count("batch_norm=on") == 0
    assert names.count("batch_norm=on (untuned)") == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, 0.5),
        ({"compare": {"at": 1}}, 0.6),
        ({"select": "loss"}, 0.6),
        ({"select": "accuracy", "compare": {"metric": "loss"}}, 0.5),
    ],
)
def test_the_value_of_a_trial_is_that_of_the_epoch_that_counts(tuned, environment, changes, told):
    tuned |= {key: value for key, value in changes.items() if key == "compare"}
    if "select" in changes:
        tuned["base"] |= {"select": changes["select"], "eval_split": "validation"}
    plan, _ = Trainer(tuned, environment, lambda recipe: 0.5).finish()
    assert plan.tuning.variants[0].trials[0].value == pytest.approx(told)


@pytest.mark.parametrize(
    ("suggest", "message"),
    [
        (lambda trials: None, "there is nothing to wait for"),
        (lambda trials: {"optimizer.lr": 2.0}, "which the space does not have"),
        (lambda trials: 1 / 0, "failed at trial 2: ZeroDivisionError"),
    ],
)
def test_a_tuner_that_does_not_keep_its_word_is_told_by_name(trainer, monkeypatch, suggest, message):
    tuning.suggested.cache_clear()
    made = trainer()
    monkeypatch.setattr(tuning, "build", lambda *_: suggest)
    with pytest.raises(EnvironmentProblem, match=f"'ablate-core:random'.*{message}"):
        made.finish()
    tuning.suggested.cache_clear()


def test_the_setting_of_a_transform_keeps_its_place_in_the_order(tuned, environment):
    crop = {"use": "random_crop", "size": 16, "padding": 2}
    tuned["tune"]["space"] = {"train_transforms.crop": {"choices": [crop, {**crop, "padding": 4}]}}
    plan, _ = Trainer(tuned, environment, lambda recipe: len(recipe["train_transforms"]) / 4).finish()
    assert plan.tuning.variants[0].trials[0].setting == {"train_transforms.crop": None}
    assert list(plan.variants[0].recipe["train_transforms"]) == ["crop", "normalize"]


class Interrupting:
    """Stops the run after so many cells, and keeps what was trained."""

    def __init__(self, after=None):
        self.after, self.trained = after, []

    @hookimpl
    def cell_end(self, cell, status):
        if status == "done":
            self.trained.append(cell.key)
            if len(self.trained) == self.after:
                os.kill(os.getpid(), signal.SIGINT)


def run(spec, store, listener):
    options = job.Options(store, device="cpu", jobs=1)
    return driver.run_study(spec, (), options, {"test": listener}, lambda message: None)


@pytest.mark.slower
def test_an_interrupted_study_goes_on_with_the_same_decisions_and_trains_nothing_twice(tuned, tmp_path):
    tuned |= {"tune": {"trials": 3, "space": SPACE}, "seeds": 1}
    once, whole = Interrupting(), Interrupting(2)
    study, _ = run(tuned, tmp_path / "one", once)
    interrupted, stopped = run(tuned, tmp_path / "other", whole)
    assert stopped
    assert len(interrupted.every_cell) == 6
    assert interrupted.cells.empty
    assert interrupted.tuning.variants[0].chosen is None
    rest = Interrupting()
    again, stopped = run(tuned, tmp_path / "other", rest)
    assert not stopped
    assert again.tuning.variants == study.tuning.variants
    assert sorted(whole.trained + rest.trained) == sorted(once.trained)
    columns = ["variant", "seed", "key", "status", "weights_sha256", "accuracy"]
    pd.testing.assert_frame_equal(again.cells[columns], study.cells[columns])
    pd.testing.assert_frame_equal(again.tuning.cells[columns], study.tuning.cells[columns])
    nothing = Interrupting()
    run(tuned, tmp_path / "other", nothing)
    assert nothing.trained == []


def test_a_study_with_a_stopping_rule_has_as_many_seeds_without_tuning(tuned, environment):
    made = Trainer(tuned | {"seeds": {"min": 2, "max": 4, "stop": "decided"}}, environment, near(0.001))
    plan, cells = made.finish()
    clear, unclear = {"base": [0.5, 0.51, 0.49]}, {"batch_norm=on": [0.5, 0.52, 0.47]}
    rows = [(name, seed, "done", value) for name, values in (clear | unclear).items() for seed, value in enumerate(values)]
    done = pd.DataFrame(rows, columns=["variant", "seed", "status", "accuracy"])
    study = Results("tiny", "", plan.compare, plan.infos(), done, pd.DataFrame(), stopping=plan.stopping, tuning=plan.tuning)
    for known, seeds in ((None, 2), (study, 4)):
        wanted = job.wanted(plan, cells, known)
        counts = pd.Series([planned.variant for planned in wanted if "trial" not in planned.variant]).value_counts()
        assert counts.to_dict() == dict.fromkeys(
            [*(v.name for v in plan.variants), *(t.untuned for t in plan.tuning.variants)], seeds
        )
        assert len(wanted) - counts.sum() == 2 * 5, "and all trials"


def test_a_setting_that_cannot_work_is_told_before_anything_is_trained(tuned, tmp_path):
    tuned["tune"]["space"] = {"train_transforms.crop": {"choices": [None, {"use": "random_crop", "size": 99}]}}
    with pytest.raises(SpecError, match=r"base with train_transforms.crop"):
        ablate.run(tuned, store=tmp_path, device="cpu")


def test_check_shows_what_is_searched_and_how_many_cells_it_takes_at_most(tuned, write, tmp_path):
    rates = {"optimizer.lr": {"low": 0.01, "high": 0.1}}
    tuned["tune"] |= {"seeds": 2, "spaces": {"batch_norm=on": rates}}
    shown = CliRunner().invoke(app, ["check", str(write(tuned)), "--store", str(tmp_path), "--device", "cpu"])
    text = " ".join(shown.stdout.split())
    assert "tuning: 5 trials of 2 seeds for each variant (random)" in text
    assert "base optimizer.lr: 0.001 to 1.0, logarithmic batch_norm=on optimizer.lr: 0.01 to 0.1" in text
    assert "at most 28 cells, for each variant 5 trials of 2 seeds, 2 seeds tuned and 2 untuned: 0 stored, 28 to train" in text
    as_json = CliRunner().invoke(app, ["check", str(write(tuned)), "--store", str(tmp_path), "--device", "cpu", "--json"])
    told = json.loads(as_json.stdout)["tuning"]
    assert [len(variant["trials"]) for variant in told["variants"]] == [5, 5]
    assert told["variants"][0]["trials"][0] == {"name": "base (trial 1)", "setting": {"optimizer.lr": 0.05}, "value": None}
