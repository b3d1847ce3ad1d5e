"""Estimates, p-values and corrections against scipy, statsmodels and formulas written out."""

import math
import warnings

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from ablate.stats import comparison
from ablate.study import Compare

SIZES = [(2, 2), (3, 3), (5, 5), (10, 10), (4, 9)]
TIGHT = {"rel": 1e-9, "abs": 1e-12}


def samples(n, m, seed=0):
    rng = np.random.default_rng(seed)
    return 0.9 + 0.01 * rng.normal(size=n), 0.89 + 0.03 * rng.normal(size=m)


def padded(x, size):
    return np.concatenate([x, np.full(size - len(x), np.nan)])


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_welch_is_scipys(n, m):
    x, y = samples(n, m)
    e = comparison.estimate(padded(x, 12), padded(y, 12), paired=False)
    expected = stats.ttest_ind(x, y, equal_var=False)
    assert e.difference == pytest.approx(x.mean() - y.mean(), **TIGHT)
    assert e.df == pytest.approx(expected.df, **TIGHT)
    assert comparison.p_value(e) == pytest.approx(expected.pvalue, **TIGHT)
    for alpha in (0.05, 0.2):
        interval = expected.confidence_interval(1 - alpha)
        assert comparison.interval(e, alpha) == pytest.approx((interval.low, interval.high), **TIGHT)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_paired_is_scipys_over_the_seeds_that_both_have(n):
    x, y = samples(n, n)
    gaps = np.array([0.9, np.nan]), np.array([np.nan, 0.8])
    e = comparison.estimate(np.concatenate([x, gaps[0]]), np.concatenate([y, gaps[1]]), paired=True)
    expected = stats.ttest_rel(x, y)
    assert (e.n, e.n_reference, e.df) == (n, n, n - 1)
    assert comparison.p_value(e) == pytest.approx(expected.pvalue, **TIGHT)
    interval = expected.confidence_interval(0.95)
    assert comparison.interval(e, 0.05) == pytest.approx((interval.low, interval.high), **TIGHT)


@pytest.mark.parametrize(("n", "m"), SIZES)
def test_equivalence_is_statsmodels(n, m):
    x, y = samples(n, m)
    e = comparison.estimate(padded(x, 12), padded(y, 12), paired=False)
    p, above, below = ttost_ind(x, y, -0.02, 0.02, usevar="unequal")
    assert comparison.p_sides(e, 0.02) == pytest.approx([above[1], below[1]], **TIGHT)
    assert comparison.p_sides(e, 0.02).max(0) == pytest.approx(p, **TIGHT)


def test_paired_equivalence_is_statsmodels():
    x, y = samples(6, 6)
    e = comparison.estimate(x, y, paired=True)
    assert comparison.p_sides(e, 0.02).max(0) == pytest.approx(ttost_paired(x, y, -0.02, 0.02)[0], **TIGHT)


def test_effect_size_is_the_formula():
    x, y = samples(4, 9)
    pooled = math.sqrt((3 * x.var(ddof=1) + 8 * y.var(ddof=1)) / 11)
    exact = math.gamma(11 / 2) / (math.sqrt(11 / 2) * math.gamma(5))
    e = comparison.estimate(padded(x, 9), y, paired=False)
    assert comparison.hedges_g(e, paired=False) == pytest.approx(exact * (x.mean() - y.mean()) / pooled, **TIGHT)
    d = x - y[:4]
    exact = math.gamma(3 / 2) / (math.sqrt(3 / 2) * math.gamma(1))
    e = comparison.estimate(x, y[:4], paired=True)
    assert comparison.hedges_g(e, paired=True) == pytest.approx(exact * d.mean() / d.std(ddof=1), **TIGHT)


