"""The gain from a stripped recipe to the full one, divided among the factors that make it.

Every factor has two levels here, its base and its first other level; variants with other levels take no part. An order of the
factors leads from one end to the other with one factor more at each step, and what a factor brings in this order is what its step
changes. Its share is the mean over orders; over all of them it is the Shapley value (Shapley, 1953).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from ablate.components.designs import random_orders
from ablate.study import Compare, Study

from . import comparison
from .comparison import FLAT, Array
from .factor_records import Attribution, Share
from .summary import table, values

Step = tuple[int, int]  # the factors that are there, as the bits of a number, and the one that is added


@dataclass(frozen=True)
class Orders:
    """Orders of adding the factors, as the steps that they are made of.

    Attributes:
        method: As `Attribution` names it.
        count: How many orders.
        weights: Of every step in the shares; those of a factor sum to 1.
        sample: The weights of the steps among the orders that stand for all others; empty where none is left out.
        size: How many orders these are; None where it is not known which were chosen.
        scale: Variance of the shares, in units of the variance of this sample's mean.
    """

    method: Literal["shapley", "sampled orders", "given order"]
    count: int
    weights: Mapping[Step, float]
    sample: Mapping[Step, float]
    size: int | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Cells:
    """The values of the variants that orders lead through, `[seeds, variants]`, NaN where a cell has none."""

    values: Array
    paired: bool

    def means(self) -> Array:
        return np.asarray(np.nanmean(self.values, axis=0))

    def noise(self, sums: Array) -> tuple[Array, Array]:
        """The variance that the seeds give weighted sums of the means, `[..., variants]`, and its degrees of freedom.

        Where seeds pair, from the sums of each seed; else Welch's (1947), with the degrees of freedom of Satterthwaite (1946).
        NaN for one seed.
        """
        n = (~np.isnan(self.values)).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            if self.paired:
                each = sums @ (self.values - self.means()).T
                return (each**2).sum(axis=-1) / n[0] / (n[0] - 1), np.full(sums.shape[:-1], n[0] - 1.0)
            squares = np.nansum((self.values - self.means()) ** 2, axis=0) / (n - 1) / n
            parts = np.where(sums == 0, 0.0, sums**2 * squares)
            return parts.sum(axis=-1), parts.sum(axis=-1) ** 2 / np.where(parts == 0, 0.0, parts**2 / (n - 1)).sum(axis=-1)


def attribution(study: Study) -> Attribution | None:
    """Divides the gain; None for fewer than two factors, and where no order leads from one end to the other.

    One end is the base, the other has every factor at its first other level. The design's parameter `base` says which of them is
    the full recipe. Without it, factors add to the base, whichever end has the better mean: that would be for the noise to say.

    With all combinations the shares are exact Shapley values. Where there is one order, they are what this order gives, and say
    nothing of others. Where there are several, they are means over orders that stand for all: over those that the design
    `cumulative` drew, which estimates Shapley values without bias (Castro et al., 2009, doi:10.1016/j.cor.2008.04.004), and
    else over all that lead through the variants.

    Shares are linear in the means of the variants, so that the noise of the seeds has an exact standard error. What the orders of
    a sample differ by, less the noise in it, is a second part of the variance. The shares sum to the gain, and are parts of it
    where its interval excludes 0.
    """
    size = len(study.factors)
    everything = (1 << size) - 1
    numbers = table(values(study), [variant.name for variant in study.variants])
    rows = {mask: row for row, mask in enumerate(_masks(study)) if mask is not None and not np.isnan(numbers[row]).all()}
    if size < 2 or not {0, everything} <= rows.keys():
        return None
    complete = len(rows) == 1 << size
    orders = None if complete else _drawn(study, rows.keys())
    orders = orders or _walks(size, sorted(rows), complete)
    if orders is None:
        return None
    place = {mask: index for index, mask in enumerate(sorted({end for step in orders.weights for end in _ends(step)}))}
    cells = numbers[[rows[mask] for mask in place]].T
    if study.compare.paired:
        cells = cells[~np.isnan(cells).any(axis=1)]
        if not len(cells):
            return None
    return _divide(study, orders, place, Cells(cells, study.compare.paired), {mask: numbers[row] for mask, row in rows.items()})


def _masks(study: Study) -> Iterator[int | None]:
    """For every variant its factors at the first other level, as bits; None where one is at neither this level nor the base."""
    for variant in study.variants:
        levels = [variant.levels.get(factor.name) for factor in study.factors]
        pairs = list(zip(levels, study.factors, strict=True))
        if all(level in (factor.base, factor.others[0]) for level, factor in pairs):
            yield sum(1 << index for index, (level, factor) in enumerate(pairs) if level != factor.base)
        else:
            yield None


def _ends(step: Step) -> tuple[int, int]:
    before, factor = step
    return before, before | 1 << factor


def _steps(order: Iterable[int]) -> Iterator[Step]:
    before = 0
    for factor in order:
        yield before, factor
        before |= 1 << factor


def _walks(size: int, masks: list[int], complete: bool) -> Orders | None:
    """All orders that lead through the variants, each with the same weight."""
    there = set(masks)
    by_size = sorted(masks, key=int.bit_count)
    steps = [
        (mask, factor) for mask in by_size for factor in range(size) if not mask >> factor & 1 and mask | 1 << factor in there
    ]
    ways_to, ways_from = defaultdict(int, {0: 1}), defaultdict(int, {(1 << size) - 1: 1})
    for before, after in map(_ends, steps):
        ways_to[after] += ways_to[before]
    for before, after in map(_ends, reversed(steps)):
        ways_from[before] += ways_from[after]
    count = ways_from[0]
    taken = {step: ways_to[_ends(step)[0]] * ways_from[_ends(step)[1]] for step in steps}
    weights = {step: ways / count for step, ways in taken.items() if ways}
    if complete or count == 1:
        return Orders("shapley" if complete else "given order", count, weights, {})
    return Orders("sampled orders", count, weights, weights) if count else None


def _drawn(study: Study, masks: Iterable[int]) -> Orders | None:
    """The orders of the design `cumulative`, where the variants are those that it draws.

    The order of the spec was not drawn, so it counts for itself alone, as one of all orders; the drawn ones stand for all others.
    """
    size, design = len(study.factors), study.design or {}
    if not (isinstance(design.get("orders"), int) and isinstance(design.get("seed"), int)):
        return None
    drawn = random_orders(size, design["orders"], design["seed"])
    every = [list(_steps(order)) for order in (range(size), *drawn)]
    if not drawn or {end for steps in every for step in steps for end in _ends(step)} != set(masks):
        return None
    others = math.factorial(size) - 1
    sample: defaultdict[Step, float] = defaultdict(float)
    for step in (step for steps in every[1:] for step in steps):
        sample[step] += 1 / len(drawn)
    weights = {step: weight * others / (others + 1) for step, weight in sample.items()}
    weights |= {step: weights.get(step, 0.0) + 1 / (others + 1) for step in every[0]}
    scale = (others / (others + 1)) ** 2 * (1 - len(drawn) / others)  # of a sample without replacement
    return Orders("sampled orders", len(every), weights, sample, len(drawn), scale)


def _divide(study: Study, orders: Orders, place: Mapping[int, int], cells: Cells, values: Mapping[int, Array]) -> Attribution:
    alpha = study.compare.alpha
    sign = -1 if (study.design or {}).get("base") == "full" else 1
    full = max(place) if sign == 1 else 0
    ends = np.zeros(len(place))
    ends[0], ends[-1] = -sign, sign
    gain, low, high = _interval(ends, cells, alpha)
    shares = []
    for index, factor in enumerate(study.factors):
        share = _interval(sign * _sums(_of(orders.weights, index), place), cells, alpha, *_between(orders, index, place, cells))
        percent = 100 * share[0] / gain if low > 0 or high < 0 else math.nan
        shares.append(Share(factor.name, *share, percent, *_added_last(study.compare, values, full, full ^ 1 << index)))
    names = {mask: variant.name for mask, variant in zip(_masks(study), study.variants, strict=True)}
    plain = names[max(place) - full]
    return Attribution(orders.method, plain, names[full], gain, low, high, tuple(shares), orders.count)


def _added_last(compare: Compare, values: Mapping[int, Array], full: int, without: int) -> tuple[float, float, float]:
    """What the full recipe has more than the one without a factor, with the ends of its interval; NaN where that was not run."""
    if without not in values:
        return math.nan, math.nan, math.nan
    found = comparison.estimate(values[full], values[without], compare.paired)
    low, high = comparison.interval(found, compare.alpha)
    return float(found.difference), float(low), float(high)


def _of(weights: Mapping[Step, float], factor: int) -> dict[Step, float]:
    return {step: weight for step, weight in weights.items() if step[1] == factor}


def _sums(weights: Mapping[Step, float], place: Mapping[int, int]) -> Array:
    """A weighted sum of steps as one of the variants' means: its weights, `[variants]`."""
    sums = np.zeros(len(place))
    for step, weight in weights.items():
        before, after = _ends(step)
        sums[place[before]] -= weight
        sums[place[after]] += weight
    return sums


