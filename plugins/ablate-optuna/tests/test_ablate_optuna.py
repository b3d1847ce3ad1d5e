"""Optuna's samplers through the registry, as a spec uses them."""

import json
import math
import re
from pathlib import Path

import ablate_optuna
import optuna
import pytest

import ablate
from ablate.contracts import Choice, Range, Trial
from ablate.plan.space import contains
from ablate.testing import TunerContract
from ablate.testing.tuners import score

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
LR = {"optimizer.lr": Range(0.00001, 1.0, log=True)}
MIXED = TunerContract.spaces[1]


class TestTpe(TunerContract):
    component = {"use": "optuna"}


class TestTpeAtOnce(TunerContract):
    component = {"use": "optuna", "startup": 4, "at_once": 3}


class TestGp(TunerContract):
    component = {"use": "optuna", "sampler": "gp", "startup": 3}
    spaces = ({"optimizer.lr": Range(0.0001, 0.1, log=True), "optimizer.momentum": Range(0.0, 0.99)},)
    trials = 5


def searched(tuner, space, trials, value):
    """The trials of a search, the first of which is outside of the space."""
    found = [Trial(dict.fromkeys(space), 0.0)]
    for _ in range(trials):
        setting = tuner(found)
        found.append(Trial(setting, value(setting)))
    return found


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_it_learns_where_good_settings_are(sampler):
    """The best learning rate is 0.01; with the trials before, it comes nearer than half of them did at random."""

    def value(setting):
        return -abs(math.log10(setting["optimizer.lr"]) + 2)

    trials = searched(ablate_optuna.optuna(LR, sampler=sampler, startup=8), LR, 14, value)
    drawn, learned = ([trial.value for trial in part] for part in (trials[1:9], trials[9:]))
    assert sum(learned) / len(learned) > sum(drawn) / len(drawn)
    assert max(learned) > sorted(drawn)[len(drawn) // 2]


def test_a_search_that_goes_on_elsewhere_is_the_same():
    whole = searched(ablate_optuna.optuna(MIXED, startup=3), MIXED, 12, lambda setting: score(MIXED, setting))
    for stopped in (1, 4, 9):
        assert ablate_optuna.optuna(MIXED, startup=3)(whole[:stopped]) == whole[stopped].setting
    other = searched(ablate_optuna.optuna(MIXED, startup=3, seed=1), MIXED, 12, lambda setting: score(MIXED, setting))
    assert [trial.setting for trial in other] != [trial.setting for trial in whole]


def test_it_waits_for_values_as_it_is_told():
    history = [Trial({"optimizer.lr": 0.01 * number}, None if number > 10 else 0.1) for number in range(1, 13)]
    assert ablate_optuna.optuna(LR)(history) is None
    assert ablate_optuna.optuna(LR, at_once=2)(history) is None
    assert contains(LR, ablate_optuna.optuna(LR, at_once=3)(history))


def test_what_is_tried_at_once_lies_apart():
    """The values that are not known yet count, so that the next setting is not the same again."""
    known = searched(ablate_optuna.optuna(LR), LR, 12, lambda setting: -abs(math.log10(setting["optimizer.lr"]) + 2))
    tuner = ablate_optuna.optuna(LR, at_once=4)
    found = list(known)
    for _ in range(4):
        found.append(Trial(tuner(found)))
    assert len({trial.setting["optimizer.lr"] for trial in found[-4:]}) == 4


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Range(1, 7, step=3), {1, 4, 7}),
        (Range(1, 8, step=3), {1, 4, 7}),
        (Range(0.1, 0.5, step=0.2), {0.1, 0.3, 0.5}),
        (Range(1, 3, log=True), {1, 2, 3}),
        (Choice(([0.9, 0.99], None, {"use": "x"})), {"[0.9, 0.99]", "null", '{"use": "x"}'}),
    ],
)
def test_every_value_of_a_domain_comes_up_and_no_other(domain, values):
    space = {"a.b": domain}
    found = [ablate_optuna.optuna(space, seed=seed)([Trial({"a.b": None}, 0.0)])["a.b"] for seed in range(40)]
    shown = {
        value if isinstance(value, int) else round(value, 9) if isinstance(value, float) else json.dumps(value) for value in found
    }
    assert shown == values
    assert all(contains(space, {"a.b": value}) for value in found)


def test_optunas_messages_and_its_users_are_left_alone(capfd):
    before = optuna.logging.get_verbosity()
    ablate_optuna.optuna(LR)([Trial({"optimizer.lr": 0.1}, 0.5)])
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr().err == ""


def study(tune):
    transforms = {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}
    return {
        "name": "tuned",
        "base": {
            "dataset": {"use": "digits", "size": 16, "limit": 400, "validation": 0.3},
            "train_transforms": transforms,
            "eval_transforms": transforms,
            "model": {"use": "net", "batch_norm": True},
            "optimizer": {"use": "sgd", "lr": 0.00001, "momentum": 0.9},
            "batch_size": 32,
            "epochs": 3,
        },
        "tune": tune,
        "seeds": 1,
    }


def test_a_study_finds_a_better_rate_than_a_bad_one_and_the_same_again(tmp_path):
    rates = {"optimizer.lr": {"low": 0.00001, "high": 0.3, "log": True}}
    spec = study({"tuner": {"use": "optuna", "startup": 3, "at_once": 2}, "trials": 7, "space": rates})
    once = ablate.run(spec, store=tmp_path / "one", device="cpu")
    (told,) = once.tuning.variants
    best = told.trials[told.chosen]
    assert len(told.trials) == 7
    assert best.setting["optimizer.lr"] > 0.001
    assert best.value > told.trials[0].value + 0.2
    again = ablate.run(spec, store=tmp_path / "other", device="cpu")
    assert again.tuning.variants == once.tuning.variants


def test_the_readme_says_what_there_is():
    parameters = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    assert parameters == set(ablate_optuna.optuna.__kwdefaults__)
    tune = json.loads("{" + re.search(r'"tune": \{.*?\n    \}', README, re.DOTALL)[0] + "}")["tune"]
    assert tune["tuner"] == {"use": "optuna"}
