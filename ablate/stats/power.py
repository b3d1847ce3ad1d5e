"""How many seeds a study needs, and what it can see with those that it has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

from ablate.study import Study

from . import summary
from .comparison import Array

Indices = NDArray[np.intp]
MOST = 10_000  # seeds a variant; who needs more needs another question
LIKELY = 0.8  # the usual power


def power_of(
    effect: ArrayLike, n: ArrayLike, alpha: ArrayLike, paired: bool, alternative: Literal["two-sided", "larger"] = "two-sided"
) -> Array:
    """The probability that a t-test at level `alpha` sees an effect: the noncentral t distribution.

    statsmodels has the same, but turns NaN or unsolvable for large effects and few seeds.

    Args:
        effect: Difference in standard deviations of one seed; of the paired differences where seeds pair.
        n: Seeds a variant.
        alpha: Level of the test.
        paired: Whether seeds pair.
        alternative: `larger` for a one-sided test.
    """
    effect, n, alpha = np.broadcast_arrays(np.asarray(effect, float), n, alpha)
    df, shift = (n - 1, effect * np.sqrt(n)) if paired else (2 * n - 2, effect * np.sqrt(n / 2))
    if alternative == "larger":
        return np.asarray(stats.nct.sf(stats.t.isf(alpha, df), df, shift))
    limit = stats.t.isf(alpha / 2, df)
    wrong_side = np.nan_to_num(stats.nct.cdf(-limit, df, np.abs(shift)))  # scipy has NaN where it is 0 to rounding
    return np.asarray(stats.nct.sf(limit, df, np.abs(shift)) + wrong_side)


def power_of_equivalence(effect: ArrayLike, margin: ArrayLike, n: ArrayLike, alpha: ArrayLike, paired: bool) -> Array:
    """The probability that TOST shows an effect to be within ± margin, both in standard deviations; at least, for small n."""
    effect, margin = np.abs(effect), np.asarray(margin, float)
    near = power_of(margin - effect, n, alpha, paired, "larger")
    far = power_of(margin + effect, n, alpha, paired, "larger")
    return np.maximum(near + far - 1, 0)


def smallest_n(power: Callable[[Array, Indices], Array], guess: Array, wanted: float = LIKELY) -> Array:
    """The smallest number of seeds, 2 to `MOST`, with the wanted power; NaN where there is none.

    Args:
        power: Power of some questions with so many seeds each: `(seeds, which of the questions)`. It must not fall with seeds.
        guess: A number of seeds for each question, `[questions]`. The search begins there, in steps that double.
        wanted: The power.
    """
    low, high = np.full(len(guess), 2.0), np.full(len(guess), float(MOST))
    every = np.arange(len(guess))
    open_ = every[power(high, every) >= wanted]
    found = np.full(len(guess), np.nan)
    at, step = np.clip(np.nan_to_num(guess, nan=2.0), 2, MOST).round(), np.ones(len(guess))
    while len(open_):
        seeds = np.clip(at[open_], low[open_], high[open_] - 1)
        enough = power(seeds, open_) >= wanted
        high[open_] = np.where(enough, seeds, high[open_])
        low[open_] = np.where(enough, low[open_], seeds + 1)
        done = low[open_] >= high[open_]
        found[open_[done]] = high[open_[done]]
        open_, enough = open_[~done], enough[~done]
        middle = np.floor((low[open_] + high[open_]) / 2)
        at[open_] = np.where(
            enough, np.maximum(high[open_] - step[open_], middle), np.minimum(low[open_] + step[open_] - 1, middle)
        )
        step[open_] *= 2
    return found


def seeds_to_decide(
    difference: ArrayLike, sd: ArrayLike, alpha: float, margin: float | None, paired: bool, wanted: float = LIKELY
) -> Array:
    """Seeds a variant to show that there is a difference, or that it is within the margin, whichever is sooner.

    Args:
        difference: The difference that is supposed to be true.
        sd: Standard deviation of one seed; of the paired differences where seeds pair.
        alpha: Level of the test, divided by the number of comparisons already.
        margin: Differences within ± this are of no importance; None for no such test.
        paired: Whether seeds pair.
        wanted: The power.

    Returns:
        NaN where more than `MOST` would be needed, or nobody can tell, because `sd` is 0 or NaN.
    """
    difference, sd = np.broadcast_arrays(np.asarray(difference, float), np.asarray(sd, float))
    known = (sd > 0) & np.isfinite(difference)
    scale = sd[known]
    effect = np.abs(difference[known]) / scale
    seeds = smallest_n(lambda n, i: power_of(effect[i], n, alpha, paired), _guess(effect, alpha / 2, wanted, paired), wanted)
    if margin is not None:
        room = np.maximum(margin / scale - effect, 0)
        within = smallest_n(
            lambda n, i: power_of_equivalence(effect[i], margin / scale[i], n, alpha, paired),
            _guess(room, alpha, wanted, paired),
            wanted,
        )
        seeds = np.fmin(seeds, within)
    found = np.full(difference.shape, np.nan)
    found[known] = seeds
    return found


def _guess(effect: Array, alpha: float, wanted: float, paired: bool) -> Array:
    """About how many seeds a one-sided test needs: the normal approximation, corrected for small samples (Guenther 1981)."""
    level, power = stats.norm.isf(alpha), stats.norm.ppf(wanted)
    with np.errstate(divide="ignore"):
        return np.asarray((1 if paired else 2) * ((level + power) / effect) ** 2 + level**2 / (2 if paired else 4))


def detectable(n: int, alpha: float, paired: bool, wanted: float = LIKELY) -> float:
    """The smallest effect, in standard deviations of one seed (of paired differences), that n >= 2 seeds a variant show."""
    return float(optimize.brentq(lambda effect: float(power_of(effect, n, alpha, paired)) - wanted, 0, 1e6))


@dataclass(frozen=True)
class Noise:
    """How much results differ between seeds, estimated from a pilot.

    Attributes:
        sd: Standard deviation of one seed, pooled over variants; of the differences from the reference where seeds pair.
        low: Lower end of its 95 % interval (chi-square). It assumes normal noise, and is too narrow where results of one seed go
            together and seeds do not pair.
        high: Its upper end.
        df: Degrees of freedom of the estimate.
        correlation: How much results of one seed go together, over all variants; NaN for fewer than three seeds that all have.
            Seeds are worth pairing where it is clearly positive.
    """

    sd: float
    low: float
    high: float
    df: int
    correlation: float


def noise(study: Study) -> Noise:
    """The noise of a study that was run, as a pilot for the next one.

    Raises:
        ValueError: No variant has two values, or where seeds pair, no two variants have two seeds in common.
    """
    values = summary.table(summary.values(study), [variant.name for variant in study.variants])
    values = values[~np.isnan(values).all(axis=1)]
    complete = values[:, ~np.isnan(values).any(axis=0)]
    variants, seeds = complete.shape
    within = np.nansum((values - np.nanmean(values, axis=1, keepdims=True)) ** 2) if values.size else 0.0
    df = int((~np.isnan(values)).sum() - len(values))
    total = ((complete - complete.mean(axis=1, keepdims=True)) ** 2).sum() if seeds else 0.0
    by_seed = variants * ((complete.mean(axis=0) - complete.mean()) ** 2).sum() if seeds else 0.0
    left, left_df = total - by_seed, (variants - 1) * (seeds - 1)
    known = seeds > 2 and variants > 1 and total > 0
    correlation = 1 - (left / left_df) / (total / (variants * (seeds - 1))) if known else float("nan")
    if study.compare.paired:
        within, df = 2 * left, left_df  # the difference of two cells has twice the variance that is left
    if df < 1:
        what = "two variants with two seeds in common" if study.compare.paired else "a variant with two seeds"
        raise ValueError(f"the study {study.name!r} does not have {what}, so nothing is known of its noise")
    ends = np.sqrt(within / stats.chi2.ppf([0.975, 0.025], df))
    return Noise(float(np.sqrt(within / df)), float(ends[0]), float(ends[1]), df, float(correlation))


@dataclass(frozen=True)
class Detectable:
    """The smallest difference that `n` seeds a variant show, and the same if the noise is at the ends of its interval."""

    n: int
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Needed:
    """Seeds a variant that show a difference; and if the noise is at the ends of its interval. None for more than `MOST`."""

    difference: float
    n: int | None
    low: int | None
    high: int | None


def detectable_differences(
    noise: Noise, seeds: Sequence[int], alpha: float, comparisons: int, paired: bool, wanted: float = LIKELY
) -> tuple[Detectable, ...]:
    """What each number of seeds can show, in every one of so many comparisons.

    Args:
        noise: From a pilot.
        seeds: Numbers of seeds a variant, each at least 2.
        alpha: Error rate of the study; it is divided by the number of comparisons, so Holm's correction does better.
        comparisons: Variants but the reference.
        paired: Whether seeds pair.
        wanted: The power.
    """
    effects = [detectable(n, alpha / comparisons, paired, wanted) for n in seeds]
    return tuple(
        Detectable(n, effect * noise.sd, effect * noise.low, effect * noise.high)
        for n, effect in zip(seeds, effects, strict=True)
    )


def seeds_needed(
    noise: Noise, differences: Sequence[float], alpha: float, comparisons: int, paired: bool, wanted: float = LIKELY
) -> tuple[Needed, ...]:
    """Seeds a variant for each difference, in units of the metric; arguments are those of `detectable_differences`."""
    sds = np.array([noise.sd, noise.low, noise.high])
    found = seeds_to_decide(np.asarray(differences, float)[:, None], sds, alpha / comparisons, None, paired, wanted)
    return tuple(
        Needed(float(difference), *(int(n) if np.isfinite(n) else None for n in row))
        for difference, row in zip(differences, found, strict=True)
    )
