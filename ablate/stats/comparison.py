"""Samples of a variant and of the reference -> difference, p-values, interval, verdict.

Everything works on arrays whose last axis are seeds, NaN where a cell has no value, so that one call serves a study, all
looks of a stopping rule, and ten thousand simulated studies. Where runs without a value count as the worst, they are infinite.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ablate.study import Compare

from .resampling import rank_test

Array = NDArray[np.float64]
FLAT = 1e-12  # a spread below this part of the values' size is rounding, not noise


@dataclass(frozen=True)
class Estimate:
    """A difference of means and what is needed to judge it; arrays of one shape.

    Attributes:
        difference: Mean of the variant minus mean of the reference.
        se: Its standard error; 0 where no value differs from the others of its sample, NaN where a sample has fewer than two.
        df: Degrees of freedom: Welch-Satterthwaite, or pairs - 1.
        sd: Standard deviation of one seed: pooled over both samples, or of the paired differences.
        n: Values of the variant; where seeds pair, pairs.
        n_reference: Values of the reference; where seeds pair, pairs.
        arrangements: How many ways there are to assign the values to the samples: the exact test stands in where `se` is 0.
        rank_p: Two-sided p-value of the rank test where a run without a value counts as the worst, NaN elsewhere. All above is
            of the runs that have values.
        rank_sign: Which way the ranks differ.
    """

    difference: Array
    se: Array
    df: Array
    sd: Array
    n: Array
    n_reference: Array
    arrangements: Array
    rank_p: Array
    rank_sign: Array

    def of(self, rows: NDArray[np.intp]) -> "Estimate":
        """Of some of the comparisons."""
        return Estimate(**{name: values[rows] for name, values in vars(self).items()})


def estimate(variant: ArrayLike, reference: ArrayLike, paired: bool) -> Estimate:
    """The difference of two samples, `[..., seeds]` each.

    Welch's (1947) where samples are independent, Student's on the differences where they pair. scipy's tests are the same to
    rounding, but take no level for each comparison, and loop where a value is missing.
    """
    x, y = np.broadcast_arrays(np.asarray(variant, float), np.asarray(reference, float))
    ranked = _ranked(x, y, paired)
    x, y = np.where(np.isinf(x), np.nan, x), np.where(np.isinf(y), np.nan, y)
    size = np.fmax.reduce(np.abs(np.stack([x, y])), axis=(0, -1), initial=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        if paired:
            n, mean, variance = _moments(x - y, size)
            se = np.sqrt(variance / n)
            return Estimate(mean, se, n - 1, np.sqrt(variance), n, n, 2.0**n, *ranked)
        n, mean, variance = _moments(x, size)
        m, mean_y, variance_y = _moments(y, size)
        a, b = variance / n, variance_y / m
        df = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
        pooled = ((n - 1) * variance + (m - 1) * variance_y) / (n + m - 2)
        return Estimate(mean - mean_y, np.sqrt(a + b), df, np.sqrt(pooled), n, m, special.binom(n + m, n), *ranked)


def _ranked(x: Array, y: Array, paired: bool) -> tuple[Array, Array]:
    """p-value and sign of the rank test in those comparisons in which a run counts as the worst; NaN in the others."""
    p, sign = np.full(x.shape[:-1], np.nan), np.full(x.shape[:-1], np.nan)
    for place in np.argwhere((np.isinf(x) | np.isinf(y)).any(-1)):
        own, other = x[tuple(place)], y[tuple(place)]
        both = ~np.isnan(own) & ~np.isnan(other)
        own, other = (own[both], other[both]) if paired else (own[~np.isnan(own)], other[~np.isnan(other)])
        if min(len(own), len(other)) > 1:
            p[tuple(place)], sign[tuple(place)] = rank_test(own, other, paired)
    return p, sign


def _moments(x: Array, size: Array) -> tuple[Array, Array, Array]:
    """n, mean and variance (ddof 1); NaN where there are too few values, 0 where the spread is rounding."""
    there = ~np.isnan(x)
    n = there.sum(-1).astype(float)
    mean = np.where(there, x, 0).sum(-1) / n
    residual = np.where(there, x - mean[..., None], 0)
    variance = (residual**2).sum(-1) / (n - 1)
    flat = np.abs(residual).max(-1, initial=0) <= FLAT * size
    return n, np.where(n > 0, mean, np.nan), np.where(n > 1, np.where(flat, 0.0, variance), np.nan)


def sign(e: Estimate) -> Array:
    """Whether the variant's values are larger (1), smaller (-1) or neither."""
    return np.where(np.isnan(e.rank_sign), np.sign(e.difference), e.rank_sign)


