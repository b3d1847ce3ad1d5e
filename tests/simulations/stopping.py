"""What the stopping rule finds, saves and overrates where effects are planted."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablate.stats import comparison
from ablate.stats.after_stopping import corrected
from ablate.study import Compare

from .noise import COMPARE, RULE, differs, draw, looks, normal, verdicts

MOST_FIXED = 60  # seeds of the largest study with a fixed number that the rule is compared with


@dataclass(frozen=True)
class Planted:
    """One planted effect.

    Attributes:
        effect: In standard deviations of one seed.
        decided: Mean difference among the comparisons that are found to differ; NaN where there are none.
        corrected: The same of the difference without the bias of stopping.
        everywhere: Mean difference among all comparisons, decided or not.
        everywhere_corrected: The same without the bias.
        right: Share of right verdicts.
        wrong: Share of wrong ones.
        seeds: Mean number.
        equal: Seeds of the study with a fixed number that has as many right verdicts.
        sure: Of the one that has 95 % right; NaN where the rule has fewer.
    """

    effect: float
    decided: float
    corrected: float
    everywhere: float
    everywhere_corrected: float
    right: float
    wrong: float
    seeds: float
    equal: float
    sure: float

    def saved(self, fixed: float) -> float:
        return 1 - self.seeds / fixed


def planted(effects: Sequence[float], studies: int, compare: Compare = COMPARE) -> tuple[list[Planted], float, float]:
    """Studies with these effects.

    Returns:
        Each effect; and the part of all cells, those of the reference included, that the rule saves against the smallest study
        with a fixed number of seeds in which every effect is found as often, and in which every effect is found in 95 %.
    """
    truth = ["no meaningful difference" if e == 0 else "better" if e > 0 else "worse" for e in effects]
    values, reference = draw((normal, normal), studies, effects, max(RULE.most, MOST_FIXED))
    found = looks(values, reference, compare)
    right = (found.verdict == truth).mean(axis=0)
    wrong = ((found.verdict != truth) & (found.verdict != "undecided")).mean(axis=0)
    sizes = range(3, MOST_FIXED + 1)
    fixed = np.array([(verdicts(values[..., :n], reference[:, :n], compare) == truth).mean(axis=0) for n in sizes])
    equal = [_first(fixed[:, i], right[i], sizes) for i in range(len(effects))]
    sure = [_first(fixed[:, i], 0.95, sizes) if right[i] >= 0.95 else math.nan for i in range(len(effects))]
    measured, without_bias = _differences(values, reference, found.seeds, compare)
    seeds, apart = found.seeds.mean(axis=0), differs(found.verdict)
    rows = [
        Planted(
            e,
            _mean(measured[apart[:, i], i]),
            _mean(without_bias[apart[:, i], i]),
            _mean(measured[:, i]),
            _mean(without_bias[:, i]),
            right[i],
            wrong[i],
            seeds[i],
            equal[i],
            sure[i],
        )
        for i, e in enumerate(effects)
    ]
    cells = (found.seeds.sum(axis=1).mean() + found.seeds.max(axis=1).mean()) / (len(effects) + 1)
    return rows, float(1 - cells / max(equal)), 1 - cells / (math.nan if any(map(math.isnan, sure)) else max(sure))


def _mean(x: np.ndarray) -> float:
    return float(np.nanmean(x)) if len(x) else float("nan")


def _differences(values: np.ndarray, reference: np.ndarray, seeds: np.ndarray, compare: Compare) -> tuple[np.ndarray, np.ndarray]:
    """The differences at the last looks, and without the bias of stopping."""
    seen = np.arange(values.shape[-1]) < seeds[..., None]
    e = comparison.estimate(np.where(seen, values, np.nan), np.where(seen, reference[:, None], np.nan), compare.paired)
    flat = comparison.Estimate(**{name: value.ravel() for name, value in vars(e).items()})
    return e.difference, corrected(flat, compare, RULE, seeds.ravel(), values.shape[1]).reshape(seeds.shape)


def _first(shares: np.ndarray, wanted: float, sizes: Sequence[int]) -> float:
    """Where the share of right verdicts first is what is wanted, interpolated between two sizes."""
    at = int(np.argmax(shares >= wanted))
    if at == 0 or shares[at] < wanted:
        return float(sizes[at] if shares[at] >= wanted else sizes[-1])
    return float(sizes[at] - (shares[at] - wanted) / (shares[at] - shares[at - 1]))


PLANTED = (
    ("small effects", COMPARE, [0.5, 0.75, 1.0, 1.25]),
    ("large effects", COMPARE, [1.5, 2.0, -2.5, 3.75]),
    ("mixed effects", COMPARE, [0.0, 0.5, 1.0, 2.0]),
    ("a margin of 1.5", replace(COMPARE, margin=1.5), [0.0, 0.0, 2.0, -2.5]),
)


def rows(studies: int) -> Iterator[str]:
    yield f"\nPlanted effects in standard deviations of one seed, {studies:,} studies, stopping rule of 3 to 20 seeds:\n"
    yield "| study | effect | right | wrong | seeds, mean | fixed, as many right | fewer | fixed, 95 % right | fewer |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    overrated = []
    for name, compare, effects in PLANTED:
        found, saved, saved_of_sure = planted(effects, studies, compare)
        for row in found:
            start = f"| {name} | {row.effect:+g} | {100 * row.right:.1f} % | {100 * row.wrong:.2f} % | {row.seeds:.1f} "
            yield f"{start}| {_fixed(row, row.equal)} | {_fixed(row, row.sure)} |"
            overrated.append((name, row))
        of_sure = "–" if math.isnan(saved_of_sure) else f"{100 * saved_of_sure:.0f} %"
        of_equal = "–" if any(row.right < 0.2 for row in found) else f"{100 * saved:.0f} %"
        yield f"| {name} | all cells | | | | | {of_equal} | | {of_sure} |"
    yield "\nThe mean difference where the rule stopped, and without the bias of stopping:\n"
    yield "| study | effect | found to differ | these, measured | these, corrected | all, measured | all, corrected |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, row in overrated:
        if row.effect and (row.right > 0.01):
            these = f"{row.decided:+.2f} ({_over(row.decided, row)}) | {row.corrected:+.2f} ({_over(row.corrected, row)})"
            every = f"{row.everywhere:+.2f} | {row.everywhere_corrected:+.2f}"
            yield f"| {name} | {row.effect:+g} | {100 * row.right:.0f} % | {these} | {every} |"


def _fixed(row: Planted, seeds: float) -> str:
    """Seeds of a study with a fixed number, and what the rule saves."""
    return "– | –" if math.isnan(seeds) or row.right < 0.05 else f"{seeds:.1f} | {100 * row.saved(seeds):.0f} %"


def _over(difference: float, row: Planted) -> str:
    return f"{100 * (difference / row.effect - 1):+.0f} %"
