"""Which comparisons can hardly be decided any more: stopping early for futility.

What counts is the predictive probability that a comparison is decided at the last look, as a difference or as equivalent
(Spiegelhalter, Freedman and Blackburn 1986; Jennison and Turnbull 2000, section 10.3): over what the difference may be after what
was seen, with a flat prior, and over the values to come. The standard deviation is taken to stay, and Student's t with its
degrees of freedom stands in for the normal distribution. The levels are the most favourable ones, those of a comparison that all
others have passed theirs on to.

Who stops so finds nothing that would not have been found else: the levels of the looks are those without such stops
(non-binding), and the sequential p-value of a comparison is the smallest of its looks, of which there are fewer now.
"""

import numpy as np
from scipy import stats

from ablate.study import Compare, Stopping

from .comparison import FLAT, Array, Estimate


def predictive_probability(
    e: Estimate, k: int, compare: Compare, rule: Stopping, levels: tuple[float, float], resolution: float = 0.0
) -> Array:
    """The probability that comparisons are decided at the last look, from what they are at the look at k seeds.

    Args:
        e: The comparisons at this look.
        k: Seeds at this look.
        compare: How the study compares.
        rule: The first and the last look.
        levels: One-sided levels of the last look, of a difference and of each of the two tests of equivalence.
        resolution: As `comparison.p_sides` takes it.

    Returns:
        1 where nothing can be said: where nothing varies, a sample has too few values, or a run counts as the worst.
    """
    left = (rule.most - k) / rule.most
    df = e.df * (rule.most - 1) / (k - 1)
    se = e.se * np.sqrt(k / rule.most)
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = e.se * np.sqrt(left)  # of the last difference around this one
        decided = _beyond(e.difference, stats.t.isf(levels[0], df) * se, reach, e.df)
        if compare.margin is not None and compare.margin >= resolution * (1 - FLAT):
            coarse = np.fmax(se, resolution / 2 * np.sqrt(2 / rule.most))
            within = compare.margin - stats.t.isf(levels[1], df) * coarse
            decided = decided + np.where(within > 0, 1 - _beyond(e.difference, within, reach, e.df), 0.0)
        known = (e.se > 0) & np.isnan(e.rank_sign) & (left > 0)
    return np.where(known, np.minimum(decided, 1.0), 1.0)


def _beyond(difference: Array, bound: Array, reach: Array, df: Array) -> Array:
    """The probability that the last difference is outside ± bound."""
    return np.asarray(stats.t.sf((bound - difference) / reach, df) + stats.t.cdf((-bound - difference) / reach, df))
