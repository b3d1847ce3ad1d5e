"""Every variant against the reference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablate.study import Compare, Stopping, Study

from . import comparison, stopping, summary
from .comparison import Array, Estimate
from .power import seeds_to_decide
from .records import Effect
from .summary import table

RESAMPLES = 1999  # of the bootstrap
ARRANGEMENTS = 4999  # of the permutation test, at most; 7 seeds against 7 have fewer


def effects(study: Study) -> tuple[Effect, ...]:
    """Every variant but the reference, in the order of the spec.

    Where the study stops by a rule, the values are those of the last look at each comparison, and interval, `p_adjusted`,
    `p_equivalence` and verdict are corrected for the looks (see `stopping`): `p_adjusted` is the smallest error rate of all
    looks and comparisons together at which the rule would have found a difference by now.
    """
    names = [variant.name for variant in study.variants if variant.name != study.compare.reference]
    if not names:
        return ()
    found = _at_the_looks(study, names, study.stopping) if study.stopping else _at_once(study, names)
    e, compare = found.estimate, study.compare
    p, effect_size = comparison.p_value(e), comparison.hedges_g(e, compare.paired)
    seeds = _seeds_needed(e, compare)
    return tuple(
        Effect(
            variant=name,
            n=int(e.n[i]),
            n_reference=int(e.n_reference[i]),
            difference=float(e.difference[i]),
            low=float(found.low[i]),
            high=float(found.high[i]),
            **_resampled(found.values[i], found.reference[i], e.se[i], compare),
            effect_size=float(effect_size[i]),
            p=float(p[i]),
            p_adjusted=float(found.p_adjusted[i]),
            p_equivalence=float(found.p_equivalence[i]),
            correlation=correlation(found.values[i], found.reference[i]),
            verdict=found.verdict[i],
            seeds_needed=int(seeds[i]) if found.verdict[i] == "undecided" and np.isfinite(seeds[i]) else None,
        )
        for i, name in enumerate(names)
    )


@dataclass(frozen=True)
class _Found:
    """Values `[variants, seeds]` that were compared, and what came of it, `[variants]`."""

    values: Array
    reference: Array
    estimate: Estimate
    low: Array
    high: Array
    p_adjusted: Array
    p_equivalence: Array
    verdict: NDArray[Any]


def _at_once(study: Study, names: Sequence[str]) -> _Found:
    compare = study.compare
    values = table(summary.values(study), [*names, compare.reference])
    e = comparison.estimate(values[:-1], values[-1], compare.paired)
    low, high = comparison.interval(e, compare.alpha)
    return _Found(values[:-1], values[[-1] * len(names)], e, low, high, *comparison.judge(e, compare))


def _at_the_looks(study: Study, names: Sequence[str], rule: Stopping) -> _Found:
    compare, cells, numbers = study.compare, study.cells, summary.values(study)
    variants, seeds = [*names, compare.reference], list(dict.fromkeys(cells["seed"]))
    cells_ended = cells.loc[cells["status"].isin(["done", "failed"]), ["variant", "seed"]].itertuples(index=False, name=None)
    known = stopping.ended(numbers, variants, seeds, set(cells_ended))
    values = table(numbers, variants, seeds)
    looks = stopping.replay(values[:-1], values[-1], known[:-1] & known[-1], compare, rule)
    seen = np.arange(len(seeds)) < np.where(looks.seeds > 0, looks.seeds, len(seeds))[:, None]  # before a first look, all
    values, reference = np.where(seen, values[:-1], np.nan), np.where(seen, values[-1], np.nan)
    e = comparison.estimate(values, reference, compare.paired)
    tested = (looks.seeds > 0) & ~np.isnan(e.se)
    p_adjusted, p_equivalence = np.where(tested, looks.p_adjusted, np.nan), np.where(tested, looks.p_equivalence, np.nan)
    return _Found(values, reference, e, looks.low, looks.high, p_adjusted, p_equivalence, looks.verdict)


def correlation(variant: Array, reference: Array) -> float:
    """Pearson's r over the seeds that both have; NaN for fewer than three, or where one of them does not vary."""
    both = ~np.isnan(variant) & ~np.isnan(reference)
    x, y = variant[both], reference[both]
    if len(x) < 3 or _flat(x) or _flat(y):
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _flat(x: Array) -> bool:
    return bool(np.ptp(x) <= comparison.FLAT * np.abs(x).max())


def _seeds_needed(e: Estimate, compare: Compare) -> Array:
    """Seeds a variant that probably decide; more than there are, because those did not."""
    comparisons = max(1, int((~np.isnan(e.difference)).sum()))
    seeds = seeds_to_decide(e.difference, e.sd, compare.alpha / comparisons, compare.margin, compare.paired)
    return np.asarray(np.maximum(seeds, np.minimum(e.n, e.n_reference) + 1))


def _resampled(variant: Array, reference: Array, se: float, compare: Compare) -> dict[str, float]:
    """Bootstrap interval and permutation test of one comparison; NaN where the t-test has none."""
    nothing = {"boot_low": float("nan"), "boot_high": float("nan"), "p_permutation": float("nan")}
    if np.isnan(se):
        return nothing
    samples = [variant - reference] if compare.paired else [variant, reference]
    data = [sample[~np.isnan(sample)] for sample in samples]
    found = nothing | {"p_permutation": permutation_p(*data)}
    if se > 0:
        found["boot_low"], found["boot_high"] = bootstrap_interval(*data, alpha=compare.alpha)
    return found


def _difference(*samples: Array, axis: int = -1) -> Array:
    return np.asarray(samples[0].mean(axis) - (samples[1].mean(axis) if len(samples) > 1 else 0))


def bootstrap_interval(*samples: Array, alpha: float) -> tuple[float, float]:
    """BCa (Efron 1987) of the difference of two samples' means, or of the mean of paired differences, at level 1 - alpha."""
    found = stats.bootstrap(
        samples, _difference, n_resamples=RESAMPLES, confidence_level=1 - alpha, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    return float(found.low), float(found.high)


def permutation_p(*samples: Array) -> float:
    """Two-sided p-value of the permutation test of two samples, or of the test that flips the signs of paired differences.

    Exact, and NaN where there are more than `ARRANGEMENTS`: there, the t-test does not need its support. The statistic is
    rounded to a billionth of the range, so that arrangements that are equal but for rounding count as equal: accuracies of few
    test images repeat.
    """
    both = np.concatenate(samples)
    if (math.comb(len(both), len(samples[0])) if len(samples) > 1 else 2 ** len(both)) > ARRANGEMENTS:
        return float("nan")
    scale = np.ptp(both) if len(samples) > 1 else np.abs(both).max()
    if scale == 0:
        return 1.0
    centre = both.mean() if len(samples) > 1 else 0.0
    return float(
        stats.permutation_test(
            [(sample - centre) / scale for sample in samples],
            lambda *parts, axis: np.round(_difference(*parts, axis=axis), 9),
            permutation_type="independent" if len(samples) > 1 else "samples",
            n_resamples=np.inf,
            vectorized=True,
        ).pvalue
    )
