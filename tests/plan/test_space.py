"""What a spec may say of tuning."""

import pytest

from ablate.contracts import Choice, Range
from ablate.errors import SpecError, UsageError
from ablate.plan import make_plan, placebo
from ablate.plan.space import contains, rounded, words
from ablate.registry import default
from ablate.spec import load


@pytest.fixture
def tuned(spec):
    spec["base"]["dataset"]["validation"] = 0.25
    spec["factors"]["optimizer"] = {"adam": {"optimizer": {"use": "adam"}}}
    space = {"optimizer.lr": {"low": 0.001, "high": 1, "log": True}, "batch_size": {"choices": [16, 32]}}
    return spec | {"tune": {"trials": 4, "space": space}}


def plan_of(spec, *overrides):
    return make_plan(load(spec, overrides), default())


def test_every_variant_is_searched_in_its_space_with_seeds_that_no_study_has(tuned):
    own = {"optimizer.lr": {"low": 0.01, "high": 0.1}, "epochs": {"low": 1, "high": 3}}
    tuned["tune"] |= {"seeds": 2, "spaces": {"optimizer=adam": own}}
    search = plan_of(tuned | {"seeds": [0, 4294967295]}).search
    common = {"optimizer.lr": Range(0.001, 1.0, log=True), "batch_size": Choice((16, 32))}
    assert search.spaces == {
        "base": common,
        "batch_norm=on": common,
        "optimizer=adam": {"optimizer.lr": Range(0.01, 0.1), "epochs": Range(1, 3)},
    }
    assert search.spaces["optimizer=adam"]["epochs"].whole
    assert search.seeds == (4294967296, 4294967297)
    assert search.trials == 4
    assert search.tuner == {"use": "ablate-core:random", "seed": 0}


def test_a_level_has_a_space_in_every_variant_that_has_the_level_and_a_name_comes_first(tuned):
    own = {
        key: {"optimizer.lr": {"low": 0.1, "high": high}}
        for key, high in (("optimizer=adam", 2), ("batch_norm=on,optimizer=adam", 3))
    }
    tuned["tune"]["spaces"] = own
    spaces = plan_of(tuned | {"design": {"use": "factorial"}}).search.spaces
    assert {name: space["optimizer.lr"].high for name, space in spaces.items()} == {
        "base": 1.0,
        "optimizer=adam": 2.0,
        "batch_norm=on": 1.0,
        "batch_norm=on,optimizer=adam": 3.0,
    }


def test_choices_are_components_lists_and_nothing(tuned):
    choices = [{"use": "constant"}, {"use": "cosine"}]
    tuned["tune"]["space"] |= {"scheduler": {"choices": choices}, "grad_clip": {"choices": [None, 1]}}
    space = plan_of(tuned).search.spaces["base"]
    assert [value["use"] for value in space["scheduler"].values] == ["ablate-core:constant", "ablate-core:cosine"]
    assert space["grad_clip"] == Choice((None, 1.0))


LR = {"low": 0.001, "high": 0.1}


