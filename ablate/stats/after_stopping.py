"""The difference of a comparison that stopped when chance helped, without the bias of that."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablate.study import Compare, Stopping

from .comparison import Array, Estimate, interval_alpha
from .stopping import look_level

STUDIES = 2_000  # that are simulated
EFFECTS = np.concatenate([np.linspace(-1, 5, 61), np.linspace(5.5, 30, 50)])  # in standard deviations of one seed


def corrected(e: Estimate, compare: Compare, rule: Stopping, looks: NDArray[np.int64], comparisons: int) -> Array:
    """The median-unbiased estimate (Tsiatis, Rosner and Mehta 1984; Siegmund 1978) of each difference, `[comparisons]`.

    It is the difference with which the rule would as often have found more as less than it did: more is to stop sooner, or at the
    same look with a larger difference. The studies that this counts are simulated, with normal noise that is the same in both
    samples. Bonferroni's level stands in for Holm's, and stopping for equivalence and for futility is left out.

    Args:
        e: The comparisons at their last looks.
        compare: How the study compares.
        rule: By which it stopped.
        looks: Seeds at each comparison's last look; 0 before the first.
        comparisons: How many there are to correct for.

    Returns:
        NaN where there is no look or no noise, and where a run counts as the worst.
    """
    result = np.full(e.difference.shape, np.nan)
    level = interval_alpha(compare, comparisons)
    for i in np.flatnonzero((looks > 0) & (e.se > 0) & np.isnan(e.rank_sign)):
        sign = -1.0 if e.difference[i] < 0 else 1.0
        size = float(abs(e.difference[i]) / e.sd[i])
        more = _more(level, rule.least, rule.most, compare.paired, int(looks[i]), size)
        result[i] = sign * (np.interp(0.5, more, EFFECTS) if size < EFFECTS[-1] else size) * e.sd[i]
    return result


def _more(level: float, least: int, most: int, paired: bool, look: int, size: float) -> Array:
    """The probability `[EFFECTS]` that the rule finds more than a difference of this size at this look."""
    stops, at = _stops(level, least, most, paired), look - least
    earlier = (stops.first < at) & (stops.side > 0)
    there = stops.first >= at
    more = (earlier | (there & (stops.gap[at] + EFFECTS[:, None] > size))).mean(axis=1)
    return np.asarray(np.maximum.accumulate(more) + np.arange(len(EFFECTS)) * 1e-12)


@dataclass(frozen=True)
class _Stops:
    """Simulated studies of one comparison.

    Attributes:
        first: Index of the look at which each stops, `[EFFECTS, STUDIES]`; the number of looks where none decides.
        side: Which way it decides.
        gap: The difference at each look without an effect, `[looks, STUDIES]`.
    """

    first: NDArray[np.int16]
    side: NDArray[np.int8]
    gap: Array


@lru_cache(maxsize=4)
def _stops(level: float, least: int, most: int, paired: bool) -> _Stops:
    rng, rule = np.random.default_rng(0), Stopping(least, most)
    x, y = rng.normal(size=(2, STUDIES, most))
    gaps, looks = [], range(least, most + 1)
    first, side = np.full((len(EFFECTS), STUDIES), len(looks), np.int16), np.zeros((len(EFFECTS), STUDIES), np.int8)
    for index, k in enumerate(looks):
        if paired:
            gap, se, df = x[:, :k].mean(1), x[:, :k].std(1, ddof=1) / np.sqrt(k), np.full(STUDIES, k - 1.0)
        else:
            a, b = x[:, :k].var(1, ddof=1) / k, y[:, :k].var(1, ddof=1) / k
            gap, se, df = x[:, :k].mean(1) - y[:, :k].mean(1), np.sqrt(a + b), (a + b) ** 2 * (k - 1) / (a**2 + b**2)
        gaps.append(gap)
        limit = stats.t.isf(look_level(level / 2, k, rule), df)
        t = (gap + EFFECTS[:, None]) / se
        now = (first == len(looks)) & (np.abs(t) > limit)
        first[now] = index
        side[now] = np.sign(t)[now]
    return _Stops(first, side, np.array(gaps))
