"""Variants over blocks, such as datasets: n is the number of blocks, and the value of one is the mean of its seeds."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy import special, stats

from ablate.blocking import Grid, grid_of
from ablate.study import Compare, Study

from . import comparison, runs
from .block_records import Across, Blocks, Friedman, Pair
from .comparison import Array
from .effects import as_told, samples
from .random_effects import differences, estimate, means

DIGITS = 12  # of a value that count: what differs by less is rounding, and a tie
MOST_PAIRED = 50  # variants, up to which all pairs are told
MOST_EXACT = 100  # blocks, up to which the signed-rank test is exact
NOTHING = float("nan")


def blocks(study: Study) -> Blocks | None:
    """Compares the variants of a study over its blocks; None where it has none.

    After Demšar (JMLR 2006): Friedman's test of the mean ranks, then Wilcoxon's signed-rank test of each variant against the
    reference, corrected for their number; beside it Nemenyi's test of all pairs. A pair's verdict is Wilcoxon's and not of mean
    ranks, because what those say of two variants depends on which others are there (Benavoli et al., JMLR 2016). How large the
    difference is, a random-effects model estimates.

    A block in which a variant has no value is in no rank, and in no comparison of that variant.
    """
    compare = study.compare
    if not compare.blocks:
        return None
    grid = grid_of(study.variants, compare.blocks, compare.reference)
    values, names = _values(study, grid), list(grid.variants)
    averages = rounded(means(values), _sizes(values))
    there = ~np.isnan(averages)
    complete = np.asarray(there.all(axis=0))
    ranks, friedman = _mean_ranks(averages[:, complete], compare), _friedman(averages[:, complete])
    error = _error_of_ranks(len(names), int(complete.sum()))
    reference = names.index(grid.reference)
    compared = _comparisons(study, grid, values, friedman, _nemenyi(ranks - ranks[reference], error, len(names)))
    share = len(compared) if compare.correction == "holm" else 1
    return Blocks(
        factors=compare.blocks,
        reference=grid.reference,
        blocks=grid.blocks,
        ranked=tuple(name for name, whole in zip(grid.blocks, complete, strict=True) if whole),
        incomplete=tuple(
            (block, tuple(name for name, has in zip(names, there[:, place], strict=True) if not has))
            for place, block in enumerate(grid.blocks)
            if not complete[place]
        ),
        ranks=dict(zip(names, map(float, ranks), strict=True)),
        friedman=friedman,
        critical_difference=_critical(len(names), compare.alpha) * error,
        pairs=tuple(_pairs(names, ranks, error)),
        comparisons=compared,
        least_p=min(1.0, 2.0 ** (1 - max((found.n for found in compared), default=0))),
        needed=math.floor(1 + math.log2(max(1, share) / compare.alpha)) + 1,
        scales=_scales(averages[reference]),
    )


def _values(study: Study, grid: Grid) -> Array:
    """`[variants, blocks, seeds]`, NaN where there is no value, infinite where a run counts as the worst."""
    found = samples(study, [own.get(block, "") for own in grid.variants.values() for block in grid.blocks])
    return found.reshape(len(grid.variants), len(grid.blocks), -1)


def _sizes(values: Array) -> Array:
    """The largest value of each block, by size."""
    return np.asarray(np.abs(np.where(np.isfinite(values), values, 0)).max(axis=(0, 2), initial=0))


def rounded(numbers: Array, sizes: Array) -> Array:
    """Numbers `[..., blocks]` without what is rounding in values of these sizes, so that ties are ties."""
    found = numbers.copy()
    for block, size in enumerate(sizes):
        if size > 0:
            found[..., block] = np.round(found[..., block], min(300, DIGITS - math.ceil(math.log10(size))))
    return found


def _scales(reference: Array) -> float:
    """The largest value as a multiple of the smallest, by size; NaN where one is 0, or there is none."""
    sizes = np.abs(reference[np.isfinite(reference)])
    return float(sizes.max() / sizes.min()) if len(sizes) and sizes.min() > 0 else NOTHING


def _mean_ranks(averages: Array, compare: Compare) -> Array:
    """Of each variant over the blocks, the best first; ties share the mean of their ranks."""
    if not averages.shape[1]:
        return np.full(len(averages), np.nan)
    return np.asarray(stats.rankdata(-averages if compare.goal == "maximize" else averages, axis=0).mean(axis=1))


def _friedman(averages: Array) -> Friedman | None:
    """Friedman's test of `[variants, blocks]` without gaps; None for fewer than three variants or two blocks."""
    k, n = averages.shape
    if k < 3 or n < 2:
        return None
    ties = [np.unique(block, return_counts=True)[1] for block in averages.T]
    arrangements = sorted(float(special.gammaln(k + 1) - special.gammaln(counts + 1).sum()) for counts in ties)
    df, df_noise = k - 1, (k - 1) * (n - 1)
    if arrangements[-1] <= 0:  # in no block does any differ from another
        return Friedman(0.0, 1.0, 0.0, df, df_noise, 1.0)
    chi_square, p = map(float, stats.friedmanchisquare(*averages))
    rest = n * df - chi_square
    f = (n - 1) * chi_square / rest if rest > comparison.FLAT * n * k else math.inf
    by_chance = math.exp(-sum(arrangements[:-1]))  # that all blocks agree with one of them
    return Friedman(chi_square, p, f, df, df_noise, max(float(stats.f.sf(f, df, df_noise)), by_chance))


