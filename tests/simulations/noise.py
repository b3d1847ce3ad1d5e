"""What simulated studies are made of. Noise has mean 0 and standard deviation 1, which is the unit of differences."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ablate.stats import comparison, stopping
from ablate.study import Compare, Stopping

COMPARE = Compare("accuracy", "last", "reference")
RULE = Stopping(3, 20)

Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Rate:
    """A share of simulated cases with its Monte-Carlo standard error."""

    share: float
    cases: int

    @property
    def error(self) -> float:
        return math.sqrt(max(self.share * (1 - self.share), 1 / self.cases) / self.cases)

    def __str__(self) -> str:
        return f"{100 * self.share:.2f} % ± {100 * self.error:.2f}" if self.cases else "–"


def rate(cases: np.ndarray) -> Rate:
    """Of an array of truth values."""
    return Rate(float(cases.mean()) if cases.size else float("nan"), cases.size)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def exponential(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.exponential(size=shape) - 1


def lognormal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.lognormal(size=shape) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)


def diverging(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """One run in 20 ends 20 standard deviations below the others; the mean is 0."""
    return rng.normal(size=shape) + np.where(rng.uniform(size=shape) < 0.05, -19.0, 1.0)


def times(factor: float, noise: Noise) -> Noise:
    return lambda rng, shape: factor * noise(rng, shape)


NOISE: dict[str, tuple[Noise, Noise]] = {  # of the variants and of the reference
    "normal": (normal, normal),
    "normal, 3 times as much in the variants": (times(3, normal), normal),
    "skewed": (exponential, exponential),
    "skewed in the variants alone": (exponential, normal),
}
LIMITS: dict[str, tuple[Noise, Noise]] = {  # where promises break
    "normal, 3 times as much in the variants": (times(3, normal), normal),
    "normal, 10 times as much in the variants": (times(10, normal), normal),
    "lognormal, 3 times as much in the variants": (times(3, lognormal), lognormal),
    "left-skewed variants (exponential), normal reference": (times(-1, exponential), normal),
    "left-skewed variants (lognormal), 3 times as much, normal reference": (times(-3, lognormal), normal),
    "5 % of the variants' runs diverged, none of the reference's": (diverging, normal),
}


def draw(
    noise: tuple[Noise, Noise], studies: int, effects: Sequence[float], seeds: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Values of the variants `[studies, variants, seeds]` and of the reference `[studies, seeds]`."""
    rng = np.random.default_rng(seed)
    of_variants, of_reference = noise
    reference = of_reference(rng, (studies, seeds))
    return of_variants(rng, (studies, len(effects), seeds)) + np.asarray(effects, float)[:, None], reference


def verdicts(values: np.ndarray, reference: np.ndarray, compare: Compare) -> np.ndarray:
    """Of studies with a fixed number of seeds."""
    return comparison.judge(comparison.estimate(values, reference[:, None], compare.paired), compare)[2]


def looks(values: np.ndarray, reference: np.ndarray, compare: Compare, rule: Stopping = RULE) -> stopping.Looks:
    """Of studies that stop by the rule."""
    return stopping.replay(values, reference, np.ones(values.shape[1:], bool), compare, rule)


def differs(verdict: np.ndarray) -> np.ndarray:
    return (verdict == "better") | (verdict == "worse")
