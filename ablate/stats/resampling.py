"""Tests and intervals that need no normal noise: the bootstrap, permutations, and ranks where runs have no value."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Arranged = Callable[[Array, int], tuple[Array, Array, bool]]
RESAMPLES = 1999  # of the bootstrap
ARRANGEMENTS = 4999  # of a permutation test that are all taken; 7 seeds against 7 have fewer. Of more, as many are drawn
LARGEST = 4_000_000  # resampled values in memory, unless those of one comparison are more


def bootstrap_interval(*samples: Array, alpha: float) -> tuple[Array, Array]:
    """BCa (Efron 1987) of the difference of two samples' means, or of the mean of paired differences, at level 1 - alpha.

    Args:
        samples: `[..., n]` and `[..., m]`, or the differences alone. Each comparison is resampled as by itself.
        alpha: Of each interval.

    Returns:
        Lower and upper ends, `[...]`.
    """
    settings: dict[str, Any] = {"n_resamples": RESAMPLES, "confidence_level": 1 - alpha, "method": "BCa", "axis": -1}

    def ends(*some: Array) -> Array:
        found = stats.bootstrap(some, _mean_of_rows, **settings, rng=np.random.default_rng(0)).confidence_interval
        return np.stack([found.low, found.high])

    low, high = _in_parts(ends, samples, RESAMPLES)
    return low, high


def permutation_p(*samples: Array) -> Array:
    """Two-sided p-value of the permutation test of two samples, or of the test that flips the signs of paired differences.

    Args:
        samples: `[..., n]` and `[..., m]`, or the differences alone.

    Returns:
        `[...]`.

    The statistic is Welch's t of two samples (Janssen 1997, Chung and Romano 2013): where nothing but chance tells the samples
    apart the test is exact, and where their spread differs it holds for many seeds, which that of the plain difference does not.
    Of paired differences it is the mean, which orders the arrangements as Student's t does.
    """
    if len(samples) > 1:
        return _in_parts(partial(_permuted, _studentised_all), samples, ARRANGEMENTS, each=8)
    return _in_parts(partial(_permuted, _signed_all), samples, ARRANGEMENTS)


def _in_parts(test: Callable[..., Array], samples: Sequence[Array], times: int, each: int | None = None) -> Array:
    """What a test gives for all comparisons, of so many at once that all of them, resampled so often, are not too large.

    Args:
        test: Gives `[..., comparisons]`.
        samples: As `bootstrap_interval` takes them.
        times: Each comparison is resampled.
        each: Numbers that the test has in memory for a comparison that is resampled once; all of its values unless given.
    """
    flat = [sample.reshape(-1, sample.shape[-1]) for sample in samples]
    rows = max(1, LARGEST // (times * (each or sum(sample.shape[-1] for sample in flat))))
    found = [test(*(sample[start : start + rows] for sample in flat)) for start in range(0, len(flat[0]), rows)]
    together = np.concatenate(found, axis=-1)
    return together.reshape(together.shape[:-1] + samples[0].shape[:-1])


def rank_test(variant: Array, reference: Array, paired: bool) -> tuple[float, float]:
    """Two-sided p-value of Wilcoxon's test (1945), and the sign of the difference; runs without a value are infinite.

    The rank-sum test of two samples, or where seeds pair the signed-rank test, both from all arrangements as far as there are no
    more than `ARRANGEMENTS`, and from the normal approximation, corrected for ties, beyond.

    Args:
        variant: `[n]`, without NaN.
        reference: `[m]`, without NaN; n = m where seeds pair.
        paired: Whether seeds pair.
    """
    if paired:
        both_lost = np.isinf(variant) & (variant == reference)
        gaps = np.where(both_lost, 0.0, variant - np.where(both_lost, 0.0, reference))
        signed = np.sign(gaps) * stats.rankdata(np.abs(gaps))
        if 2 ** len(signed) <= ARRANGEMENTS:
            return float(_permuted(_signed_all, signed)), float(np.sign(signed.sum()))
        z = abs(signed.sum()) / max(float(np.sqrt((signed**2).sum())), 1e-300)
        return float(2 * stats.norm.sf(z)), float(np.sign(signed.sum()))
    ranks = stats.rankdata(np.concatenate([variant, reference]))
    own, other = ranks[: len(variant)], ranks[len(variant) :]
    if math.comb(len(ranks), len(own)) <= ARRANGEMENTS:
        p = float(_permuted(_differences_all, own, other))
    else:
        p = float(stats.mannwhitneyu(own, other, method="asymptotic").pvalue)
    return p, float(np.sign(own.mean() - other.mean()))


def _difference(*samples: Array) -> Array:
    return np.asarray(samples[0].mean(-1) - (samples[1].mean(-1) if len(samples) > 1 else 0))


def _mean_of_rows(*samples: Array, axis: int) -> Array:
    """The same, in memory row by row: so the sums of several comparisons have the bits of those of one."""
    return _difference(*(np.ascontiguousarray(np.moveaxis(sample, axis, -1)) for sample in samples))


def _studentised(x: Array, y: Array) -> Array:
    """Welch's t; where a sample has no spread, or next to none, as extreme as the difference of the means is."""
    se = np.sqrt(x.var(-1, ddof=1) / x.shape[-1] + y.var(-1, ddof=1) / y.shape[-1])
    return np.asarray(np.round(_difference(x, y), 9) / np.maximum(se, 1e-9))


