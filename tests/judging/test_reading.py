"""Runs as a comparison: what is found, what is said, and what is refused instead of guessed."""

import math

import pytest
from tables import frame, one_factor

import ablate
from ablate.errors import UsageError
from ablate.judging import Wanted
from ablate.judging.directions import goal_of
from ablate.judging.reading import reading_of
from ablate.judging.runs import Curve, Run, Runs, flat, label


def judged(runs, **others):
    return ablate.judge(runs, metric="acc", **others)


def read(*runs, apart=True, **wanted):
    return reading_of(Runs(tuple(runs), apart=apart), "made", "here", Wanted(metric="acc", **wanted))


def run(value=0.5, status="done", name=None, steps=(1,), **settings):
    curve = {"acc": Curve(steps, [value] * len(steps))} if value is not None else {}
    return Run(name or repr(settings), settings, curve, status, "boom" if status == "failed" else "")


def grid(**more):
    """Two optimizers with two seeds each; `more` gives settings as functions of them."""
    return [
        run(0.5 + seed / 100, optimizer=optimizer, seed=seed, **{name: of(optimizer, seed) for name, of in more.items()})
        for optimizer in ("sgd", "adam")
        for seed in (0, 1)
    ]


def message(call, *arguments, **others):
    with pytest.raises(UsageError) as caught:
        call(*arguments, **others)
    return str(caught.value)


# What is found


def test_what_differs_is_compared_and_what_does_not_is_left_out():
    found = read(*grid(epochs=lambda *_: 9, data_seed=lambda _, seed: seed + 7, log=lambda o, s: f"{o}{s}"))
    assert found.roles.factors == ("optimizer",)
    assert found.roles.constant == ("epochs",)
    assert found.roles.of_seed == ("data_seed",)
    assert found.roles.own == ("log",)
    assert found.roles.seed == "seed"
    assert list(found.variants) == ["sgd", "adam"]
    assert "Compared: optimizer, which differs between the runs" in found.read
    assert "Varies with the seed alone: data_seed" in found.read
    assert "Another value in every run, which counts as noise: log" in found.read
    assert "The same in all runs: epochs" in found.read


def test_settings_that_go_together_are_one_factor_and_the_name_leads():
    runs = grid(lr=lambda optimizer, _: {"sgd": 0.1, "adam": 0.001}[optimizer])
    runs = [Run(r.name, dict(sorted(r.settings.items())), r.metrics) for r in runs]
    found = read(*runs)
    assert found.roles.factors == ("optimizer",)
    assert found.roles.goes_with == {"optimizer": ("lr",)}
    assert "Goes with optimizer, so that a difference is of all of them together: lr" in found.read


def test_a_setting_that_only_some_runs_have_is_told_apart():
    runs = grid()
    runs = [Run(r.name, {k: v for k, v in r.settings.items() if v != "sgd"}, r.metrics) for r in runs]
    assert list(read(*runs).variants) == ["optimizer=(not set)", "optimizer=adam"]


def test_numbers_are_named_with_their_factor():
    assert list(read(*grid(), factors=("optimizer",)).variants) == ["sgd", "adam"]
    runs = [run(lr=lr, seed=seed) for lr in (0.1, 1.0, 1) for seed in (0,)][:2]
    assert list(read(*runs, factors=("lr",)).variants) == ["lr=0.1", "lr=1"]


def test_numbers_of_a_table_are_settings_where_each_value_repeats():
    runs = frame().assign(lr=[0.1] * 10 + [0.2] * 10, loss=range(20), batch=64)
    study = judged(runs)
    assert [factor.name for factor in study.factors] == ["optimizer", "augment"]
    assert "Taken for measurements, because not every value is in two runs: loss" in study.imported.read
    assert "Goes with optimizer, so that a difference is of all of them together: lr" in study.imported.read


def test_the_reference_is_the_one_that_is_named_so():
    assert judged(frame(), factors=["optimizer", "augment"]).compare.reference == "optimizer=sgd,augment=none"
    runs = one_factor({"ours": [0.9, 0.91], "baseline": [0.8, 0.81]})
    study = judged(runs)
    assert study.compare.reference == "baseline"
    assert "Reference: baseline, by its name (--reference chooses another)" in study.imported.read
    assert judged(runs, reference="ours").compare.reference == "ours"
    assert judged(runs, reference="method=ours").compare.reference == "ours"
    assert "there is no such variant. Did you mean 'ours'" in message(judged, runs, reference="our")
    plain = one_factor({"x": [0.9, 0.91], "y": [0.8, 0.81]})
    assert "Reference: x, the first in the order of the runs (--reference chooses another)" in judged(plain).imported.read