@pytest.mark.parametrize(
    ("tune", "messages"),
    [
        ({"trials": 1}, ["tune.trials: found 1, expected a whole number ≥ 2"]),
        ({"space": {}}, ["tune.space: is empty"]),
        ({"space": {f"optimizer.p{i}": LR for i in range(101)}}, ["tune.space: found", "at most 100 paths"]),
        ({"space": {"batch_size": {"choices": list(range(1, 1002))}}}, ["tune.space.batch_size: found", "(at most 1,000)"]),
        (
            {"trials": 9000, "seeds": 4},
            ["tune: 3 variants with 2 seeds and 36,000 cells of trials are 108,012 cells", "at most 100,000"],
        ),
        ({"space": {"optimizer.lr": {"low": 1}}}, ['tune.space."optimizer.lr"', '{"choices": [32, 64]}']),
        ({"tuner": {"use": "randon"}}, ["tune.tuner.use", "Did you mean 'random'"]),
        ({"tuner": {"use": "random", "sed": 1}}, ["tune.tuner.sed: there is no such setting"]),
        (
            {"space": {"optimizer.momentum": LR}},
            [
                'tune.space."optimizer.momentum": optimizer.momentum: there is no such setting',
                "(in variant 'optimizer=adam')",
                "`tune.spaces`",
            ],
        ),
        (
            {"space": {"optimizer.momentun": LR}},
            ["there is no such setting", "'momentum'", "in variants 'base', 'batch_norm=on'"],
        ),
        ({"space": {"optimiser.lr": LR}}, ["optimiser: there is no such setting", "Did you mean 'optimizer'"]),
        ({"space": {"optimizer..lr": LR}}, ["'optimizer..lr' is not a path"]),
        ({"space": {"optimizer.lr": {"low": 0, "high": 0.1}}}, ["optimizer.lr: found 0, expected a number > 0"]),
        ({"space": {"batch_size": {"low": 8.5, "high": 16}}}, ["batch_size: found 8.5, expected a whole number ≥ 1"]),
        ({"space": {"batch_size": {"low": 8, "high": 16, "step": 0.5}}}, ["step 0.5 leads to numbers that are not whole"]),
        ({"space": {"batch_size": {"choices": [16, "many"]}}}, ['batch_size: found "many"']),
        ({"space": {"optimizer.lr": {"low": 0.1, "high": 0.01}}}, ["low 0.1 is not below high 0.01"]),
        ({"space": {"model.dropout": {"low": 0, "high": 0.5, "log": True}}}, ["low 0 has no logarithm"]),
        ({"space": {"optimizer.lr": {**LR, "log": True, "step": 0.01}}}, ["a logarithmic range has no steps"]),
        ({"space": {"optimizer.lr": {**LR, "step": 1}}}, ["step 1 is larger than the range"]),
        ({"space": {"precision": {"choices": ["float32", "float16"]}}}, ['precision: found "float16"']),
        ({"space": {"dataset.limit": {"low": 10, "high": 20}}}, ["settings are judged by 'dataset'"]),
        (
            {"space": {"optimizer": {"choices": [{"use": "sgd"}, {"use": "adam"}]}, "optimizer.lr": LR}},
            ["lies within 'optimizer'"],
        ),
        ({"spaces": {"optimizer=adma": {"optimizer.lr": LR}}}, ["tune.spaces.optimizer=adma", "Did you mean 'optimizer=adam'"]),
        ({"spaces": {"adam": {"optimizer.lr": LR}}}, ["the study has no variant and no level 'adam'"]),
        (
            {"space": None, "spaces": {"optimizer=adam": {"optimizer.lr": LR}}},
            ["no space for variant 'base'", "no space for variant 'batch_norm=on'"],
        ),
        (
            {"space": {"model.batch_norm": {"choices": [True, False]}}},
            ["variant 'batch_norm=on'", "differs from 'base' in nothing but what is tuned"],
        ),
    ],
)
def test_each_mistake_is_told_with_its_place(tuned, tune, messages):
    tuned["tune"] = {key: value for key, value in {**tuned["tune"], **tune}.items() if value is not None}
    with pytest.raises(SpecError) as error:
        plan_of(tuned)
    for message in messages:
        assert message in str(error.value)


def test_two_spaces_for_one_variant_are_one_too_many(tuned):
    tuned["tune"]["spaces"] = {name: {"optimizer.lr": LR} for name in ("batch_norm=on", "optimizer=adam")}
    with pytest.raises(SpecError, match="are all for variant 'batch_norm=on,optimizer=adam'"):
        plan_of(tuned | {"design": {"use": "factorial"}})


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (["base.dataset.validation=0"], ["base.dataset", "the dataset holds out none", '"validation": 0.1']),
        (['base.eval_split="validation"'], ["base.eval_split", "on the images that chose the settings"]),
        (['base.split="by_seed"'], ["base.split", "on images that other seeds are told on"]),
        (['tune.space.epochs={"low": 2, "high": 3}', 'compare={"at": 1}'], ["tune.space.epochs", "compared at epoch 1"]),
    ],
)
def test_settings_are_judged_on_images_of_their_own(tuned, overrides, messages):
    with pytest.raises(SpecError) as error:
        plan_of(tuned, *overrides)
    for message in messages:
        assert message in str(error.value)


def test_a_placebo_of_tuning_is_refused(tuned):
    with pytest.raises(UsageError, match="Take `tune` out of the spec"):
        placebo(plan_of(tuned))


def test_settings_are_rounded_within_their_space():
    space = {"a": Range(0.0123412, 0.9), "b": Range(1, 9), "c": Range(0.0, 1.0, step=0.125), "d": Choice((1.23456789, 2))}
    setting = {"a": 0.0123413, "b": 3, "c": 0.125, "d": 1.23456789}
    assert rounded(space, setting) == {**setting, "a": 0.0123412}, "not below the range"
    assert rounded(space, {**setting, "a": 0.123456})["a"] == 0.1235
    assert contains(space, rounded(space, setting))
    assert not contains(space, {**setting, "b": 3.0})
    assert not contains(space, {**setting, "a": 0.01})
    assert not contains(space, {"a": 0.5})


def test_spaces_in_words():
    assert words(Range(0.001, 0.1, log=True)) == "0.001 to 0.1, logarithmic"
    assert words(Range(8, 64, step=8)) == "8 to 64, in steps of 8"
    assert words(Choice((16, None, {"use": "ablate-core:constant"}))) == "16, none or constant()"
