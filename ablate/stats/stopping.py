"""When a comparison has enough seeds: a group sequential test that looks after every seed.

After `least` seeds, and after each further one up to `most`, every comparison that is undecided is tested again. The error rate
of all looks together is held by spending it (Lan and DeMets 1983): of the total level a, the look at k seeds and those before it
spend a (k / most)², of the power family of Kim and DeMets (1987). The level of a look follows from the joint distribution of all
looks by the recursion of Armitage, McPherson and Rowe (1969). That of Student's t is used, and not the normal one: with three
seeds at the first look, the latter would err too often.

The smallest total level at which a comparison would have been decided by now is its sequential p-value (Liu and Anderson 2008).
These are corrected for the number of comparisons like any others, so that what is rejected passes its level on to the rest
(Maurer and Bretz 2013). Equivalence is decided in the same way, from the sequential p-values of the two one-sided tests of TOST.

Where the study asks for it, a comparison that can hardly be decided any more gets no more seeds (see `futility`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ablate.study import Compare, Stopping

from . import comparison, summary
from .comparison import Array
from .futility import predictive_probability
from .verdicts import Verdict

POWER = 2.0  # of the spending function: the fewest seeds on average where power is high, see docs/statistics.md
TOTALS = np.geomspace(1e-9, 0.5, 80)  # one-sided levels of all looks together, between which is interpolated
EDGES = np.concatenate([np.linspace(-7, 0, 36), np.linspace(0, 7, 176)[1:]])  # of bins of the statistic, as normal scores


@dataclass(frozen=True)
class Decision:
    """What the rule says of one comparison.

    Attributes:
        verdict: What the data supports.
        seeds: Seeds at the last look; 0 before the first.
        low: Lower end of the repeated confidence interval (Jennison and Turnbull 1989), which holds at all looks together.
        high: Its upper end.
        futile: The probability of still being decided, where it was too small to add seeds; None elsewhere.
    """

    verdict: Verdict
    seeds: int
    low: float
    high: float
    futile: float | None = None


@dataclass(frozen=True)
class Looks:
    """What the rule says of all comparisons so far; arrays `[..., variants]`.

    Attributes:
        verdict: The words of `records.Verdict`.
        seeds: Seeds at the last look; 0 before the first.
        p: Sequential p-value.
        p_adjusted: The same, corrected for the number of comparisons.
        p_equivalence: Sequential p-value of TOST, corrected in the same way.
        low: Lower end of the repeated confidence interval; all of them hold together, see `comparison.interval_alpha`.
        high: Its upper end.
        pointwise_low: Lower end of the repeated interval that holds for one comparison alone.
        pointwise_high: Its upper end.
        futile: The probability of still being decided, where it was too small to add seeds; NaN elsewhere.
    """

    verdict: NDArray[Any]
    seeds: NDArray[np.int64]
    p: Array
    p_adjusted: Array
    p_equivalence: Array
    low: Array
    high: Array
    pointwise_low: Array
    pointwise_high: Array
    futile: Array


def replay(
    values: Array,
    reference: Array,
    known: NDArray[np.bool_],
    compare: Compare,
    stopping: Stopping,
    resolution: float = 0.0,
) -> Looks:
    """Takes all looks that the data allows, from the first one on; what is decided is not looked at again.

    A look needs all cells of all comparisons that are undecided, so that it does not matter which of them end first.

    Args:
        values: `[..., variants, seeds]` in the order in which seeds are added, NaN where there is no value, infinite where a run
            without one counts as the worst.
        reference: `[..., seeds]`.
        known: `[variants, seeds]`: whether the cell and the reference's have ended, with a value or without.
        compare: How the study compares.
        stopping: The first and the last look.
        resolution: The step between two values that are possible, as `comparison.p_sides` takes it.
    """
    shape = values.shape[:-1]
    verdict, seeds = np.full(shape, "undecided", object), np.zeros(shape, np.int64)
    p, p_adjusted, sign = np.ones(shape), np.ones(shape), np.zeros(shape)
    within_adjusted = np.full(shape, np.nan if compare.margin is None else 1.0)
    sides = np.stack([within_adjusted] * 2)
    ends = np.full((4, *shape), np.nan)
    futile = np.full(shape, np.nan)
    levels = (comparison.interval_alpha(compare, shape[-1]), compare.alpha)
    last = look_level(compare.alpha / 2, stopping.most, stopping), look_level(compare.alpha, stopping.most, stopping)
    for k in range(stopping.least, stopping.most + 1):
        here = (verdict == "undecided") & np.isnan(futile)
        if not here.any() or k > known.shape[-1] or (here & ~known[:, :k].all(-1)).any():
            break
        e = comparison.estimate(values[..., :k], reference[..., None, :k], compare.paired)
        found = 2 * total_level(comparison.p_value(e) / 2, k, stopping)
        sign = np.where(here & (found < p), comparison.sign(e), sign)
        p = np.where(here, np.fmin(p, found), p)
        within = comparison.p_sides(e, compare.margin, resolution)
        sides = np.where(here, np.fmin(sides, total_level(within, k, stopping)), sides)
        own = [comparison.interval(e, 2 * look_level(level / 2, k, stopping)) for level in levels]
        ends = np.where(here, np.concatenate(own), ends)
        p_adjusted = comparison.adjusted(p, compare.correction)
        within_adjusted = comparison.adjusted(sides.max(0), compare.correction)
        told = comparison.verdicts(p_adjusted, within_adjusted, sign, compare)
        verdict = np.where(verdict == "undecided", told, verdict)  # what others pass on may decide what has stopped
        seeds = np.where(here, k, seeds)
        if stopping.futility is not None and k < stopping.most:
            chance = predictive_probability(e, k, compare, stopping, last, resolution)
            futile = np.where(here & (verdict == "undecided") & (chance < stopping.futility), chance, futile)
    stopped = np.where(verdict == "undecided", futile, np.nan)
    return Looks(verdict, seeds, p, p_adjusted, within_adjusted, ends[0], ends[1], ends[2], ends[3], stopped)


def decide(
    values: pd.DataFrame,
    compare: Compare,
    variants: Sequence[str],
    stopping: Stopping,
    seeds: Sequence[int],
    over: Collection[tuple[str, int]] = (),
    resolution: float = 0.0,
) -> dict[str, Decision]:
    """What the rule says of every variant but the reference: a function of the stored values, whenever it is asked.

    Args:
        values: `variant`, `seed`, `value`, as `summary.values` gives them.
        compare: How the study compares.
        variants: The study's variants, with or without the reference.
        stopping: The first and the last look.
        seeds: All that may be used, in the order in which they are added.
        over: Cells that have ended, as (variant, seed); those with a value count as such in any case.
        resolution: The step between two values that are possible, as `comparison.p_sides` takes it.
    """
    names = [name for name in variants if name != compare.reference]
    _, looks = looks_at(values, compare, names, stopping, seeds, over, resolution)
    return {
        name: Decision(
            looks.verdict[i],
            int(looks.seeds[i]),
            float(looks.low[i]),
            float(looks.high[i]),
            None if np.isnan(looks.futile[i]) else float(looks.futile[i]),
        )
        for i, name in enumerate(names)
    }


def wanted(
    values: pd.DataFrame,
    compare: Compare,
    variants: Sequence[str],
    stopping: Stopping,
    seeds: Sequence[int],
    over: Collection[tuple[str, int]] = (),
    resolution: float = 0.0,
) -> dict[str, int]:
    """How many of the first seeds every variant should have now, the reference among them; at the end, what they have.

    Arguments are those of `decide`.
    """
    counts = {
        name: min(max(decision.seeds + 1, stopping.least), stopping.most) if open_(decision) else decision.seeds
        for name, decision in decide(values, compare, variants, stopping, seeds, over, resolution).items()
    }
    return {compare.reference: max(counts.values(), default=stopping.least), **counts}


def open_(decision: Decision) -> bool:
    """Whether more seeds are to decide it."""
    return decision.verdict == "undecided" and decision.futile is None


def looks_at(
    values: pd.DataFrame,
    compare: Compare,
    names: Sequence[str],
    stopping: Stopping,
    seeds: Sequence[int],
    over: Collection[tuple[str, int]],
    resolution: float,
) -> tuple[Array, Looks]:
    """What is looked at, `[variants, seeds]` with the reference as the last, and what the rule says of the variants `names`.

    The other arguments are those of `decide`.
    """
    both, known = samples(values, compare, [*names, compare.reference], seeds, over)
    return both, replay(both[:-1], both[-1], known[:-1] & known[-1], compare, stopping, resolution)


def samples(
    values: pd.DataFrame, compare: Compare, variants: Sequence[str], seeds: Sequence[int], over: Collection[tuple[str, int]]
) -> tuple[Array, NDArray[np.bool_]]:
    """Values `[variants, seeds]`, NaN or the worst where a cell has none, and which cells have ended."""
    there = set(zip(values["variant"], values["seed"], strict=True)) | set(over)
    ended = np.array([[(variant, seed) in there for seed in seeds] for variant in variants])
    return comparison.as_worst(summary.table(values, variants, seeds), ended, compare), ended


def total_level(p: ArrayLike, k: int, stopping: Stopping) -> Array:
    """The one-sided level of all looks together at which a one-sided p-value at the look at k seeds is just small enough."""
    levels = look_levels(stopping)[k - stopping.least]
    return np.asarray(np.exp(np.interp(np.log(np.maximum(p, levels[0])), np.log(levels), np.log(TOTALS))))


def look_level(total: float, k: int, stopping: Stopping) -> float:
    """The one-sided level of the look at k seeds where all looks together have the level `total`: inverse of `total_level`."""
    return float(np.exp(np.interp(np.log(total), np.log(TOTALS), np.log(look_levels(stopping)[k - stopping.least]))))


@lru_cache
def look_levels(stopping: Stopping) -> Array:
    """One-sided levels `[looks, totals]` of each look.

    The state is the distribution of the statistic over bins among the studies that have not stopped. One-sided, because a study
    that stops on one side hardly ever would have stopped later on the other: the two sides together err less than their sum.
    """
    tails = special.ndtr(-EDGES)
    mass = np.tile(tails[:-1] - tails[1:], (len(TOTALS), 1))
    levels, spent = [], np.zeros(len(TOTALS))
    for k in range(stopping.least, stopping.most + 1):
        if k > stopping.least:
            mass = mass @ _step(k - 1)
        total = TOTALS * (k / stopping.most) ** POWER
        above = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1]  # at or above the lower edge of each bin
        spend = np.log(total - spent)
        reach = np.log(np.maximum(above, np.finfo(float).tiny))
        bound = np.array([np.interp(s, row[::-1], EDGES[-2::-1]) for s, row in zip(spend, reach, strict=True)])
        levels.append(special.ndtr(-bound))
        stays = np.minimum(mass, np.maximum(0, (above.T - (total - spent)).T))
        mass, spent = stays, total
    return np.array(levels)


def _step(k: int) -> Array:
    """Probabilities `[bins, bins]` that the statistic after k values is followed by the one after k + 1, without an effect.

    With S the sum of k values and Q that of their squares, u = S / √(k Q) is Student's t = u √((k - 1) / (1 - u²)). The next
    value x makes an angle φ = arctan(x / √Q), √k tan φ is distributed as t with k degrees of freedom whatever u is, and
    u' = (√k u cos φ + sin φ) / √(k + 1) = A sin(φ + ω). So the sequence of t is a Markov chain, with this kernel.
    """
    middle = (EDGES[1:] + EDGES[:-1]) / 2
    u, edge = _cosine(middle, k)[:, None], _cosine(EDGES, k + 1)[None, :]
    amplitude, omega = np.sqrt((k * u**2 + 1) / (k + 1)), np.arctan(np.sqrt(k) * u)
    angle = np.arcsin(np.clip(edge / amplitude, -1, 1))

    def beyond(phi: Array) -> Array:
        return np.asarray(special.stdtr(k, -np.sqrt(k) * np.tan(np.clip(phi, -np.pi / 2, np.pi / 2))))

    above = beyond(angle - omega) - beyond(np.pi - angle - omega) + 1 - beyond(-np.pi - angle - omega)
    above = np.where(edge >= amplitude, 0, np.where(edge <= -amplitude, 1, above))
    above[:, 0], above[:, -1] = 1, 0
    return above[:, :-1] - above[:, 1:]


def _cosine(score: Array, k: int) -> Array:
    """u of the value of Student's t, k - 1 degrees of freedom, that is as rare as a normal score."""
    t = -special.stdtrit(k - 1, special.ndtr(-score))
    return np.asarray(t / np.sqrt(t**2 + k - 1))
