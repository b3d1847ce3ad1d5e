"""Every variant against the reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablate.study import Compare, Stopping, Study

from . import comparison, runs, stopping, summary
from .advice import seeds_needed
from .after_stopping import corrected
from .comparison import Array, Estimate
from .images import resolution
from .records import Effect, GivenUp
from .resampling import bootstrap_interval, permutation_p
from .verdicts import Verdict


def effects(study: Study) -> tuple[Effect, ...]:
    """Every variant but the reference, in the order of the spec; where there are blocks, against the reference of its block.

    Where the study stops by a rule, the values are those of the last look at each comparison, and interval, `p_adjusted`,
    `p_equivalence` and verdict are corrected for the looks (see `stopping`): `p_adjusted` is the smallest error rate of all
    looks and comparisons together at which the rule would have found a difference by now.
    """
    references = study.references
    names = [name for name, reference in references.items() if name != reference]
    if not names:
        return ()
    found = _at_the_looks(study, names, study.stopping) if study.stopping else _at_once(study, names)
    e, compare = found.estimate, study.compare
    comparisons = int((~np.isnan(e.difference)).sum())
    numbers = {
        "difference": e.difference,
        "corrected": found.corrected,
        "low": found.low,
        "high": found.high,
        "pointwise_low": found.pointwise_low,
        "pointwise_high": found.pointwise_high,
        "effect_size": comparison.hedges_g(e, compare.paired),
        "p": comparison.p_value(e),
        "p_adjusted": found.p_adjusted,
        "p_equivalence": found.p_equivalence,
    }
    numbers |= _resampled(found.values, found.reference, e.se, compare)
    numbers["p_robust"] = comparison.adjusted(numbers["p_permutation"], compare.correction)
    least, most = np.full((2, len(names)), np.nan)
    undecided = np.flatnonzero(found.verdict == "undecided")  # the search takes longer than all else
    least[undecided], most[undecided] = seeds_needed(e.of(undecided), compare, comparisons, found.level[undecided])
    lost = {"": runs.Lost(0, 0, 0), **runs.lost(study)}  # a block may have no reference
    unreached, step = runs.unreached(study), resolution(study)
    effects = []
    for i, name in enumerate(names):
        own, reference = lost[name], lost[references[name]]
        verdict, where_it_trains = as_told(compare, "no change" if name in unreached else found.verdict[i], own, reference)
        open_ = verdict == "undecided" and where_it_trains is None and found.ended and np.isfinite(least[i])
        effects.append(
            Effect(
                variant=name,
                n=int(e.n[i]),
                n_reference=int(e.n_reference[i]),
                **{key: float(values[i]) for key, values in numbers.items()},
                correlation=correlation(_trained(found.values[i]), _trained(found.reference[i])),
                verdict=verdict,
                where_it_trains=where_it_trains,
                unreached=unreached.get(name, ""),
                lost=str(own),
                lost_reference=str(reference),
                cautions=runs.cautions(found.values[i], found.reference[i], compare.paired, step),
                seeds_least=int(least[i]) if open_ else None,
                seeds_most=int(most[i]) if open_ and np.isfinite(most[i]) else None,
                seeds_never=bool(open_ and compare.margin is None),
            )
        )
    return tuple(effects)


def as_told(compare: Compare, verdict: Verdict, own: runs.Lost, reference: runs.Lost) -> tuple[Verdict, Verdict | None]:
    """The verdict, and the one over the runs that trained where it is withheld because others diverged."""
    if compare.failed == "missing" and runs.withheld(verdict, own.diverged > 0, reference.diverged > 0):
        return "undecided", verdict
    return verdict, None


@dataclass(frozen=True)
class _Found:
    """Values `[variants, seeds]` that were compared, and what came of it, `[variants]`.

    Attributes:
        level: Two-sided level of the last test of each.
        ended: Whether no more seeds are to come.
    """

    values: Array
    reference: Array
    estimate: Estimate
    low: Array
    high: Array
    pointwise_low: Array
    pointwise_high: Array
    corrected: Array
    level: Array
    ended: bool
    p_adjusted: Array
    p_equivalence: Array
    verdict: NDArray[Any]


def _at_once(study: Study, names: Sequence[str]) -> _Found:
    compare = study.compare
    references = study.references
    both = samples(study, [*names, *(references[name] for name in names)])
    values, reference = both[: len(names)], both[len(names) :]
    e = comparison.estimate(values, reference, compare.paired)
    level = comparison.interval_alpha(compare, int((~np.isnan(e.se)).sum()))
    ends = (*comparison.interval(e, level), *comparison.interval(e, compare.alpha))
    nothing, levels = np.full(len(names), np.nan), np.full(len(names), level)
    judged = comparison.judge(e, compare, resolution(study))
    return _Found(values, reference, e, *ends, nothing, levels, True, *judged)


def samples(study: Study, variants: Sequence[str]) -> Array:
    """Values `[variants, seeds]`, NaN or the worst where a cell has none; seeds in order of size."""
    seeds = sorted(set(study.cells["seed"]))
    return stopping.samples(summary.values(study), study.compare, variants, seeds, summary.ended(study))[0]


def _looks(study: Study, names: Sequence[str], rule: Stopping) -> tuple[list[int], Array, stopping.Looks]:
    """The seeds, the values `[variants, seeds]` with the reference's as the last, and what the rule says of them."""
    seeds = list(dict.fromkeys(study.cells["seed"]))
    at = stopping.looks_at(summary.values(study), study.compare, names, rule, seeds, summary.ended(study), resolution(study))
    return seeds, *at


