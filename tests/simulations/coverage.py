"""How often intervals hold the truth: each for itself, and all of a study together."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ablate.stats import comparison
from ablate.stats.resampling import bootstrap_interval

from .noise import COMPARE, NOISE, RULE, Noise, Rate, draw, looks, normal, rate


def coverage(noise: tuple[Noise, Noise], studies: int, n: int, paired: bool) -> Rate:
    """How often the 95 % interval of the t-test covers the true difference of 0.7."""
    values, reference = draw(noise, studies, [0.7], n)
    low, high = comparison.interval(comparison.estimate(values[:, 0], reference, paired), 0.05)
    return rate((low <= 0.7) & (high >= 0.7))


def bootstrap_coverage(noise: tuple[Noise, Noise], studies: int, n: int, paired: bool) -> Rate:
    """The same of the bootstrap interval."""
    values, reference = draw(noise, studies, [0.7], n)
    ends = [
        bootstrap_interval(*([x - y] if paired else [x, y]), alpha=0.05) for x, y in zip(values[:, 0], reference, strict=True)
    ]
    return rate(np.array([low <= 0.7 <= high for low, high in ends]))


def repeated_coverage(noise: tuple[Noise, Noise], studies: int) -> Rate:
    """How often the repeated interval covers the true difference at the look at which the rule stops."""
    values, reference = draw(noise, studies, [0.7], RULE.most)
    found = looks(values, reference, COMPARE)
    return rate((found.low <= 0.7) & (found.high >= 0.7))


def together(effects: Sequence[float], studies: int, n: int | None, paired: bool) -> tuple[Rate, Rate, Rate]:
    """Of studies with these effects: all intervals cover, any interval excludes 0, any that is decided includes 0.

    Args:
        effects: Of the variants.
        studies: How many.
        n: Seeds; None for the stopping rule.
        paired: Whether seeds pair.
    """
    compare = replace(COMPARE, paired=paired)
    values, reference = draw((normal, normal), studies, effects, n or RULE.most)
    if n is None:
        found = looks(values, reference, compare)
        low, high, verdict = found.low, found.high, found.verdict
    else:
        e = comparison.estimate(values, reference[:, None], paired)
        low, high = comparison.interval(e, comparison.interval_alpha(compare, len(effects)))
        verdict = comparison.judge(e, compare)[2]
    truth, apart = np.asarray(effects, float), (low > 0) | (high < 0)
    covers = ((low <= truth) & (truth <= high)).all(axis=1)
    return rate(covers), rate(apart.any(axis=1)), rate((~apart & (verdict != "undecided")).any(axis=1))


TOGETHER = {"none of 4": [0.0] * 4, "none of 8": [0.0] * 8, "0, 0.5, 1 and 2": [0.0, 0.5, 1.0, 2.0]}


def rows(studies: int, resampled: int) -> Iterator[str]:
    yield f"\nCoverage of 95 % intervals, {studies:,} cases; of BCa, {resampled:,}:\n"
    yield "| interval | noise | n = 3 | n = 5 | n = 10 |\n|---|---|---:|---:|---:|"
    for name, noise in NOISE.items():
        for paired in (False, True):
            rates = [coverage(noise, studies, n, paired) for n in (3, 5, 10)]
            yield f"| {'paired t' if paired else 'Welch'} | {name} | {' | '.join(map(str, rates))} |"
    for name, noise in NOISE.items():
        for paired in (False, True):
            rates = [bootstrap_coverage(noise, resampled, n, paired) for n in (3, 5, 10)]
            yield f"| BCa{', paired' if paired else ''} | {name} | {' | '.join(map(str, rates))} |"
    yield "\nThe repeated interval of the stopping rule covers, at the look at which the rule stops, in this share of cases:\n"
    yield "| noise | coverage |\n|---|---:|"
    for name, noise in NOISE.items():
        yield f"| {name} | {repeated_coverage(noise, studies)} |"
    yield f"\nAll intervals of a study together, {studies:,} studies:\n"
    yield "| effects | seeds | paired | all cover | any excludes 0 | any is decided and includes 0 |"
    yield "|---|---|---|---:|---:|---:|"
    for name, effects in TOGETHER.items():
        for n in (3, 5, 10, None):
            for paired in (False, True):
                found = " | ".join(map(str, together(effects, studies, n, paired)))
                yield f"| {name} | {n or '3 to 20, stopping rule'} | {'yes' if paired else 'no'} | {found} |"
