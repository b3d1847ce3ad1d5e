"""How often verdicts err, where their promises should hold, where these break, and what stands beside a verdict there."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ablate.stats import comparison, runs
from ablate.stats.resampling import permutation_p
from ablate.study import Compare, Stopping

from .noise import COMPARE, LIMITS, NOISE, RULE, Noise, Rate, differs, draw, looks, normal, rate, verdicts


def found_in(noise: tuple[Noise, Noise], studies: int, compare: Compare, rule: Stopping | None, seeds: int) -> np.ndarray:
    """Verdicts of A/A studies of 5 variants."""
    values, reference = draw(noise, studies, [0.0] * 4, rule.most if rule else seeds)
    return looks(values, reference, compare, rule).verdict if rule else verdicts(values, reference, compare)


def false_positives(noise: tuple[Noise, Noise], studies: int, compare: Compare, rule: Stopping | None, seeds: int = 5) -> Rate:
    """A/A studies of 5 variants: how many have a difference that is not there."""
    return rate(differs(found_in(noise, studies, compare, rule, seeds)).any(axis=1))


def false_equivalence(studies: int, rule: Stopping | None, seeds: int = 10) -> Rate:
    """Studies of 5 variants that all differ by just the margin: how many call any of them equivalent."""
    compare = replace(COMPARE, margin=1.5)
    values, reference = draw((normal, normal), studies, [1.5, -1.5, 1.5, -1.5], rule.most if rule else seeds)
    found = looks(values, reference, compare, rule).verdict if rule else verdicts(values, reference, compare)
    return rate((found == "no meaningful difference").any(axis=1))


def false_equivalence_of_ties(margin: int, seeds: int, part: float, studies: int, resolution: float = 1.0) -> Rate:
    """Results that are whole images and differ by just the margin: how many comparisons call it equivalent.

    Each result is one of two neighbouring numbers of images, the larger one with a probability of `part`.
    """
    rng = np.random.default_rng(0)
    images = (rng.uniform(size=(2, studies, 1, seeds)) < part).astype(float)
    e = comparison.estimate(images[0] + margin, images[1], paired=False)
    verdict = comparison.judge(e, replace(COMPARE, margin=float(margin)), resolution)[2]
    return rate(verdict == "no meaningful difference")


def flagged(noise: tuple[Noise, Noise], studies: int, seeds: int) -> tuple[Rate, Rate, Rate]:
    """A/A studies of 5 variants: any false difference; any that has no caution beside it; any that the robust p has, too."""
    values, reference = draw(noise, studies, [0.0] * 4, seeds)
    wrong = differs(verdicts(values, reference, COMPARE))
    silent, confirmed = np.zeros(studies, bool), np.zeros(studies, bool)
    for study in np.flatnonzero(wrong.any(axis=1)):
        own, other = values[study], reference[study]
        told = [bool(runs.cautions(x, other, paired=False)) for x in own]
        robust = comparison.adjusted([permutation_p(x, other) for x in own], "holm")
        silent[study] = (wrong[study] & ~np.array(told)).any()
        confirmed[study] = (wrong[study] & (robust < COMPARE.alpha)).any()
    return rate(wrong.any(axis=1)), rate(silent), rate(confirmed)


def cautions_of_nothing(studies: int, seeds: int) -> Rate:
    """Comparisons of normal values of one spread that have a caution all the same."""
    values, reference = draw((normal, normal), studies, [0.0], seeds)
    return rate(np.array([bool(runs.cautions(x[0], y, paired=False)) for x, y in zip(values, reference, strict=True)]))


def rows(studies: int, of_limits: int) -> Iterator[str]:
    yield f"Any false difference in {studies:,} A/A studies of 5 variants; at most 5 %, Monte-Carlo error beside it:\n"
    yield "| noise | paired | 5 seeds | 3 to 20 seeds, stopping rule |\n|---|---|---:|---:|"
    for name, noise in NOISE.items():
        for paired in (False, True):
            compare = replace(COMPARE, paired=paired)
            rates = [false_positives(noise, studies, compare, rule) for rule in (None, RULE)]
            yield f"| {name} | {'yes' if paired else 'no'} | {rates[0]} | {rates[1]} |"
    rates = [false_equivalence(studies, rule) for rule in (None, RULE)]
    yield f"\nAny false *no meaningful difference* in {studies:,} studies whose variants all differ by the margin:\n"
    yield f"| 10 seeds | 3 to 20 seeds, stopping rule |\n|---:|---:|\n| {rates[0]} | {rates[1]} |"
    yield "\nThe same of results that are whole images, 5 seeds, at the worst of the mixtures of two neighbouring numbers:\n"
    yield "| margin | with the step taken into account | without |\n|---|---:|---:|"
    for margin in (1, 2, 5):
        both = [
            max(
                (false_equivalence_of_ties(margin, 5, part, studies, step) for part in np.linspace(0, 1, 21)),
                key=lambda r: r.share,
            )
            for step in (1.0, 0.0)
        ]
        yield f"| {margin} images | {both[0]} | {both[1]} |"
    yield from limit_rows(of_limits)


def limit_rows(studies: int) -> Iterator[str]:
    yield f"\nWhere the promise breaks: any false difference in {studies:,} A/A studies of 5 variants:\n"
    yield "| noise | 3 seeds | 5 seeds | 10 seeds | stopping rule | without a caution, 5 seeds | with a robust p < 5 %, 5 seeds |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name, noise in LIMITS.items():
        three, ten = (false_positives(noise, studies, COMPARE, None, seeds) for seeds in (3, 10))
        five, silent, confirmed = flagged(noise, studies, 5)
        by_rule = false_positives(noise, studies, COMPARE, RULE)
        yield f"| {name} | {three} | {five} | {ten} | {by_rule} | {silent} | {confirmed} |"
    yield "\nComparisons of normal values of one spread that have a caution all the same:\n"
    yield "| 3 seeds | 5 seeds | 10 seeds |\n|---:|---:|---:|"
    yield f"| {' | '.join(str(cautions_of_nothing(studies, n)) for n in (3, 5, 10))} |"
