"""Verdicts over blocks: what intervals of the mean difference cover, and how often there is a false one.

A block has a difference of its own for every variant, normal with standard deviation `between`, and noise of its own, in standard
deviations of one seed: the same in all blocks, or between a fifth and five times as large.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd

from ablate.results import Results
from ablate.stats.blocks import blocks
from ablate.stats.random_effects import Effects, differences, random_effects
from ablate.study import Compare, VariantInfo

from .noise import Rate, rate

ALPHA, APART = 0.05, 5.0


def coverage(cases: int, count: int, seeds: int, between: float, unequal: bool) -> tuple[Rate, Rate, Rate]:
    """How often 95 % intervals cover, of so many blocks and seeds.

    Returns:
        The interval of the mean difference; the one in which the difference of another block lies; and that of the mean, were the
        noise of each block estimated from its own seeds.
    """
    rng = np.random.default_rng(0)
    mean, another, own = [], [], []
    for _ in range(cases):
        sd = APART ** rng.uniform(-1, 1, (count, 1)) if unequal else np.ones((count, 1))
        true = rng.normal(0, between, (count, 1))
        x, y = true + sd * rng.normal(size=(count, seeds)), sd * rng.normal(size=(count, seeds))
        found = differences(x, y, False)
        mean.append(_covers(found.effects()))
        low, high = found.effects().predicted(ALPHA)
        more = APART ** rng.uniform(-1, 1) if unequal else 1.0
        another.append(low <= rng.normal(0, between) + more * rng.normal(0, np.sqrt(2 / seeds)) <= high)
        own.append(_covers(random_effects(found.values, (x.var(1, ddof=1) + y.var(1, ddof=1)) / seeds)))
    return rate(np.array(mean)), rate(np.array(another)), rate(np.array(own))


def _covers(found: Effects) -> bool:
    from scipy import stats

    return abs(found.mean) <= stats.t.isf(ALPHA / 2, found.n - 1) * found.se


def false(studies: int, count: int, variants: int = 5, seeds: int = 3, between: float = 0.5) -> tuple[Rate, Rate, Rate]:
    """Studies whose variants do not differ on average, with any false difference: by ranks, by the mean, by Nemenyi's test."""
    rng = np.random.default_rng(0)
    names = [(f"v{i}", f"b{j}") for i in range(variants) for j in range(count)]
    infos = tuple(VariantInfo(f"{v} {b}", {"v": v, "b": b}, ()) for v, b in names)
    cells = pd.DataFrame([{"variant": info.name, "seed": seed, "status": "done"} for info in infos for seed in range(seeds)])
    epochs = pd.DataFrame(columns=["variant", "seed", "epoch"])
    study = Results("a", "", Compare("m", "last", infos[0].name, blocks=("b",)), infos, cells, epochs)
    by_rank, by_size, nemenyi = [], [], []
    for _ in range(studies):
        values = rng.normal(0, between, (variants, count, 1)) + rng.normal(size=(variants, count, seeds))
        found = blocks(replace(study, cells=cells.assign(m=values.ravel())))
        assert found is not None
        by_rank.append(any(one.verdict != "undecided" for one in found.comparisons))
        by_size.append(any(one.verdict_by_size != "undecided" for one in found.comparisons))
        nemenyi.append(any(one.p_nemenyi < ALPHA for one in found.comparisons))
    return rate(np.array(by_rank)), rate(np.array(by_size)), rate(np.array(nemenyi))


def rows(cases: int, studies: int) -> Iterator[str]:
    yield "\nIntervals over blocks: of the mean, of another block; of the mean, with noise of each block by itself"
    for count in (6, 14):
        for seeds in (3, 5):
            for between in (0.0, 0.5, 2.0):
                for unequal in (False, True):
                    noise = "unequal" if unequal else "equal"
                    told = coverage(cases, count, seeds, between, unequal)
                    yield f"| {count} | {seeds} | {between:g} | {noise} | {told[0]} | {told[1]} | {told[2]} |"
    yield "\nAny false difference over blocks: by ranks, by the mean difference, by Nemenyi's test"
    for count in (6, 10, 20):
        told = false(studies, count)
        yield f"| {count} | {told[0]} | {told[1]} | {told[2]} |"
