"""Effects of whole studies."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablate.stats import effects as module
from ablate.stats.effects import effects
from ablate.stats.stopping import decide
from ablate.study import Compare, Stopping

NAN = float("nan")


def normal(mean, n=5, sd=0.01, seed=0):
    return list(mean + sd * np.random.default_rng(seed).normal(size=n))


@pytest.fixture
def study(make_study):
    values = {
        "base": normal(0.9, seed=1),
        "much better": normal(0.95, seed=2),
        "much worse": normal(0.85, seed=3),
        "unclear": normal(0.906, seed=4),
    }
    return make_study(values)


def test_verdicts_in_the_order_of_the_spec(study):
    found = effects(study)
    assert [(e.variant, e.verdict) for e in found] == [
        ("much better", "better"),
        ("much worse", "worse"),
        ("unclear", "undecided"),
    ]
    assert found[2].seeds_needed > 5
    assert found[0].seeds_needed is found[1].seeds_needed is None
    assert math.isnan(found[0].p_equivalence)


def test_a_smaller_loss_is_better(make_study):
    values = {"base": normal(0.9, seed=1), "lower": normal(0.85, seed=2)}
    assert effects(make_study(values, goal="minimize"))[0].verdict == "better"
    assert effects(make_study(values, goal="maximize"))[0].verdict == "worse"


def test_a_sure_difference_within_the_margin_has_no_meaning(make_study):
    values = {"base": normal(0.9, 20, 0.001, 1), "same": normal(0.9015, 20, 0.001, 2)}
    assert effects(make_study(values))[0].verdict == "better"
    found = effects(make_study(values, margin=0.01))[0]
    assert found.verdict == "no meaningful difference"
    assert found.p_adjusted < 0.05
    assert found.p_equivalence < 0.05


@pytest.mark.filterwarnings("error")
def test_one_seed_is_a_difference_and_nothing_else(make_study):
    found = effects(make_study({"base": [0.9], "other": [0.95]}, margin=0.1))[0]
    assert found.difference == pytest.approx(0.05)
    assert (found.n, found.n_reference, found.verdict, found.seeds_needed) == (1, 1, "undecided", None)
    for name in ("low", "high", "boot_low", "boot_high", "effect_size", "p", "p_permutation", "p_adjusted", "p_equivalence"):
        assert math.isnan(getattr(found, name)), name


@pytest.mark.filterwarnings("error")
def test_cells_without_a_value_lower_n(make_study):
    values = {"base": normal(0.9), "some": [0.91, None, 0.93, NAN, math.inf], "none": [None] * 5}
    some, none = effects(make_study(values))
    assert (some.n, some.n_reference) == (2, 5)
    assert some.difference == pytest.approx(0.92 - np.mean(values["base"]))
    assert (none.n, none.verdict) == (0, "undecided")
    assert some.p_adjusted == some.p  # what has no p is no comparison


def test_pairs_are_the_seeds_that_both_have(make_study):
    base = [0.1, 0.5, 0.3, 0.9, None]
    other = [0.12, 0.53, 0.31, None, 0.7]
    found = effects(make_study({"base": base, "other": other}, paired=True))[0]
    expected = stats.ttest_rel(other[:3], base[:3])
    assert (found.n, found.n_reference) == (3, 3)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.correlation == pytest.approx(stats.pearsonr(other[:3], base[:3]).statistic, rel=1e-9)
    unpaired = effects(make_study({"base": base, "other": other}))[0]
    assert unpaired.p > found.p
    assert unpaired.correlation == found.correlation


@pytest.mark.filterwarnings("error")
def test_correlation_needs_three_seeds_that_differ(make_study):
    assert math.isnan(effects(make_study({"base": [0.1, 0.2], "other": [0.2, 0.3]}))[0].correlation)
    assert math.isnan(effects(make_study({"base": [0.1] * 4, "other": [0.2, 0.3, 0.4, 0.1]}))[0].correlation)


def test_bootstrap_is_scipys(make_study):
    base, other = normal(0.9, 8, seed=1), normal(0.92, 6, seed=2)
    found = effects(make_study({"base": base, "other": other}, alpha=0.1))[0]
    expected = stats.bootstrap(
        (other, base),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        n_resamples=module.RESAMPLES,
        confidence_level=0.9,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (found.boot_low, found.boot_high) == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(2, 3), (5, 5), (7, 7)])
def test_the_permutation_test_is_scipys(n, m):
    x, y = np.array(normal(0.9, n, seed=1)), np.array(normal(0.91, m, seed=2))

    def difference(x, y, axis):
        return x.mean(axis) - y.mean(axis)

    expected = stats.permutation_test((x, y), difference, n_resamples=np.inf).pvalue
    assert module.permutation_p(x, y) == pytest.approx(expected, rel=1e-9)
    signs = stats.permutation_test((x - 0.895,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=np.inf)
    assert module.permutation_p(x - 0.895) == pytest.approx(signs.pvalue, rel=1e-9)


def test_the_permutation_test_counts_ties():
    """Sums of accuracies that are equal but for rounding, such as 0.1 + 0.4 + 0.7 and 0.2 + 0.4 + 0.6, are equal."""
    tenths = [1, 6, 7, 2, 3, 4]
    as_extreme = sum(sum(chosen) >= 14 for chosen in combinations(tenths, 3))
    assert sum(sum(chosen) == 14 for chosen in combinations(tenths, 3)) > 1
    x, y = np.array(tenths[:3]) / 10, np.array(tenths[3:]) / 10
    assert module.permutation_p(x, y) == pytest.approx(2 * as_extreme / 20)


@pytest.mark.filterwarnings("error")
def test_equal_values_neither_warn_nor_pretend(make_study):
    shifted, same = effects(make_study({"base": [0.9] * 5, "shifted": [0.95] * 5, "same": [0.9] * 4}, margin=0.02))
    assert same.verdict == "no meaningful difference"
    assert shifted.verdict == "better"
    assert shifted.p == shifted.p_permutation
    assert math.isnan(shifted.low)
    assert math.isnan(shifted.boot_low)


def test_the_same_study_gives_the_same_numbers(study):
    assert repr(effects(study)) == repr(effects(study))


def test_a_study_of_one_variant_has_no_effects(make_study):
    assert effects(make_study({"base": [0.9, 0.8]})) == ()


def test_with_a_stopping_rule_the_numbers_are_those_of_the_look(make_study):
    values = {"base": normal(0.9, 8, seed=1), "better": normal(0.99, 8, seed=2), "unclear": normal(0.9, 8, seed=3)}
    better, unclear = effects(make_study(values, Stopping(3, 20)))
    assert better.verdict == "better"
    rows = [(name, seed, value) for name, numbers in values.items() for seed, value in enumerate(numbers)]
    frame = pd.DataFrame(rows, columns=["variant", "seed", "value"])
    decision = decide(frame, Compare("accuracy", "last", "base"), list(values), Stopping(3, 20), range(8))["better"]
    assert better.n == better.n_reference == decision.seeds < 8
    assert better.difference == pytest.approx(np.mean(values["better"][: better.n]) - np.mean(values["base"][: better.n]))
    assert (unclear.n, unclear.verdict) == (8, "undecided")
    fixed = effects(make_study({name: numbers[: better.n] for name, numbers in values.items()}))[0]
    assert better.p == fixed.p
    assert fixed.p_adjusted < better.p_adjusted < 0.05  # looks cost something
    assert better.low < fixed.low < fixed.high < better.high


def test_a_look_needs_the_cells_of_the_reference(make_study):
    values = {"base": normal(0.9, 4, seed=1), "one": normal(0.9, 8, seed=2), "other": normal(0.9, 8, seed=3)}
    assert [(e.n, e.n_reference) for e in effects(make_study(values, Stopping(3, 20)))] == [(4, 4), (4, 4)]


def test_before_the_first_look_nothing_is_decided(make_study):
    found = effects(make_study({"base": normal(0.9, 2, seed=1), "better": normal(0.99, 8, seed=2)}, Stopping(3, 20)))[0]
    assert (found.n, found.n_reference, found.verdict) == (8, 2, "undecided")
    assert math.isnan(found.p_adjusted)
    assert math.isnan(found.low)
