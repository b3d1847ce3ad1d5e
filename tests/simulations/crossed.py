"""What intervals over seeds, over images, and over both cover, where other seeds are trained and other images are tested.

A network is right on an image where the sum of how easy the image is, of how good its seed is, and of noise of both is above 0.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from ablate.stats.crossed import Crossed, crossed

from .noise import Rate, rate

IMAGES = 1_000
MEAN, EASY_SD, NOISE_SD, IMAGE_SD = 1.2, 1.0, 0.7, 0.3  # the last: by how much the variant's ease of an image differs
SEED_SDS = {"hardly any": 0.02, "as in practice": 0.1, "much": 0.3}
SEEDS = (2, 3, 5, 10)


def fits(cases: int, seeds: int, seed_sd: float, paired: bool, seed: int = 0) -> tuple[list[Crossed], float]:
    """The fits, and the difference that there is over all seeds and images."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(cases):
        easy = rng.normal(MEAN, EASY_SD, IMAGES)
        other = easy + rng.normal(0, IMAGE_SD, IMAGES)
        made.append(crossed(_right(rng, other, seeds, seed_sd), _right(rng, easy, seeds, seed_sd), paired))
    variance = EASY_SD**2 + NOISE_SD**2 + seed_sd**2
    truth = stats.norm.cdf(MEAN / math.sqrt(variance + IMAGE_SD**2)) - stats.norm.cdf(MEAN / math.sqrt(variance))
    return made, float(truth)


def _right(rng: np.random.Generator, easy: np.ndarray, seeds: int, seed_sd: float) -> np.ndarray:
    good, noise = rng.normal(0, seed_sd, (seeds, 1)), rng.normal(0, NOISE_SD, (seeds, IMAGES))
    return (easy + good + noise > 0).astype(float)


def coverage(cases: int, seeds: int, seed_sd: float, paired: bool) -> tuple[Rate, Rate, Rate]:
    """Of 95 % intervals over seeds, over images, and over both."""
    made, truth = fits(cases, seeds, seed_sd, paired)
    seed_half = [stats.t.isf(0.025, fit.df) * math.sqrt(fit.seeds) if fit.seeds else 0.0 for fit in made]
    image_half = [stats.norm.isf(0.025) * math.sqrt(fit.images) for fit in made]
    both_half = [fit.interval(0.05)[1] - fit.difference for fit in made]
    away = np.array([abs(fit.difference - truth) for fit in made])
    seen = [rate(away <= np.array(half)) for half in (seed_half, image_half, both_half)]
    return seen[0], seen[1], seen[2]


def rows(cases: int, seeds: Sequence[int] = SEEDS) -> Iterator[str]:
    yield f"\nCoverage of 95 % intervals in {cases:,} cases of {IMAGES:,} images, where other seeds see other images:\n"
    yield "| noise of seeds | seeds | paired | over seeds | over images | over both |\n|---|---:|---|---:|---:|---:|"
    for name, seed_sd in SEED_SDS.items():
        for n in seeds:
            for paired in (False, True):
                told = " | ".join(map(str, coverage(cases, n, seed_sd, paired)))
                yield f"| {name} | {n} | {'yes' if paired else 'no'} | {told} |"