def _between(orders: Orders, factor: int, place: Mapping[int, int], cells: Cells) -> tuple[float, float]:
    """Variance of a share because its orders are a sample, and the degrees of freedom of that.

    Of the spread among a sample's steps, what the noise of the seeds is expected to give is taken off: it counts already. Orders
    that share a step show the same there, so that where it is not known which orders were chosen, Kish's (1965) effective size
    of the weights takes the place of their number.
    """
    if not orders.sample:
        return 0.0, 1.0
    sample = _of(orders.sample, factor)
    weights = np.array(list(sample.values()))
    size = orders.size or 1 / (weights**2).sum()
    if size < 1 + 1e-9:  # one step: how much others differ from it cannot be told
        return float("nan"), 0.0
    steps = np.array([_sums({step: 1.0}, place) for step in sample])
    apart = steps - weights @ steps
    spread = weights @ ((apart @ cells.means()) ** 2 - cells.noise(apart)[0]) / (size - 1)
    return orders.scale * max(0.0, float(spread)), size - 1


def _interval(
    sums: Array, cells: Cells, alpha: float, between: float = 0.0, between_df: float = 1.0
) -> tuple[float, float, float]:
    """A weighted sum of the means, and the ends of its interval; NaN where nothing varies or cannot be told."""
    value = float(sums @ cells.means())
    noise, df = (float(x) for x in cells.noise(sums))
    variance = noise + between
    if not variance > (FLAT * np.abs(cells.means()).max()) ** 2:
        return value, float("nan"), float("nan")
    parts = ((part, part_df) for part, part_df in ((noise, df), (between, between_df)) if part != 0)
    half = float(stats.t.isf(alpha / 2, variance**2 / sum(part**2 / part_df for part, part_df in parts))) * math.sqrt(variance)
    return value, value - half, value + half
