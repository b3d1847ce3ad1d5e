"""Simulated studies: whether verdicts and intervals keep what they promise. Run it as `python -m tests.simulations`.

Everything is judged by the functions that judge real studies. Noise has standard deviation 1, so that differences are in
standard deviations of one seed.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablate.stats import comparison, stopping
from ablate.stats.effects import bootstrap_interval
from ablate.study import Compare, Stopping

COMPARE = Compare("accuracy", "last", "reference")
RULE = Stopping(3, 20)
MOST_FIXED = 45  # seeds of the largest study with a fixed number that the rule is compared with

Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISE: dict[str, tuple[Noise, Noise]] = {  # of the variants and of the reference
    "normal": (lambda rng, shape: rng.normal(size=shape), lambda rng, shape: rng.normal(size=shape)),
    "normal, 3 times as much in the variants": (
        lambda rng, shape: 3 * rng.normal(size=shape),
        lambda rng, shape: rng.normal(size=shape),
    ),
    "skewed": (lambda rng, shape: rng.exponential(size=shape) - 1, lambda rng, shape: rng.exponential(size=shape) - 1),
    "skewed in the variants alone": (
        lambda rng, shape: rng.exponential(size=shape) - 1,
        lambda rng, shape: rng.normal(size=shape),
    ),
}


@dataclass(frozen=True)
class Rate:
    """A share of simulated cases with its Monte-Carlo standard error."""

    share: float
    cases: int

    @property
    def error(self) -> float:
        return math.sqrt(max(self.share * (1 - self.share), 1 / self.cases) / self.cases)

    def __str__(self) -> str:
        return f"{100 * self.share:.2f} % ± {100 * self.error:.2f}"


def draw(noise: str, studies: int, effects: Sequence[float], seeds: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values of the variants `[studies, variants, seeds]` and of the reference `[studies, seeds]`."""
    rng = np.random.default_rng(seed)
    of_variants, of_reference = NOISE[noise]
    reference = of_reference(rng, (studies, seeds))
    return of_variants(rng, (studies, len(effects), seeds)) + np.asarray(effects, float)[:, None], reference


def verdicts(values: np.ndarray, reference: np.ndarray, compare: Compare) -> np.ndarray:
    """Of studies with a fixed number of seeds."""
    return comparison.judge(comparison.estimate(values, reference[:, None], compare.paired), compare)[2]


def looks(values: np.ndarray, reference: np.ndarray, compare: Compare, rule: Stopping = RULE) -> stopping.Looks:
    """Of studies that stop by the rule."""
    return stopping.replay(values, reference, np.ones(values.shape[1:], bool), compare, rule)


def false_positives(noise: str, studies: int, compare: Compare, rule: Stopping | None, seeds: int = 5) -> Rate:
    """A/A studies of 5 variants: how many have a difference that is not there."""
    values, reference = draw(noise, studies, [0.0] * 4, rule.most if rule else seeds)
    found = looks(values, reference, compare, rule).verdict if rule else verdicts(values, reference, compare)
    return Rate(float(((found == "better") | (found == "worse")).any(axis=1).mean()), studies)


def false_equivalence(studies: int, rule: Stopping | None, seeds: int = 10) -> Rate:
    """Studies of 5 variants that all differ by just the margin: how many call any of them equivalent."""
    compare = replace(COMPARE, margin=1.5)
    values, reference = draw("normal", studies, [1.5, -1.5, 1.5, -1.5], rule.most if rule else seeds)
    found = looks(values, reference, compare, rule).verdict if rule else verdicts(values, reference, compare)
    return Rate(float((found == "no meaningful difference").any(axis=1).mean()), studies)


def coverage(noise: str, studies: int, n: int, paired: bool) -> Rate:
    """How often the 95 % interval of the t-test covers the true difference of 0.7."""
    values, reference = draw(noise, studies, [0.7], n)
    low, high = comparison.interval(comparison.estimate(values[:, 0], reference, paired), 0.05)
    return Rate(float(((low <= 0.7) & (high >= 0.7)).mean()), studies)


def bootstrap_coverage(noise: str, studies: int, n: int, paired: bool) -> Rate:
    """The same of the bootstrap interval."""
    values, reference = draw(noise, studies, [0.7], n)
    ends = [
        bootstrap_interval(*([x - y] if paired else [x, y]), alpha=0.05) for x, y in zip(values[:, 0], reference, strict=True)
    ]
    return Rate(sum(low <= 0.7 <= high for low, high in ends) / studies, studies)


def repeated_coverage(noise: str, studies: int) -> Rate:
    """How often the repeated interval covers the true difference at the look at which the rule stops."""
    values, reference = draw(noise, studies, [0.7], RULE.most)
    found = looks(values, reference, COMPARE)
    return Rate(float(((found.low <= 0.7) & (found.high >= 0.7)).mean()), studies)


@dataclass(frozen=True)
class Planted:
    """One planted effect: mean difference where the rule stops, verdicts and seeds, and the fixed seeds that are as good."""

    effect: float
    measured: float
    right: float
    wrong: float
    seeds: float
    fixed: float

    @property
    def saved(self) -> float:
        return 1 - self.seeds / self.fixed