def _at_the_looks(study: Study, names: Sequence[str], rule: Stopping) -> _Found:
    compare = study.compare
    seeds, both, looks = _looks(study, names, rule)
    seen = np.arange(len(seeds)) < np.where(looks.seeds > 0, looks.seeds, len(seeds))[:, None]  # before a first look, all
    values, reference = np.where(seen, both[:-1], np.nan), np.where(seen, both[-1], np.nan)
    e = comparison.estimate(values, reference, compare.paired)
    tested = (looks.seeds > 0) & ~np.isnan(e.se)
    total = comparison.interval_alpha(compare, len(names))
    undecided = looks.verdict == "undecided"
    without_bias = corrected(e, compare, rule, looks.seeds, len(names))
    return _Found(
        values=values,
        reference=reference,
        estimate=e,
        low=looks.low,
        high=looks.high,
        pointwise_low=looks.pointwise_low,
        pointwise_high=looks.pointwise_high,
        corrected=np.where(looks.verdict == "no meaningful difference", np.nan, without_bias),
        level=np.array([2 * stopping.look_level(total / 2, max(k, rule.least), rule) for k in looks.seeds]),
        ended=bool((looks.seeds[undecided & np.isnan(looks.futile)] >= rule.most).all()),
        p_adjusted=np.where(tested, looks.p_adjusted, np.nan),
        p_equivalence=np.where(tested, looks.p_equivalence, np.nan),
        verdict=looks.verdict,
    )


def given_up(study: Study) -> tuple[GivenUp, ...]:
    """The comparisons that stopped for futility, in the order of the spec."""
    rule = study.stopping
    names = [name for name, reference in study.references.items() if name != reference]
    if rule is None or rule.futility is None or not names:
        return ()
    looks = _looks(study, names, rule)[2]
    stopped = zip(names, looks.seeds, looks.futile, strict=True)
    return tuple(GivenUp(name, int(seeds), float(chance)) for name, seeds, chance in stopped if np.isfinite(chance))


def correlation(variant: Array, reference: Array) -> float:
    """Pearson's r over the seeds that both have; NaN for fewer than three, or where one of them does not vary."""
    both = ~np.isnan(variant) & ~np.isnan(reference)
    x, y = variant[both], reference[both]
    if len(x) < 3 or _flat(x) or _flat(y):
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def _flat(x: Array) -> bool:
    return bool(np.ptp(x) <= comparison.FLAT * np.abs(x).max())


def _trained(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)


def _resampled(values: Array, reference: Array, se: Array, compare: Compare) -> dict[str, Array]:
    """Bootstrap intervals and permutation tests; NaN where the t-test has none, or a run counts as the worst.

    Comparisons of as many seeds are resampled together, which takes a tenth of the time.
    """
    found = {name: np.full(len(se), np.nan) for name in ("boot_low", "boot_high", "p_permutation")}
    alike: dict[tuple[int, ...], list[int]] = {}
    data: dict[int, list[Array]] = {}
    for i in np.flatnonzero(~np.isnan(se) & ~np.isinf(values).any(-1) & ~np.isinf(reference).any(-1)).tolist():
        samples = [values[i] - reference[i]] if compare.paired else [values[i], reference[i]]
        data[i] = [sample[~np.isnan(sample)] for sample in samples]
        alike.setdefault((*map(len, data[i]), se[i] > 0), []).append(i)
    for (*_, varies), rows in alike.items():
        samples = [np.stack(own) for own in zip(*(data[i] for i in rows), strict=True)]
        found["p_permutation"][rows] = permutation_p(*samples)
        if varies:
            found["boot_low"][rows], found["boot_high"][rows] = bootstrap_interval(*samples, alpha=compare.alpha)
    return found