def test_the_seed_is_the_setting_that_is_named_so():
    runs = one_factor({"a": [0.5, 0.6], "b": [0.7, 0.8]})
    assert "Seed: seed" in judged(runs).imported.read
    renamed = runs.rename(columns={"seed": "trainer.random_seed"})
    assert "Seed: trainer.random_seed" in judged(renamed).imported.read
    both = runs.assign(random_state=[5, 5, 6, 6])
    assert judged(both).cells["seed"].tolist() == [0, 1, 0, 1]
    unclear = both.rename(columns={"seed": "rng_seed"})
    assert "several settings may be the seed: rng_seed, random_state. Name one with --seed" in message(judged, unclear)


def test_seeds_that_are_names_are_numbered_and_said():
    runs = one_factor({"a": [0.5, 0.6], "b": [0.7, 0.8]}).assign(seed=["x", "y", "x", "y"])
    study = judged(runs)
    assert study.cells["seed"].tolist() == [0, 1, 0, 1]
    assert "Seeds that are no whole numbers have one here: x is 0, y is 1" in study.imported.read


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("accuracy", "maximize"),
        ("val/top1Acc", "maximize"),
        ("test_loss", "minimize"),
        ("top1_error", "minimize"),
        ("eval/WER", "minimize"),
        ("mAP", "maximize"),
        ("mean_reward", "maximize"),
        ("score", None),
        ("brier_score", "minimize"),
        ("accuracy_loss", None),
        ("seconds", None),
    ],
)
def test_a_metric_says_by_its_words_which_way_is_better(name, goal):
    assert goal_of(name) == goal


def test_a_metric_that_says_nothing_is_asked_about():
    runs = one_factor({"a": [1.0, 2.0], "b": [3.0, 4.0]}).rename(columns={"acc": "score"})
    told = message(ablate.judge, runs, metric="score")
    assert told == "nothing says whether a larger or a smaller 'score' is better. Say it with --goal maximize or --goal minimize."
    assert ablate.judge(runs, metric="score", goal="minimize").compare.goal == "minimize"


# What is refused


def test_a_setting_that_nobody_declared_and_that_separates_variants_is_named():
    runs = grid(lr=lambda optimizer, _: {"sgd": 0.1, "adam": 0.001}[optimizer], host=lambda _, seed: f"gpu{seed}")
    told = message(read, *runs, factors=("optimizer",))
    assert told.splitlines() == [
        "variants differ in what is not declared, so nobody can tell what makes the difference:",
        "  lr: 0.1 in sgd; 0.001 in adam",
        "Compare it, with --factor NAME. Or where it belongs to a level, or does not matter: --ignore lr",
    ]
    found = read(*runs, factors=("optimizer",), ignore=("l*",))
    assert "Ignored, as asked: lr" in found.read


def test_a_setting_that_varies_alike_within_variants_is_said():
    hosts = iter("aabbabab")
    runs = [run(0.5, optimizer=o, seed=s, host=next(hosts)) for o in ("sgd", "adam") for s in range(4)]
    found = read(*runs, factors=("optimizer",))
    assert "Varies within variants, which counts as noise: host" in found.read


def test_a_seed_that_is_there_twice_is_refused_with_what_differs():
    told = message(judged, one_factor({"a": [0.5, 0.6], "b": [0.7, 0.8]}).assign(seed=0, batch=[1, 2, 1, 2]), factors=["method"])
    assert "a, seed 0: 2 runs have this seed: row 0, row 1" in told
    assert "They differ in batch: name it with --factor, --block or --seed." in told
    assert "b, seed 0: 2 runs have this seed" in told


def test_of_several_runs_the_one_that_ended_counts():
    runs = [*grid(), run(status="failed", name="first try", optimizer="sgd", seed=0)]
    found = read(*runs)
    assert len(found.cells) == 4
    assert found.left_out == {"another run of the same variant and seed counts": ("sgd, seed 0 (first try)",)}