def _permuted(arranged: Arranged, *samples: Array) -> Array:
    """The p-values over all arrangements, or over `ARRANGEMENTS` that a fixed generator draws where there are more.

    Samples are brought to their range and the statistic is rounded, so that arrangements that are equal but for rounding count
    as equal: accuracies of few test images repeat.

    Args:
        arranged: Gives, for all samples `[..., n + m]` side by side and n, the statistic `[...]`, that of the arrangements
            `[..., arrangements]`, and whether they are all.
        samples: `[..., n]` and `[..., m]`, or the differences alone.
    """
    both, n = np.concatenate(samples, axis=-1), samples[0].shape[-1]
    scale = np.ptp(both, axis=-1) if len(samples) > 1 else np.abs(both).max(-1)
    middle = both.mean(-1, keepdims=True) if len(samples) > 1 else 0.0
    found, all_, exact = arranged((both - middle) / np.where(scale == 0, 1.0, scale)[..., None], n)
    all_, found = np.round(all_, 6), np.round(found, 6)[..., None]
    extreme = np.minimum((all_ >= found).sum(-1), (all_ <= found).sum(-1)) + (not exact)
    p = np.minimum(1.0, 2 * extreme / (all_.shape[-1] + (not exact)))
    return np.where(scale == 0, 1.0, p)


def _signed_all(gaps: Array, n: int) -> tuple[Array, Array, bool]:
    """The mean of paired differences, with each of them or its opposite."""
    signs, exact = _signs(n)
    return _difference(gaps), _difference(gaps[..., None, :] * signs), exact


def _differences_all(both: Array, n: int) -> tuple[Array, Array, bool]:
    """The difference of two samples' means."""
    orders, exact = _arrangements(both.shape[-1], n)
    all_ = np.take(both, orders, axis=-1)
    return _difference(both[..., :n], both[..., n:]), _difference(all_[..., :n], all_[..., n:]), exact


def _studentised_all(both: Array, n: int) -> tuple[Array, Array, bool]:
    """Welch's t, for comparisons `[comparisons, n + m]`.

    All sums are products with one matrix. Where their rounding could change the order to what was found, each is done by itself.
    """
    size, m = both.shape[-1], both.shape[-1] - n
    orders, exact = _arrangements(size, n)
    found = _studentised(both[:, :n], both[:, n:])
    first = np.zeros(orders.shape)
    np.put_along_axis(first, orders[:, :n], 1.0, axis=1)
    x, xx = both @ first.T, both**2 @ first.T
    y, yy = both.sum(-1, keepdims=True) - x, (both**2).sum(-1, keepdims=True) - xx
    a, b = 1 / (n * (n - 1)), 1 / (m * (m - 1))
    variance = np.maximum(a * (xx - x**2 / n) + b * (yy - y**2 / m), 1e-18)
    t = (x / n - y / m) / np.sqrt(variance)
    error = 16 * np.finfo(float).eps * size * (a + b) / variance  # of t, as a part of it: no value is larger than 1
    near = (error > 0.01) | (np.abs(t - found[:, None]) <= 1e-5 + error * np.abs(t))
    for row in np.flatnonzero(near.any(-1)):
        again = both[row][orders[near[row]]]
        t[row, near[row]] = _studentised(again[:, :n], again[:, n:])
    return found, np.asarray(t), exact


@lru_cache
def _arrangements(size: int, n: int) -> tuple[NDArray[np.int64], bool]:
    """Orders `[arrangements, size]` whose first n places are the first sample, and whether they are all."""
    if math.comb(size, n) > ARRANGEMENTS:
        return np.random.default_rng(0).permuted(np.tile(np.arange(size), (ARRANGEMENTS, 1)), axis=1), False
    chosen = np.zeros((math.comb(size, n), size), bool)
    for row, first in zip(chosen, combinations(range(size), n), strict=True):
        row[list(first)] = True
    return np.argsort(~chosen, axis=1, kind="stable"), True


@lru_cache
def _signs(n: int) -> tuple[Array, bool]:
    """Signs `[arrangements, n]`, and whether they are all."""
    if 2**n > ARRANGEMENTS:
        return np.random.default_rng(0).choice([-1.0, 1.0], (ARRANGEMENTS, n)), False
    return np.array(list(product([-1.0, 1.0], repeat=n))), True
