"""What stopping early for futility costs in findings, what it saves in seeds, and that it makes no error more likely."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablate.stats.stopping import Looks
from ablate.study import Compare, Stopping

from .noise import COMPARE, NOISE, RULE, Noise, Rate, draw, looks, normal, rate

THRESHOLDS = (None, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Stopped:
    """Studies with and without stops for futility, of the same values.

    Attributes:
        wrong: How many have a false verdict.
        right: Share of comparisons with the right verdict.
        seeds: Mean number.
        lost: Of the comparisons that stopped, the share that all seeds would have decided.
        expected: The same, as their predictive probabilities have it.
    """

    wrong: Rate
    right: Rate
    seeds: float
    lost: Rate
    expected: float


def rule_of(threshold: float | None) -> Stopping:
    return replace(RULE, futility=threshold)


def stopped(
    effects: Sequence[float], truth: Sequence[str], studies: int, threshold: float | None, compare: Compare, noise: Noise
) -> Stopped:
    """Studies with these effects; `truth` has the right verdict of each, and any other but `undecided` is false."""
    values, reference = draw((noise, noise), studies, effects, RULE.most)
    found, whole = (looks(values, reference, compare, rule_of(limit)) for limit in (threshold, None))
    early = ~np.isnan(found.futile)
    return Stopped(
        rate(((found.verdict != truth) & (found.verdict != "undecided")).any(axis=1)),
        rate(found.verdict == truth),
        float(found.seeds.mean()),
        rate(whole.verdict[early] != "undecided"),
        float(found.futile[early].mean()) if early.any() else float("nan"),
    )


def never_finds_more(studies: int, compare: Compare, noise: tuple[Noise, Noise], effects: Sequence[float]) -> bool:
    """Whether every verdict of studies with stops for futility is one of the same studies without."""
    values, reference = draw(noise, studies, effects, RULE.most)
    whole = looks(values, reference, compare)

    def only_fewer(found: Looks) -> bool:
        return bool(((found.verdict == whole.verdict) | (found.verdict == "undecided")).all())

    return all(only_fewer(looks(values, reference, compare, rule_of(limit))) for limit in THRESHOLDS[1:])


MARGIN = replace(COMPARE, margin=1.0)
PLANTED = (
    ("no effects", COMPARE, [0.0] * 4, ["undecided"] * 4),
    ("mixed effects", COMPARE, [0.0, 0.5, 1.0, 2.0], ["undecided", "better", "better", "better"]),
    ("a margin of 1, effects on it", MARGIN, [1.0, -1.0, 1.0, -1.0], ["better", "worse", "better", "worse"]),
    ("a margin of 1, none and large", MARGIN, [0.0, 0.0, 2.0, -2.5], ["no meaningful difference"] * 2 + ["better", "worse"]),
)


def rows(studies: int) -> Iterator[str]:
    yield f"\nStops for futility, {studies:,} studies of 5 variants, 3 to 20 seeds:\n"
    yield "| study | futility | studies with a false verdict | right | seeds, mean | stopped, but later decided | expected |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, compare, effects, truth in PLANTED:
        for threshold in THRESHOLDS:
            found = stopped(effects, truth, studies, threshold, compare, normal)
            told = "–" if threshold is None else f"{threshold:g}"
            lost = "– | –" if threshold is None else f"{found.lost} | {100 * found.expected:.2f} %"
            yield f"| {name} | {told} | {found.wrong} | {found.right} | {found.seeds:.1f} | {lost} |"
    for name, noise in NOISE.items():
        fewer = never_finds_more(studies, COMPARE, noise, [0.0, 0.5, 1.0, 2.0])
        yield f"\n{name}: {'no verdict that is not there without stops' if fewer else 'MORE VERDICTS than without stops'}"