def p_value(e: Estimate) -> Array:
    """Two-sided p-value of the t-test, and where a run counts as the worst that of the rank test.

    Where nothing varies, it is that of the exact permutation test, which needs no noise to be valid.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stats.t.sf(np.abs(e.difference / e.se), e.df)
    exact = np.where(e.difference == 0, 1.0, np.minimum(1.0, 2 / e.arrangements))
    return np.where(np.isnan(e.rank_sign), np.where(e.se == 0, exact, p), e.rank_p)


def p_sides(e: Estimate, margin: float | None, resolution: float = 0.0) -> Array:
    """The p-values `[2, ...]` of two one-sided tests, that the difference is above -margin and below margin; NaN without one.

    They are 1 where a run counts as the worst: what did not train is not equivalent to what did.

    Args:
        e: The differences.
        margin: What does not matter.
        resolution: The step between two values that are possible, such as one image of the test set; 0 where there is none.
            Values that repeat seem to vary less than they do, so a sample's standard deviation is taken to be at least half a
            step, the most that two neighbouring values can have; and a margin below a step cannot be tested.
    """
    if margin is None:
        return np.full((2, *e.difference.shape), np.nan)
    room = np.stack([margin + e.difference, margin - e.difference])
    with np.errstate(invalid="ignore", divide="ignore"):
        se = np.fmax(e.se, resolution / 2 * np.sqrt(1 / e.n + 1 / e.n_reference))
        p = stats.t.sf(room / se, np.where(e.se > 0, e.df, e.n + e.n_reference - 2))
    p = np.where(se == 0, np.where(room > 0, 1 / e.arrangements, 1.0), p)
    untold = ~np.isnan(e.rank_sign) | (margin < resolution * (1 - FLAT))
    return np.where(np.isnan(e.se), np.nan, np.where(untold, 1.0, p))


def interval(e: Estimate, alpha: ArrayLike) -> tuple[Array, Array]:
    """The confidence interval of the difference at level 1 - alpha.

    NaN where nothing varies, which tells no width, and where a run counts as the worst, which has no mean.
    """
    width = (e.se > 0) & np.isnan(e.rank_sign)
    half = stats.t.isf(np.asarray(alpha) / 2, e.df) * np.where(width, e.se, np.nan)
    return e.difference - half, e.difference + half


def interval_alpha(compare: Compare, comparisons: int) -> float:
    """The level, as 1 minus it, of each of so many intervals.

    Where Holm's method bounds the chance of any false verdict, the intervals hold all together (Bonferroni). Where that of
    Benjamini and Hochberg bounds the part of false ones, each holds for itself.
    """
    return compare.alpha / max(1, comparisons) if compare.correction == "holm" else compare.alpha


def hedges_g(e: Estimate, paired: bool) -> Array:
    """The difference in standard deviations, without the bias of small samples (Hedges 1981); of the differences where paired."""
    df = e.n - 1 if paired else e.n + e.n_reference - 2
    with np.errstate(invalid="ignore", divide="ignore"):
        correction = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
        return np.where((df > 1) & (e.sd > 0), correction * e.difference / e.sd, np.nan)


def adjusted(p: ArrayLike, correction: Literal["holm", "benjamini_hochberg"]) -> Array:
    """p-values `[..., comparisons]` corrected for their number; a NaN is no comparison.

    Holm (1979) or Benjamini and Hochberg (1995). statsmodels takes one study at a time, and collects garbage at each.
    """
    p = np.asarray(p, float)
    order = np.argsort(p, axis=-1)  # NaN comes last
    ranked = np.take_along_axis(p, order, -1)
    count = (~np.isnan(p)).sum(-1, keepdims=True)
    rank = np.arange(p.shape[-1])
    if correction == "holm":
        steps = np.maximum.accumulate(ranked * (count - rank), axis=-1)
    else:
        steps = np.fmin.accumulate((ranked * count / (rank + 1))[..., ::-1], axis=-1)[..., ::-1]
    result = np.empty_like(p)
    np.put_along_axis(result, order, np.where(np.isnan(ranked), np.nan, np.minimum(steps, 1)), -1)
    return result


def verdicts(p_adjusted: ArrayLike, p_equivalence_adjusted: ArrayLike, sign: ArrayLike, compare: Compare) -> NDArray[Any]:
    """The words of `records.Verdict`, from corrected p-values and the sign of the difference.

    Equivalence comes first: a difference that is sure, and sure to be within the margin, has no meaning.
    """
    towards = np.asarray(sign) if compare.goal == "maximize" else -np.asarray(sign)
    different = np.where(towards > 0, "better", "worse")
    result = np.where(np.asarray(p_adjusted) < compare.alpha, different, "undecided").astype(object)
    return np.where(np.asarray(p_equivalence_adjusted) < compare.alpha, "no meaningful difference", result)


def judge(e: Estimate, compare: Compare, resolution: float = 0.0) -> tuple[Array, Array, NDArray[Any]]:
    """Corrected p-values of difference and equivalence, and verdicts, of comparisons `[..., comparisons]` with fixed seeds."""
    p = adjusted(p_value(e), compare.correction)
    within = adjusted(p_sides(e, compare.margin, resolution).max(0), compare.correction)  # TOST (Schuirmann 1987)
    return p, within, verdicts(p, within, sign(e), compare)


def as_worst(values: Array, ended: NDArray[np.bool_], compare: Compare) -> Array:
    """Values, with what ended without one infinitely bad where the study counts it as the worst."""
    if compare.failed != "worst":
        return values
    return np.where(ended & np.isnan(values), -np.inf if compare.goal == "maximize" else np.inf, values)