def _error_of_ranks(variants: int, blocks: int) -> float:
    """Standard error of a difference of two mean ranks; NaN where there are fewer than three variants, or no block."""
    return math.sqrt(variants * (variants + 1) / (6 * blocks)) if blocks and variants > 2 else NOTHING


def _critical(variants: int, alpha: float) -> float:
    """How many standard errors apart mean ranks are in one of `alpha` sets of so many variants that do not differ."""
    return float(stats.studentized_range.isf(alpha, variants, np.inf)) / math.sqrt(2) if variants > 2 else NOTHING


def _nemenyi(differences: Array, error: float, variants: int) -> Array:
    """p-values of differences of mean ranks among all pairs of so many variants (Nemenyi 1963)."""
    if math.isnan(error):
        return np.full(len(differences), np.nan)
    return np.asarray(stats.studentized_range.sf(np.abs(differences) / error * math.sqrt(2), variants, np.inf))


def _pairs(names: Sequence[str], ranks: Array, error: float) -> Iterator[Pair]:
    if len(names) > MOST_PAIRED or math.isnan(error):
        return
    pairs = list(combinations(range(len(names)), 2))
    apart = np.array([ranks[one] - ranks[other] for one, other in pairs])
    for (one, other), difference, p in zip(pairs, apart, _nemenyi(apart, error, len(names)), strict=True):
        yield Pair(names[one], names[other], float(difference), float(p))


def wilcoxon(gaps: Array) -> tuple[float, float]:
    """Two-sided p-value of the signed-rank test, and which way the ranks differ; NaN without a block.

    Ties are left out (Wilcoxon 1945). It is exact for up to 100 blocks, also where differences have the same size, for which
    scipy has the normal approximation from 14 blocks on; and that approximation beyond.
    """
    if not len(gaps):
        return NOTHING, NOTHING
    gaps = gaps[gaps != 0]
    ranks = stats.rankdata(np.abs(gaps))
    way = float(np.sign(np.sign(gaps) @ ranks))
    if len(gaps) > MOST_EXACT:
        return float(stats.wilcoxon(gaps).pvalue), way
    twice = np.rint(2 * ranks).astype(int)  # whole numbers, also where ranks are shared
    chance = np.zeros(twice.sum() + 1)  # of each sum of the ranks of what is above 0
    chance[0] = 1
    for rank in twice:
        chance[rank:] = (chance[rank:] + chance[:-rank]) / 2
        chance[:rank] /= 2
    above = int(twice[gaps > 0].sum())
    return min(1.0, 2 * float(min(chance[: above + 1].sum(), chance[above:].sum()))), way


def _comparisons(study: Study, grid: Grid, values: Array, friedman: Friedman | None, p_nemenyi: Array) -> tuple[Across, ...]:
    """Every variant against the reference."""
    compare, names, sizes = study.compare, list(grid.variants), _sizes(values)
    others = [i for i, name in enumerate(names) if name != grid.reference]
    found = [differences(values[i], values[names.index(grid.reference)], compare.paired) for i in others]
    gaps = [rounded(one.values, sizes)[~np.isnan(one.values)] for one in found]
    fits, tests = [one.effects() for one in found], [wilcoxon(own) for own in gaps]
    e = estimate(fits)
    p_difference, p_equivalence, by_size = comparison.judge(e, compare)
    p_adjusted = comparison.adjusted([p for p, _ in tests], compare.correction)
    differ = len(names) == 2 or (friedman is not None and friedman.p < compare.alpha)
    judged_by = p_adjusted if differ else np.ones(len(others))
    by_rank = comparison.verdicts(judged_by, p_equivalence, [way for _, way in tests], compare)
    low, high = comparison.interval(e, comparison.interval_alpha(compare, int((~np.isnan(e.se)).sum())))
    toward, lost = 1 if compare.goal == "maximize" else -1, _lost(study, grid)
    made = []
    for i, place in enumerate(others):
        own, reference, better = lost[names[place]], lost[grid.reference], toward * gaps[i]
        verdict, where_it_trains = as_told(compare, by_rank[i], own, reference)
        predicted = fits[i].predicted(compare.alpha)
        made.append(
            Across(
                variant=names[place],
                n=len(better),
                wins=int((better > 0).sum()),
                ties=int((better == 0).sum()),
                losses=int((better < 0).sum()),
                p_wilcoxon=tests[i][0],
                p_adjusted=float(p_adjusted[i]),
                p_nemenyi=float(p_nemenyi[place]),
                difference=fits[i].mean,
                low=float(low[i]),
                high=float(high[i]),
                p_difference=float(p_difference[i]),
                p_equivalence=float(p_equivalence[i]),
                between_sd=math.sqrt(fits[i].between),
                seed_sd=found[i].seed_sd,
                predicted_low=predicted[0],
                predicted_high=predicted[1],
                verdict=verdict,
                verdict_by_size=as_told(compare, by_size[i], own, reference)[0],
                where_it_trains=where_it_trains,
                lost=str(own),
                lost_reference=str(reference),
            )
        )
    return tuple(made)


def _lost(study: Study, grid: Grid) -> Mapping[str, runs.Lost]:
    """What became of the runs of each variant, over all blocks."""
    found, by_variant = {}, runs.lost(study)
    for name, own in grid.variants.items():
        each = [by_variant[variant] for variant in own.values()]
        ended, diverged, failed = (sum(getattr(one, what) for one in each) for what in ("runs", "diverged", "failed"))
        word = next((one.word for one in each if one.word != "diverged"), "diverged")
        found[name] = runs.Lost(ended, diverged, failed, word)
    return found
