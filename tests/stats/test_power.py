"""Seeds and detectable differences, against statsmodels and simulation."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from ablate.stats import power
from ablate.stats.power import (
    detectable,
    detectable_differences,
    noise,
    power_of,
    power_of_equivalence,
    seeds_needed,
    seeds_to_decide,
)


@pytest.mark.parametrize("n", [2, 3, 5, 20, 40])  # statsmodels has NaN for more
@pytest.mark.parametrize("alpha", [0.05, 0.0125])
@pytest.mark.parametrize("effect", [0.1, 0.5, 1.0])
def test_power_is_statsmodels(n, alpha, effect):
    expected = TTestIndPower().power(effect, n, alpha)
    assert power_of(effect, n, alpha, paired=False) == pytest.approx(expected, rel=1e-9)
    assert power_of(effect, n, alpha, paired=True) == pytest.approx(TTestPower().power(effect, n, alpha), rel=1e-9)
    one_sided = TTestIndPower().power(effect, n, alpha, alternative="larger")
    assert power_of(effect, n, alpha, False, "larger") == pytest.approx(one_sided, rel=1e-9)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("n", [2, 3, 10, 100])
def test_the_detectable_effect_has_the_power(n, paired):
    for alpha in (0.05, 0.05 / 199):
        assert power_of(detectable(n, alpha, paired), n, alpha, paired) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("paired", [False, True])
def test_seeds_are_the_first_number_with_the_power(paired):
    effects = np.array([0.3, 1.0, 2.0, 50.0])
    found = seeds_to_decide(effects, 1.0, 0.0125, None, paired)
    assert (power_of(effects, found, 0.0125, paired) >= 0.8).all()
    assert (power_of(effects[:-1], found[:-1] - 1, 0.0125, paired) < 0.8).all()
    assert found[-1] >= 2


@pytest.mark.parametrize("guess", [np.nan, 2.0, 37.4, 5000.0, np.inf])
def test_the_smallest_number_is_found_wherever_the_search_begins(guess):
    least = np.array([2, 3, 5, 37, 38, 1000, power.MOST, power.MOST + 1])
    asked = []

    def power_with(seeds, which):
        asked.append(len(which))
        return (seeds >= least[which]).astype(float)

    found = power.smallest_n(power_with, np.full(len(least), guess))
    np.testing.assert_array_equal(found, [*least[:-1], np.nan])
    assert asked[0] == len(least)
    assert len(asked) < 30


@pytest.mark.parametrize("paired", [False, True])
def test_the_power_of_equivalence_is_that_of_both_sides(paired):
    """Two one-sided tests: without a difference, each is as strong as the other; at the margin, the near one has its level."""
    n, alpha = np.array([5, 30]), 0.05
    one_side = power_of(1.0, n, alpha, paired, "larger")
    np.testing.assert_allclose(power_of_equivalence(0.0, 1, n, alpha, paired), np.maximum(2 * one_side - 1, 0))
    far = power_of(2.0, n, alpha, paired, "larger")
    for effect in (1.0, -1.0):
        np.testing.assert_allclose(power_of_equivalence(effect, 1, n, alpha, paired), np.maximum(alpha + far - 1, 0), atol=1e-9)


def test_equivalence_needs_fewer_seeds_where_the_difference_is_small():
    sure = seeds_to_decide([0.0, 0.1, 3.0], 1.0, 0.05, None, False)
    either = seeds_to_decide([0.0, 0.1, 3.0], 1.0, 0.05, 1.0, False)
    assert np.isnan(sure[0])
    assert either[0] <= either[1] < sure[1]
    assert either[2] == sure[2]
    n = int(either[0])
    x = np.random.default_rng(0).normal(size=(2, 20_000, n))
    se = np.sqrt(x.var(axis=2, ddof=1).sum(0) / n)
    right = stats.t.sf((1 - np.abs(x[0].mean(1) - x[1].mean(1))) / se, 2 * n - 2) < 0.05
    assert 0.79 < right.mean() < 0.85


@pytest.mark.filterwarnings("error")
def test_nobody_can_tell():
    found = seeds_to_decide([1.0, 1.0, np.nan, 1e-6], [0.0, np.nan, 1.0, 1.0], 0.05, None, False)
    assert np.isnan(found).all()


def test_noise_of_a_pilot(make_study):
    rng = np.random.default_rng(0)
    values = {name: list(rng.normal(size=6)) for name in "abc"}
    values["c"][2] = None
    found = noise(make_study(values))
    squares = sum(
        (np.var([v for v in x if v is not None], ddof=1)) * (len([v for v in x if v is not None]) - 1) for x in values.values()
    )
    assert found.df == 5 + 5 + 4
    assert found.sd == pytest.approx(np.sqrt(squares / 14), rel=1e-9)
    assert found.low == pytest.approx(np.sqrt(squares / stats.chi2.isf(0.025, 14)), rel=1e-9)
    assert found.high == pytest.approx(np.sqrt(squares / stats.chi2.isf(0.975, 14)), rel=1e-9)


def test_paired_noise_is_that_of_differences(make_study):
    """With two variants, it is the standard deviation of the differences; its interval covers at its level."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        seeds = 3 * rng.normal(size=8)
        values = {name: list(seeds + rng.normal(size=8)) for name in "ab"}
        found = noise(make_study(values, paired=True))
        covered += found.low <= np.sqrt(2) <= found.high
    differences = np.subtract(values["a"], values["b"])
    assert found.sd == pytest.approx(differences.std(ddof=1), rel=1e-9)
    assert found.df == 7
    assert 0.92 < covered / 400 < 0.98


def test_correlation_of_a_pilot(make_study):
    rng = np.random.default_rng(0)
    seeds = rng.normal(size=2000)
    values = {name: list(seeds + 0.5 * rng.normal(size=2000)) for name in "abc"}
    assert noise(make_study(values)).correlation == pytest.approx(0.8, abs=0.03)
    assert np.isnan(noise(make_study({"a": [1.0, 2.0], "b": [2.0, 3.0]})).correlation)


def test_without_two_seeds_there_is_no_noise(make_study):
    with pytest.raises(ValueError, match="does not have a variant with two seeds"):
        noise(make_study({"a": [1.0], "b": [None]}))
    with pytest.raises(ValueError, match="two variants with two seeds in common"):
        noise(make_study({"a": [1.0, 2.0], "b": [None, 2.0]}, paired=True))


def test_tables():
    pilot = power.Noise(0.01, 0.007, 0.02, 10, float("nan"))
    rows = detectable_differences(pilot, [3, 5, 10], 0.05, 4, paired=False)
    assert [row.n for row in rows] == [3, 5, 10]
    assert rows[1].difference == pytest.approx(0.01 * TTestIndPower().solve_power(None, 5, 0.0125, 0.8), rel=1e-4)
    assert rows[1].low == pytest.approx(0.7 * rows[1].difference)
    surer = detectable_differences(pilot, [5], 0.05, 4, False, wanted=0.95)[0]
    assert surer.difference == pytest.approx(0.01 * TTestIndPower().solve_power(None, 5, 0.0125, 0.95), rel=1e-4)
    assert rows[1].high == pytest.approx(2 * rows[1].difference)
    assert rows[0].difference > rows[1].difference > rows[2].difference
    found = seeds_needed(pilot, [rows[1].difference * 1.0001, 1e-9], 0.05, 4, paired=False)
    assert found[0].n == 5
    assert found[0].low < 5 < found[0].high
    assert (found[1].n, found[1].low, found[1].high) == (None, None, None)
