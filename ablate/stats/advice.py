"""How many seeds would decide what is undecided: a range, because few seeds tell the difference and the noise badly."""

from collections.abc import Callable

import numpy as np
from scipy import special, stats

from ablate.study import Compare

from .comparison import Array, Estimate
from .power import MOST, seeds_to_decide

MISSED = 0.1  # of the cases, by each end of the range; as one end is hardly ever wrong where the other is, 90 % have it right
FARTHEST = 40.0  # standard errors, beyond which two seeds decide
POINTS = 9  # of the differences and noises that are tried where there is a margin


def seeds_needed(e: Estimate, compare: Compare, comparisons: int, level: Array) -> tuple[Array, Array]:
    """Seeds a variant with which a study with fresh seeds decides (80 %): both ends of a 90 % range.

    Its ends are the seeds for the largest and the smallest difference, in standard deviations of one seed, that the data leave
    open: a confidence interval from the noncentral t distribution, which has the noise in it. That the comparison is undecided is
    taken into account where it makes the largest difference larger. Where there is a margin, the difference and the noise have an
    interval each, because equivalence depends on both.

    Args:
        e: The comparisons, `[comparisons]`.
        compare: How the study compares.
        comparisons: How many there are to correct for.
        level: Two-sided level at which each was tested last.

    Returns:
        The least and the most; NaN for a least that nobody can tell, and infinity for a most that has no end.
    """
    varies = (e.se > 0) & np.isnan(e.rank_sign)
    t = np.where(varies, np.abs(e.difference) / np.where(varies, e.se, 1), 0.0)
    df = np.where(varies, e.df, 1.0)
    limit = np.maximum(stats.t.isf(level / 2, df), t)
    nearest, farthest = _nearest(t, df), _farthest(t, df, limit)
    unit = np.where(varies, e.se / np.where(varies, e.sd, 1), np.nan)  # of one standard error, in standard deviations of one seed
    alpha = compare.alpha / max(1, comparisons)
    if compare.margin is None:
        low = seeds_to_decide(farthest * unit, np.ones_like(t), alpha, None, compare.paired)
        high = seeds_to_decide(np.maximum(nearest, 0) * unit, np.ones_like(t), alpha, None, compare.paired)
    else:
        low, high = _with_margin(e, nearest, farthest, alpha, compare)
    more = np.minimum(e.n, e.n_reference) + 1  # those that there are did not decide
    low, high = (np.maximum(np.where(np.isnan(seeds), np.inf, seeds), more) for seeds in (low, high))
    return np.where(varies, np.minimum(low, MOST), np.nan), np.where(varies, high, np.inf)


def _nearest(t: Array, df: Array) -> Array:
    """The noncentrality with which a t at or above this one has a probability of 10 %; it may be negative."""
    return _where_positive(lambda shift: stats.nct.sf(t, df, shift) - MISSED, np.full(t.shape, -FARTHEST))


def _farthest(t: Array, df: Array, limit: Array) -> Array:
    """The noncentrality with which a t at or below this one has a probability of 10 %.

    Or, where it is larger, the one with which |t| is at or below this one in 10 % of the studies that stay below the limit, as
    this one did: it is undecided, so it is more likely than others to have seen too small a difference.
    """

    def below(value: Array, shift: Array) -> Array:
        return np.asarray(np.nan_to_num(stats.nct.cdf(value, df, shift) - stats.nct.cdf(-value, df, shift)))

    plain = _where_positive(lambda shift: MISSED - stats.nct.cdf(t, df, shift), np.full(t.shape, -FARTHEST))
    selected = _where_positive(lambda shift: MISSED * below(limit, shift) - below(t, shift), np.zeros(t.shape))
    return np.maximum(plain, selected)


def _where_positive(rising: Callable[[Array], Array], least: Array) -> Array:
    """From where on a function of the noncentrality is not negative, by bisection."""
    low, high = least, np.full(least.shape, FARTHEST)
    for _ in range(24):
        middle = (low + high) / 2
        above = rising(middle) >= 0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return high


def _with_margin(e: Estimate, nearest: Array, farthest: Array, alpha: float, compare: Compare) -> tuple[Array, Array]:
    """The least and the most seeds over the differences and noises that the data leave open."""
    df = np.where(e.df > 0, e.df, 1.0)
    noise = e.sd * np.sqrt(df / np.stack([special.chdtri(df, p) for p in (0.1, 0.5, 0.9)]))
    differences = e.se * np.linspace(nearest, farthest, POINTS)
    half = (compare.margin or 0) / 2
    halves = [np.clip(at, differences[0], differences[-1]) for at in (-half, half)]
    differences = np.concatenate([differences, halves])  # at half the margin neither test sees much
    seeds = seeds_to_decide(differences[:, None], noise[None], alpha, compare.margin, compare.paired)
    seeds = np.where(np.isnan(seeds), np.inf, seeds)
    return seeds.min(axis=(0, 1)), seeds.max(axis=(0, 1))
