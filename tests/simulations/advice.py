"""Whether the range of seeds beside an undecided verdict has the right number in it, and what becomes of who follows it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ablate.stats import comparison, power
from ablate.stats.advice import seeds_needed
from ablate.study import Stopping

from .noise import COMPARE, Rate, differs, draw, looks, normal, rate, verdicts

EFFECTS = (0.0, 0.5, 1.0, 2.0)
FOLLOW_UP = Stopping(3, 20)
CASES = 400  # undecided comparisons whose range is looked at; the noncentral t distribution takes its time


@dataclass(frozen=True)
class Advice:
    """What the undecided comparisons of studies with this effect are told.

    Attributes:
        truth: Seeds with which a study decides with a probability of 80 %; infinite where none does.
        undecided: How many comparisons are, and so are told something.
        right: Whether the truth is in the range; of an effect of 0, whether it is said that it may never be decided.
        ends: Whether the range has an upper end, so that a number of seeds is promised to decide.
        kept: Of those, whether a study with so many fresh seeds decides.
        least: Median lower end.
    """

    truth: float
    undecided: Rate
    right: Rate
    ends: Rate
    kept: Rate
    least: float


def advice(effect: float, n: int, comparisons: int, studies: int, margin: float | None = None) -> Advice:
    """Studies of so many variants that all have this effect; of each the first comparison is looked at.

    The seeds that are named are those for the first verdict of a new study with as many comparisons, so Bonferroni's level.
    """
    compare = replace(COMPARE, margin=margin)
    values, reference = draw((normal, normal), studies, [effect, *[0.0] * (comparisons - 1)], n)
    e = comparison.estimate(values, reference[:, None], False)
    open_ = comparison.judge(e, compare)[2][:, 0] == "undecided"
    first = comparison.estimate(values[open_, 0][:CASES], reference[open_][:CASES], False)
    level = np.full(first.difference.shape, compare.alpha / comparisons)
    least, most = seeds_needed(first, compare, comparisons, level)
    truth = float(power.seeds_to_decide(effect, 1.0, compare.alpha / comparisons, margin, False))
    truth = max(truth, n + 1) if np.isfinite(truth) else np.inf
    within = np.isinf(truth) | ((least <= truth) & (truth <= most))  # without a margin, `never` is said of all
    promised = np.isfinite(most)
    decides = [_decides(effect, int(seeds), comparisons, compare.alpha, margin) for seeds in most[promised][:200]]
    kept = Rate(float(np.mean(decides)), len(decides)) if decides else Rate(float("nan"), 0)
    return Advice(truth, rate(open_), rate(within), rate(promised), kept, float(np.median(least)))


def _decides(effect: float, seeds: int, comparisons: int, alpha: float, margin: float | None) -> float:
    """The probability that so many fresh seeds decide."""
    found = power.power_of(effect, seeds, alpha / comparisons, False)
    if margin is not None:
        found = np.maximum(found, power.power_of_equivalence(effect, margin, seeds, alpha / comparisons, False))
    return float(found)


def followed(n: int, comparisons: int, studies: int) -> tuple[Rate, Rate, Rate]:
    """A/A studies that are followed up where any is undecided: false differences in the first, in the follow-up, in either."""
    values, reference = draw((normal, normal), studies, [0.0] * comparisons, n)
    first = verdicts(values, reference, COMPARE)
    fresh, fresh_reference = draw((normal, normal), studies, [0.0] * comparisons, FOLLOW_UP.most, seed=1)
    second = differs(looks(fresh, fresh_reference, COMPARE, FOLLOW_UP).verdict).any(axis=1)
    second &= (first == "undecided").any(axis=1)
    return rate(differs(first).any(axis=1)), rate(second), rate(differs(first).any(axis=1) | second)


def rows(studies: int) -> Iterator[str]:
    yield f"\nWhat undecided comparisons are told of the seeds they need, {studies:,} studies a row:\n"
    yield "| margin | comparisons | seeds | effect | undecided | truth | in the range | a most is named | and decides | least |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for margin, comparisons, n, effect in [
        *product((None,), (1, 4), (3, 5, 10), EFFECTS),
        *product((1.0,), (4,), (3, 10), EFFECTS),
    ]:
        a = advice(effect, n, comparisons, studies, margin)
        truth = "never" if np.isinf(a.truth) else f"{a.truth:.0f}"
        start = f"| {margin or 'none'} | {comparisons} | {n} | {effect:g} | {a.undecided} | {truth} "
        yield f"{start}| {a.right} | {a.ends} | {a.kept} | {a.least:.0f} |"
    yield f"\nAny false difference in {10 * studies:,} A/A studies, and in follow-ups with 3 to 20 fresh seeds:\n"
    yield "| comparisons | seeds | in the study | in the follow-up | in either |\n|---:|---:|---:|---:|---:|"
    for comparisons in (1, 4):
        for n in (3, 5):
            yield f"| {comparisons} | {n} | {' | '.join(map(str, followed(n, comparisons, 10 * studies)))} |"