def planted(effects: Sequence[float], studies: int, compare: Compare = COMPARE) -> tuple[list[Planted], float]:
    """Studies with these effects.

    Returns:
        Each effect; and the part of all cells, those of the reference included, that the rule saves against the smallest study
        with a fixed number of seeds in which every effect is found as often.
    """
    truth = ["no meaningful difference" if e == 0 else "better" if e > 0 else "worse" for e in effects]
    values, reference = draw("normal", studies, effects, max(RULE.most, MOST_FIXED))
    found = looks(values, reference, compare)
    right = (found.verdict == truth).mean(axis=0)
    wrong = ((found.verdict != truth) & (found.verdict != "undecided")).mean(axis=0)
    sizes = range(3, MOST_FIXED + 1)
    fixed = np.array([(verdicts(values[..., :n], reference[:, :n], compare) == truth).mean(axis=0) for n in sizes])
    equal = [_first(fixed[:, i], right[i], sizes) for i in range(len(effects))]
    sums = np.take_along_axis((values - reference[:, None]).cumsum(axis=-1), found.seeds[..., None] - 1, -1)[..., 0]
    measured, seeds = (sums / found.seeds).mean(axis=0), found.seeds.mean(axis=0)
    rows = [Planted(e, measured[i], right[i], wrong[i], seeds[i], equal[i]) for i, e in enumerate(effects)]
    cells = found.seeds.sum(axis=1).mean() + found.seeds.max(axis=1).mean()
    return rows, float(1 - cells / ((len(effects) + 1) * max(equal)))


def _first(shares: np.ndarray, wanted: float, sizes: Sequence[int]) -> float:
    """Where the share of right verdicts first is what is wanted, interpolated between two sizes."""
    at = int(np.argmax(shares >= wanted))
    if at == 0 or shares[at] < wanted:
        return float(sizes[at] if shares[at] >= wanted else sizes[-1])
    return float(sizes[at] - (shares[at] - wanted) / (shares[at] - shares[at - 1]))


PLANTED = (
    ("small effects", COMPARE, [1.0, 1.25, -1.5, 1.75]),
    ("large effects", COMPARE, [1.5, 2.0, -2.5, 3.0]),
    ("a margin of 1.5", replace(COMPARE, margin=1.5), [0.0, 0.0, 2.0, -2.5]),
)


def error_rows(studies: int) -> Iterator[str]:
    yield f"Any false difference in {studies:,} A/A studies of 5 variants; at most 5 %, Monte-Carlo error beside it:\n"
    yield "| noise | paired | 5 seeds | 3 to 20 seeds, stopping rule |\n|---|---|---:|---:|"
    for noise in NOISE:
        for paired in (False, True):
            compare = replace(COMPARE, paired=paired)
            rates = [false_positives(noise, studies, compare, rule) for rule in (None, RULE)]
            yield f"| {noise} | {'yes' if paired else 'no'} | {rates[0]} | {rates[1]} |"
    rates = [false_equivalence(studies, rule) for rule in (None, RULE)]
    yield f"\nAny false *no meaningful difference* in {studies:,} studies whose variants all differ by the margin:\n"
    yield f"| 10 seeds | 3 to 20 seeds, stopping rule |\n|---:|---:|\n| {rates[0]} | {rates[1]} |"


def coverage_rows(studies: int, resampled: int) -> Iterator[str]:
    yield f"\nCoverage of 95 % intervals, {studies:,} cases; of BCa, {resampled:,}:\n"
    yield "| interval | noise | n = 3 | n = 5 | n = 10 |\n|---|---|---:|---:|---:|"
    for noise in NOISE:
        for paired in (False, True):
            rates = [coverage(noise, studies, n, paired) for n in (3, 5, 10)]
            yield f"| {'paired t' if paired else 'Welch'} | {noise} | {' | '.join(map(str, rates))} |"
    for noise in NOISE:
        for paired in (False, True):
            rates = [bootstrap_coverage(noise, resampled, n, paired) for n in (3, 5, 10)]
            yield f"| BCa{', paired' if paired else ''} | {noise} | {' | '.join(map(str, rates))} |"
    yield "\nThe repeated interval of the stopping rule covers, at the look at which the rule stops, in this share of cases:\n"
    yield "| noise | coverage |\n|---|---:|"
    for noise in NOISE:
        yield f"| {noise} | {repeated_coverage(noise, studies)} |"


def planted_rows(studies: int) -> Iterator[str]:
    yield f"\nPlanted effects in standard deviations of one seed, {studies:,} studies, stopping rule of 3 to 20 seeds:\n"
    yield "| study | effect | measured, mean | verdicts right | wrong | seeds, mean | fixed seeds with as many right | fewer |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for name, compare, effects in PLANTED:
        rows, saved = planted(effects, studies, compare)
        for row in rows:
            effect = f"{row.effect:+g} | {row.measured:+.2f} | {100 * row.right:.1f} % | {100 * row.wrong:.2f} %"
            yield f"| {name} | {effect} | {row.seeds:.1f} | {row.fixed:.1f} | {100 * row.saved:.0f} % |"
        yield f"| {name} | all cells of the study | | | | | | {100 * saved:.0f} % |"


if __name__ == "__main__":
    for rows in (error_rows(40_000), coverage_rows(20_000, 2_000), planted_rows(4_000)):
        for line in rows:
            print(line, flush=True)