def test_runs_that_end_at_different_steps_are_asked_about():
    runs = [*grid()[:3], run(0.6, optimizer="adam", seed=1, steps=(1, 2))]
    told = message(read, *runs)
    assert "acc ends at step 1 in 3 runs, and elsewhere in 1: adam, seed 1 at 2" in told
    assert "--at 1 judges" in told
    assert read(*runs, at="last").at == "last"
    assert read(*runs, at=1).at == 1
    assert "--at 7: no run has acc at this step" in message(read, *runs, at=7)


def test_runs_that_did_not_reach_the_step_are_missing_and_listed():
    runs = [*grid(), run(0.6, optimizer="sgd", seed=2, steps=(1, 2)), run(0.6, optimizer="adam", seed=2, steps=(1, 2))]
    from ablate.judging import Judgement, study_of

    study = study_of(read(*runs, at=2), None, "", Judgement())
    assert study.cells["acc"].notna().sum() == 2
    assert [len(found) for reason, found in study.imported.left_out if reason == "no value of acc"] == [4]


def test_units_that_are_mixed_are_refused():
    told = message(judged, one_factor({"a": [0.91, 0.92], "b": [93.0, 94.0]}))
    assert "acc: the units are mixed: 2 runs are at most 1, such as 0.91 (row 0), 0.92 (row 1), and 2 are above 1" in told
    assert judged(one_factor({"a": [0.1, 0.15], "b": [93.0, 94.0]})).compare.metric == "acc", "a tenth of a percent is chance"
    assert ablate.judge(one_factor({"a": [0.9, 0.8], "b": [90.0, 80.0]}).rename(columns={"acc": "reward"}), metric="reward")


def test_without_seeds_there_are_differences_and_no_verdict():
    runs = one_factor({"a": [0.5, 0.6], "b": [0.7, 0.9]}).drop(columns="seed")
    told = message(judged, runs)
    assert "no setting has a seed" in told
    assert "  a: 2 runs, mean 0.55 (+0)" in told
    assert "  b: 2 runs, mean 0.8 (+0.25)" in told
    study = judged(runs, repetitions=True)
    assert study.cells["seed"].tolist() == [0, 1, 0, 1]


def test_one_run_each_shows_differences_and_concludes_nothing():
    study = judged(one_factor({"a": [0.5], "b": [0.7]}).drop(columns="seed"), factors=["method"])
    assert study.effects()["difference"].tolist() == pytest.approx([0.2])
    assert study.analysis().answer.startswith("Nothing can be concluded: one seed tells no difference from noise")


def test_names_that_are_not_there_have_close_matches():
    assert "there is no column of numbers 'accuracy'" in message(ablate.judge, frame(), metric="accuracy")
    assert "there is no column of numbers 'ac'. Did you mean 'acc'" in message(ablate.judge, frame(), metric="ac")
    told = message(judged, frame(), factors=["optimiser"])
    assert "--factor optimiser: the runs have no such setting. Did you mean 'optimizer'" in told
    assert "--seed sede: the runs have no such setting. Did you mean 'seed'" in message(judged, frame(), seed="sede")
    assert "--ignore loss: there is no such setting" in message(judged, frame(), ignore=["loss"])
    assert "--where augment=flop: no run has it. Did you mean 'flip'" in message(judged, frame(), where=["augment=flop"])
    assert "--where augment: expected NAME=VALUE" in message(judged, frame(), where=["augment"])
    assert "say with --metric what is to be judged" in message(ablate.judge, frame())


def test_nothing_to_compare_is_refused():
    assert "nothing differs between the runs that could be compared" in message(judged, one_factor({"a": [0.5, 0.6]}))
    told = message(judged, one_factor({"a": [0.5, 0.6]}), factors=["method"])
    assert "all runs are of one variant (method = a)" in told
    assert "there are no runs" in message(read)


def test_where_chooses_runs_and_says_so():
    study = judged(frame(), where=["augment=flip"])
    assert [variant.name for variant in study.variants] == ["sgd", "adam"]
    assert "Only runs with augment=flip: 10 of 20" in study.imported.read


# What runs are made of


def test_labels_are_the_same_where_values_are():
    assert [label(value) for value in (1, 1.0, "1", True, None, 0.1, "a", [1], math.inf)] == [
        "1",
        "1",
        "1",
        "true",
        "null",
        "0.1",
        "a",
        "[1]",
        "inf",
    ]


def test_nested_settings_are_dotted():
    assert flat({"a": {"b": 1, "c": {"d": [2]}}, "e": {}}) == {"a.b": 1, "a.c.d": [2], "e": {}}
