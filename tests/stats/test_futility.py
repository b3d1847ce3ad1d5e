"""Stopping early where more seeds can hardly decide."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablate.stats import comparison
from ablate.stats.analysis import analyse
from ablate.stats.futility import predictive_probability
from ablate.stats.stopping import decide, look_level, replay, wanted
from ablate.study import Compare, Stopping

RULE = Stopping(3, 20)
FUTILE = replace(RULE, futility=0.1)
COMPARE = Compare("accuracy", "last", "base")
LEVELS = look_level(0.025, 20, RULE), look_level(0.05, 20, RULE)


def of(x, y, compare=COMPARE):
    return comparison.estimate(np.asarray(x), np.asarray(y), compare.paired)


def probability(x, y, compare=COMPARE, rule=RULE, resolution=0.0):
    return float(predictive_probability(of(x, y, compare), len(x), compare, rule, LEVELS, resolution))


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("margin", [None, 0.6])
@pytest.mark.parametrize("shift", [0.0, 0.4, 1.5])
def test_it_is_what_simulated_futures_say(paired, margin, shift):
    """Futures from the posterior of a flat prior, after so many values that the standard deviation is known well."""
    compare, rule = replace(COMPARE, paired=paired, margin=margin), Stopping(100, 200)
    levels = look_level(0.025, 200, Stopping(3, 200)), look_level(0.05, 200, Stopping(3, 200))
    rng, futures, k = np.random.default_rng(0), 4000, 100
    x, y = rng.normal(shift / 10, 1, k), rng.normal(0, 1, k)
    found = float(predictive_probability(of(x, y, compare), k, compare, rule, levels))
    parts = [x - y, np.zeros(k)] if paired else [x, y]
    drawn = []
    for sample in parts:
        mean = sample.mean() + sample.std(ddof=1) / np.sqrt(k) * rng.normal(size=futures)
        later = mean[:, None] + sample.std(ddof=1) * rng.normal(size=(futures, 200 - k))
        drawn.append(np.concatenate([np.tile(sample, (futures, 1)), later], axis=1))
    e = comparison.estimate(*drawn, paired)
    different = comparison.p_value(e) / 2 <= levels[0]
    within = comparison.p_sides(e, margin).max(0) <= levels[1] if margin else np.zeros(futures, bool)
    assert found == pytest.approx((different | within).mean(), abs=0.03)


def test_it_falls_as_nothing_shows_and_rises_with_a_difference():
    y = stats.norm.ppf((np.arange(10) + 0.5) / 10)
    chances = [probability(y + shift, y) for shift in (0.0, 0.5, 1.0, 2.0)]
    assert chances == sorted(chances)
    assert chances[0] < 0.05
    assert chances[-1] > 0.95
    early, late = (probability(y[::step] + 0.3, y[::step]) for step in (2, 1))
    assert late < early, "few seeds leave more open"


def test_what_would_be_equivalent_is_not_given_up():
    y = stats.norm.ppf((np.arange(10) + 0.5) / 10) / 10
    wide, narrow = (probability(y, y[::-1], replace(COMPARE, margin=margin)) for margin in (0.3, 0.001))
    assert wide > 0.9
    assert narrow < 0.05
    assert probability(y, y[::-1], replace(COMPARE, margin=0.3), resolution=0.5) < 0.1, "a margin below one image is no test"


@pytest.mark.parametrize(
    ("x", "y"), [([1.0] * 5, [1.0] * 5), ([1.0, np.nan], [2.0, np.nan]), ([-np.inf, 1.0, 2.0], [1.0, 2.0, 3.0])]
)
def test_where_nothing_can_be_said_nothing_is_given_up(x, y):
    assert probability(x, y) == 1


def test_nothing_is_found_that_would_not_be_found_without_such_stops():
    rng, known = np.random.default_rng(1), np.ones((4, 20), bool)
    values = rng.normal(size=(400, 4, 20)) + np.array([0.0, 0.5, 1.0, 2.0])[:, None]
    reference = rng.normal(size=(400, 20))
    for compare in (COMPARE, replace(COMPARE, margin=1.0), replace(COMPARE, paired=True, correction="benjamini_hochberg")):
        whole, early = (replay(values, reference, known, compare, rule) for rule in (RULE, FUTILE))
        assert ((early.verdict == whole.verdict) | (early.verdict == "undecided")).all()
        assert (early.p >= whole.p - 1e-12).all()
        assert (early.seeds <= np.maximum(whole.seeds, early.seeds)).all()
        stopped = ~np.isnan(early.futile)
        assert stopped.any()
        assert (early.futile[stopped] < 0.1).all()
        assert (early.verdict[stopped] == "undecided").all()
        assert (early.seeds[stopped] < 20).all()


def frame(values):
    rows = [(variant, seed, value) for variant, numbers in values.items() for seed, value in enumerate(numbers)]
    return pd.DataFrame(rows, columns=["variant", "seed", "value"])


def test_who_has_stopped_gets_no_more_seeds_and_the_others_do():
    y = stats.norm.ppf((np.arange(8) + 0.5) / 8)[[3, 0, 6, 1, 7, 2, 5, 4]]
    rule = replace(RULE, futility=0.2)
    values = frame({"base": y, "same": y, "near": y + 0.9})
    names, seeds = ["base", "same", "near"], range(20)
    found = decide(values, COMPARE, names, rule, seeds)
    assert found["same"].futile < 0.2
    assert found["near"].futile is None
    stopped_at = found["same"].seeds
    assert 3 <= stopped_at < 8
    assert wanted(values, COMPARE, names, rule, seeds) == {"base": 9, "same": stopped_at, "near": 9}
    assert wanted(values, COMPARE, names, RULE, seeds) == {"base": 9, "same": 9, "near": 9}
    fewer = values[(values["variant"] != "same") | (values["seed"] < stopped_at)]
    assert decide(fewer, COMPARE, names, rule, seeds) == found, "cells that nobody needs change nothing"


def test_the_report_says_which_and_why():
    from ablate.report.content import page
    from ablate.results import Results

    y = stats.norm.ppf((np.arange(8) + 0.5) / 8)[[3, 0, 6, 1, 7, 2, 5, 4]]
    cells = frame({"base": y, "same": y[::-1]}).rename(columns={"value": "accuracy"})
    cells = cells.assign(status="done", key="", error=None, seconds=1.0, parameters=1, weights_sha256="")
    epochs = pd.DataFrame(columns=["variant", "seed", "epoch", "train_loss", "lr", "seconds", "images_per_second", "accuracy"])
    from ablate.study import VariantInfo

    study = Results(
        "made", "", COMPARE, (VariantInfo("base", {}, ()), VariantInfo("same", {}, ("x: 1 → 2",))), cells, epochs, stopping=FUTILE
    )
    (one,) = analyse(study).given_up
    assert (one.variant, one.probability < 0.1) == ("same", True)
    made = page(study)
    comparing = next(section for section in made.sections if section.title == "Comparison")
    said = "1 comparison got no more seeds, because all 20 would have decided it with a probability below 10 % (futility): "
    said += f"'same' after {one.seeds} ("
    assert any(note.startswith(said) for note in comparing.notes)
    assert said in comparing.alone
    assert "which makes no error more likely" in " ".join(made.sections[-1].notes)
    (effect,) = analyse(study).effects
    assert effect.seeds_least is not None or effect.seeds_never, "what a study with fresh seeds would need is told"


def test_a_spec_asks_for_it(spec, environment):
    from ablate.errors import SpecError
    from ablate.plan import make_plan
    from ablate.registry import default
    from ablate.spec import load

    seeds = {"min": 3, "max": 5, "stop": "decided"}
    assert make_plan(load(spec | {"seeds": seeds}), default()).record()["stopping"] == {"least": 3, "most": 5}
    plan = make_plan(load(spec | {"seeds": {**seeds, "futility": 0.1}}), default())
    assert plan.stopping == Stopping(3, 5, 0.1)
    assert plan.record()["stopping"] == {"least": 3, "most": 5, "futility": 0.1}
    for wrong in (0, 0.6, True, "yes"):
        with pytest.raises(SpecError, match="futility"):
            load(spec | {"seeds": {**seeds, "futility": wrong}})