@pytest.mark.parametrize(("correction", "method"), [("holm", "holm"), ("benjamini_hochberg", "fdr_bh")])
def test_corrections_are_statsmodels_and_leave_out_what_has_no_p(correction, method):
    rng = np.random.default_rng(1)
    p = rng.uniform(size=(6, 7)) ** 3
    p[rng.uniform(size=p.shape) < 0.2] = np.nan
    found = comparison.adjusted(p, correction)
    for row, got in zip(p, found, strict=True):
        there = ~np.isnan(row)
        assert np.isnan(got[~there]).all()
        np.testing.assert_allclose(got[there], multipletests(row[there], method=method)[1], rtol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("paired", [False, True])
def test_without_noise_the_exact_test_stands_in(paired):
    same, other = np.full(5, 0.9), np.full(5, 0.91)
    e = comparison.estimate(other, same, paired)
    p = 2 / 2**5 if paired else 2 / math.comb(10, 5)
    assert comparison.p_value(e) == pytest.approx(p)
    assert np.isnan(comparison.interval(e, 0.05)).all()
    assert np.isnan(comparison.hedges_g(e, paired))
    assert comparison.p_value(comparison.estimate(same, same, paired)) == 1
    within = comparison.p_sides(comparison.estimate(same, same, paired), 0.005)
    assert within.max(0) == pytest.approx(p / 2)
    assert comparison.p_sides(e, 0.005).max(0) == 1


@pytest.mark.filterwarnings("error")
def test_rounding_is_not_noise():
    variant, reference = np.array([0.95, 0.85, 0.75]), np.array([0.9, 0.8, 0.7])
    assert np.ptp(variant - reference) > 0
    e = comparison.estimate(variant, reference, paired=True)
    assert e.se == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize(("x", "y"), [([1.0], [2.0]), ([1.0, np.nan], [2.0, 3.0]), ([np.nan] * 2, [1.0, 2.0])])
def test_one_value_tells_nothing(x, y, paired):
    e = comparison.estimate(x, y, paired)
    assert np.isnan(comparison.p_value(e))
    assert np.isnan(comparison.interval(e, 0.05)).all()
    assert np.isnan(comparison.p_sides(e, 0.1)).all()


def test_verdicts():
    compare = Compare("loss", "last", "base", goal="minimize")
    found = comparison.verdicts([0.01, 0.01, 0.05, 0.01, np.nan], [1, np.nan, 0.2, 0.01, np.nan], [1, -1, 1, 1, 1], compare)
    assert found.tolist() == ["worse", "better", "undecided", "no meaningful difference", "undecided"]


def test_too_few_values_are_no_warning_and_no_number():
    """NaN wherever there is nothing to say, in silence: a study with one seed is no mistake."""
    nothing, one, two, flat = [np.nan] * 3, [1.0, np.nan, np.nan], [1.0, 2.0, np.nan], [1.0, 1.0, 1.0]
    values = np.array([nothing, one, two, flat])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for paired in (False, True):
            e = comparison.estimate(values, np.array(two), paired)
            g, (low, high) = comparison.hedges_g(e, paired), comparison.interval(e, 0.05)
            p, sides = comparison.p_value(e), comparison.p_sides(e, 0.1)
            assert np.isnan(e.difference).tolist() == [True, False, False, False]
            assert np.isnan([g[:2], low[:2], high[:2], p[:2], *sides[:, :2]]).all()
        assert comparison.estimate([], [], False).n == 0


def test_two_pairs_have_no_effect_size():
    """The correction of Hedges' g is of no use with one degree of freedom."""
    assert np.isnan(comparison.hedges_g(comparison.estimate([1.0, 3.0], [0.0, 1.0], True), True))
    assert comparison.hedges_g(comparison.estimate([1.0, 3.0, 4.0], [0.0, 1.0, 1.0], True), True) > 0


def test_a_p_value_of_exactly_alpha_decides_nothing():
    compare = Compare("accuracy", "last", "base", alpha=0.05)
    assert comparison.verdicts([0.05, 0.049], [np.nan, np.nan], [1, 1], compare).tolist() == ["undecided", "better"]
    assert comparison.verdicts([1.0, 1.0], [0.05, 0.049], [1, 1], compare).tolist() == ["undecided", "no meaningful difference"]


@pytest.mark.parametrize("correction", ["holm", "benjamini_hochberg"])
def test_studies_are_corrected_one_by_one(correction):
    p = np.random.default_rng(0).uniform(size=(2, 3, 4))
    one_by_one = [[comparison.adjusted(study, correction).tolist() for study in studies] for studies in p]
    assert comparison.adjusted(p, correction).tolist() == one_by_one
