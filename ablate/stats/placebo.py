"""The A/A study: how often the pipeline finds a difference where there is none."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablate.study import Compare

from . import comparison
from .comparison import Array
from .verdicts import Verdict

PARTITIONS = 2_000


@dataclass(frozen=True)
class Placebo:
    """What came of a study whose variants are all the same.

    Attributes:
        verdicts: Of the partition as it was run: every variant but the reference.
        studies: Partitions that were judged.
        false: Those with a verdict *better* or *worse*.
        rate: Their part.
        low: Lower end of the 95 % interval (Clopper-Pearson) of the rate over all partitions of these values; the rate
            itself where all were judged.
        high: Its upper end.
        alpha: The rate that the pipeline promises not to exceed.
    """

    verdicts: tuple[Verdict, ...]
    studies: int
    false: int
    rate: float
    low: float
    high: float
    alpha: float


def false_positive_rate(values: Sequence[float], groups: int, size: int, compare: Compare) -> Placebo:
    """The rate of studies with any false difference, from results of one recipe under different seeds.

    The values are shared out at random to a reference and groups - 1 variants, again and again, or in all ways where these are no
    more than `PARTITIONS`, and each partition is judged like a study with a fixed number of seeds.

    What it shows: whether the verdicts hold for noise of this shape, outliers and ties included. What it does not show: what the
    rate would be for other values, because all partitions are of the same ones. With few values they are much alike, so the rate
    scatters more widely around the true one than the interval says, which covers the drawing of partitions alone.
    Where seeds pair, values are paired in the order in which they fall: they have nothing in common, as it should be here.

    Args:
        values: groups * size results, `size` of the reference first, then of each variant, as they were run. A NaN is a cell
            without a result; it is shared out with the others.
        groups: Variants, the reference among them; at least 2.
        size: Seeds a variant.
        compare: How the study compares.

    Raises:
        ValueError: There are not groups * size values, or fewer than two groups.
    """
    pool = np.asarray(values, float)
    if groups < 2 or pool.size != groups * size:
        raise ValueError(f"{pool.size} values cannot be shared out to {groups} groups of {size}; at least 2 groups are needed")
    ways = math.factorial(pool.size) // math.factorial(size) ** groups
    if ways <= PARTITIONS:
        drawn = pool[list(_partitions(range(pool.size), size))]
    else:
        drawn = np.random.default_rng(0).permuted(np.tile(pool, (PARTITIONS, 1)), axis=1)
    verdicts = _judge(drawn.reshape(-1, groups, size), compare)
    wrong = (verdicts == "better") | (verdicts == "worse")
    found, studies = int(wrong.any(axis=1).sum()), len(verdicts)
    ends = stats.binomtest(found, studies).proportion_ci() if ways > PARTITIONS else (found / studies, found / studies)
    as_run = _judge(pool.reshape(1, groups, size), compare)[0]
    return Placebo(tuple(as_run), studies, found, found / studies, float(ends[0]), float(ends[1]), compare.alpha)


def _judge(studies: Array, compare: Compare) -> NDArray[Any]:
    """Verdicts `[studies, groups - 1]` of values `[studies, groups, seeds]`."""
    e = comparison.estimate(studies[:, 1:], studies[:, :1], compare.paired)
    return comparison.judge(e, compare)[2]


def _partitions(items: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """All ways to share out the items to groups of a size, one after the other."""
    if not items:
        yield ()
    for first in combinations(items, size):
        for rest in _partitions([item for item in items if item not in first], size):
            yield first + rest
