"""The stopping rule beside AdaStop (Mathieu et al. 2023, arXiv 2306.10882), and Welch's test with Holm beside Dunnett's.

Studies are like those of small networks on CIFAR-10: five recipes, results between seeds with a standard deviation of 0.4 points.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import stats

from ablate.stats import comparison
from ablate.study import Stopping

from .noise import COMPARE, LIMITS, NOISE, Noise, Rate, differs, draw, looks, normal, rate, times, verdicts

DRAWS = 4_000  # of the multivariate t
SD = 0.4  # points of accuracy between seeds
A_A = (0.0, 0.0, 0.0, 0.0)
EFFECTS = (0.0, 0.2, 0.4, 0.8)  # points


def by_the_rule(effects: Sequence[float], studies: int, rule: Stopping) -> tuple[np.ndarray, np.ndarray]:
    """What is found to differ `[studies, variants]`, and cells of each study."""
    values, reference = draw((normal, normal), studies, np.asarray(effects) / SD, rule.most)
    found = looks(values, reference, COMPARE, rule)
    return differs(found.verdict), found.seeds.sum(axis=1) + found.seeds.max(axis=1)


class Pairs(np.ndarray):
    """Comparisons whose text is made fast: AdaStop takes it for a key a thousand times a look."""

    def __str__(self) -> str:
        return "-".join(map(str, self.tolist()))


def by_adastop(effects: Sequence[float], studies: int, alpha: float, block: int = 5, blocks: int = 5) -> tuple[Any, Any]:
    """The same of AdaStop, with 5 to 25 seeds.

    Raises:
        ImportError: It is not installed.
    """
    from adastop import MultipleAgentsComparator

    values, reference = draw((normal, normal), studies, np.asarray(effects) / SD, block * blocks)
    pairs = np.array([(0, i + 1) for i in range(len(effects))]).view(Pairs)
    found, cells = np.zeros((studies, len(effects)), bool), np.zeros(studies)
    for study in range(studies):
        results = [reference[study], *values[study]]
        have = [0] * len(results)
        comparator = MultipleAgentsComparator(n=block, K=blocks, comparisons=pairs, alpha=alpha, seed=study)
        for k in range(blocks):
            open_ = set(pairs.ravel() if k == 0 else comparator.current_comparisons.ravel())
            have = [block * (k + 1) if i in open_ else n for i, n in enumerate(have)]
            comparator.partial_compare({i: x[:n] for i, (x, n) in enumerate(zip(results, have, strict=True))}, verbose=False)
            if comparator.is_finished:
                break
        found[study] = [comparator.decisions[str(pair)] in ("larger", "smaller") for pair in pairs]
        cells[study] = sum(have)
    return found, cells


def dunnett(studies: int, seeds: int, factor: float) -> tuple[Rate, Rate]:
    """Four variants, a reference with so many times their noise: false differences of Dunnett's test, and of ours."""
    values, reference = draw((normal, times(factor, normal)), studies, A_A, seeds)
    theirs = [
        stats.dunnett(*study, control=own).pvalue.min() < COMPARE.alpha for study, own in zip(values, reference, strict=True)
    ]
    return rate(np.array(theirs)), rate(differs(verdicts(values, reference, COMPARE)).any(axis=1))


def correlated(noise: tuple[Noise, Noise], studies: int, seeds: int) -> tuple[Rate, Rate]:
    """A/A studies of four variants: false differences by the multivariate t of Hasler and Hothorn (2008), and by Holm's method.

    The former takes into account that the comparisons share the reference. Its first step is all that such studies need: p-values
    of the largest of four correlated t, with the estimated correlations and the degrees of freedom of each comparison.
    """
    values, reference = draw(noise, studies, A_A, seeds)
    e = comparison.estimate(values, reference[:, None], False)
    spread, own = values.std(axis=-1, ddof=1), reference.std(axis=-1, ddof=1)[:, None]
    rng = np.random.default_rng(1)
    shared, apart, root = rng.normal(size=(DRAWS, 1)), rng.normal(size=(DRAWS, len(A_A))), rng.normal(size=(DRAWS, 1))
    found = np.zeros(studies, bool)
    for study in range(studies):
        largest = (np.abs(apart * spread[study] - shared * own[study]) / np.hypot(spread[study], own[study])).max(axis=1)
        df = e.df[study]
        chi = np.maximum(1 - 2 / (9 * df) + root * np.sqrt(2 / (9 * df)), 1e-3) ** 3  # over df, Wilson and Hilferty 1931
        t = np.abs(e.difference[study] / e.se[study])
        found[study] = ((largest[:, None] >= t * np.sqrt(chi)).mean(axis=0) < COMPARE.alpha).any()
    return rate(found), rate(differs(comparison.judge(e, COMPARE)[2]).any(axis=1))


def rows(studies: int, of_adastop: int, of_dunnett: int) -> Iterator[str]:
    yield f"\nFive recipes whose results have a standard deviation of {SD} points; {studies:,} studies, AdaStop {of_adastop:,}:\n"
    yield "| method | seeds | any false, A/A | found at +0.2 | found at +0.4 | found at +0.8 | cells, mean |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for rule in (Stopping(3, 20), Stopping(5, 25)):
        false, _ = by_the_rule(A_A, studies, rule)
        yield _row("this rule", f"{rule.least}–{rule.most}", false, *by_the_rule(EFFECTS, studies, rule))
    try:
        for alpha in (0.05, 0.025):
            false, _ = by_adastop(A_A, of_adastop, alpha)
            yield _row(f"AdaStop at {100 * alpha:g} %", "5–25", false, *by_adastop(EFFECTS, of_adastop, alpha))
    except ImportError:
        yield "\nAdaStop is not installed (`pip install adastop`), so its rows are left out."
    yield f"\nAny false difference in {of_dunnett:,} A/A studies of 5 variants and 5 seeds, by the noise of the reference:\n"
    yield "| noise of the reference | Dunnett's test | Welch's test with Holm's method |\n|---|---:|---:|"
    for factor in (1.0, 3.0):
        theirs, ours = dunnett(of_dunnett, 5, factor)
        yield f"| {factor:g} times that of the variants | {theirs} | {ours} |"
    yield f"\nAny false difference in {of_dunnett:,} A/A studies of 5 variants, by how their p-values are corrected:\n"
    yield "| noise | seeds | multivariate t (Hasler and Hothorn 2008) | Holm's method |\n|---|---:|---:|---:|"
    for name, noise in (NOISE | LIMITS).items():
        for seeds in (3, 5, 10):
            both = correlated(noise, of_dunnett, seeds)
            yield f"| {name} | {seeds} | {both[0]} | {both[1]} |"


def _row(method: str, seeds: str, false: np.ndarray, found: np.ndarray, cells: np.ndarray) -> str:
    power = " | ".join(str(rate(found[:, i])) for i in (1, 2, 3))
    return f"| {method} | {seeds} | {rate(false.any(axis=1))} | {power} | {cells.mean():.0f} |"
