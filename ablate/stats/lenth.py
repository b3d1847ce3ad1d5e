"""The noise of switches that were run once, from the contrasts of their design (Lenth, 1989, doi:10.1080/00401706.1989.10488595).

Runs of an orthogonal design of N runs make N - 1 contrasts, independent and with one variance. Where few of them are of
anything but noise (effect sparsity), the small ones say how large the noise is. What is small and not noise counts as noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from .comparison import FLAT, Array
from .factor_records import Lenth
from .orthogonal import ROUNDING, Model

LEAST = 7  # contrasts: the median of the three of four runs is no more than one of them
DRAWS = 1_500_000  # contrasts that the reference distribution is simulated from


@dataclass(frozen=True)
class PseudoError:
    """What a contrast is judged by.

    The error of a contrast divided by the pseudo standard error has a distribution that Lenth takes for Student's t with m / 3
    degrees of freedom: for 15 contrasts, its intervals contain 97 % in place of 95 %. Ye and Hamada (2000) simulate it for
    contrasts of nothing, which are among those that the error is made of: their intervals contain 93 % of effects that are
    something, because these are not. So here the error is that of a contrast beside the m. That is right for effects that are
    large, a little too wide for the others, and does for sums of contrasts, too.

    Attributes:
        size: Lenth's pseudo standard error of a contrast.
        contrasts: How many there are, m.
    """

    size: float
    contrasts: int

    def p(self, ratio: Array) -> Array:
        """Two-sided p-values of estimates, each in standard errors, `[...]`."""
        sizes = _pseudo_errors_of_noise(self.contrasts)
        return np.array([2 * stats.norm.sf(abs(one) * sizes).mean() for one in np.ravel(ratio)]).reshape(np.shape(ratio))

    def critical(self, alpha: float) -> float:
        """How many standard errors an interval at level 1 - alpha has on each side."""
        return _critical(self.contrasts, alpha)

    def record(self, alpha: float) -> Lenth:
        one, together = self.critical(alpha), self.critical(alpha / self.contrasts)
        return Lenth(self.contrasts, self.size, one * self.size, together * self.size)


def pseudo_standard_error(contrasts: Array) -> Array:
    """Lenth's estimate of the standard error of contrasts, `[..., contrasts]`; 0 where half of them or more are 0."""
    sizes = np.sort(np.abs(contrasts), axis=-1)
    small = (sizes < 2.5 * 1.5 * np.median(sizes, axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)
    middle = [np.maximum(0, small - 1) // 2, np.minimum(small // 2, sizes.shape[-1] - 1)]
    return 1.5 * np.asarray(np.mean([np.take_along_axis(sizes, place, axis=-1)[..., 0] for place in middle], axis=0))


def pseudo_error(model: Model) -> PseudoError | None:
    """Of a model whose terms are all contrasts of an orthogonal design of switches; None where `lacking` says why not."""
    if any(lacking(model)):
        return None
    contrasts = _contrasts(model)
    return PseudoError(float(pseudo_standard_error(contrasts)), len(contrasts))


def lacking(model: Model) -> Iterator[str]:
    """What the method takes that a model does not have, in words."""
    matrix, contrasts = model.matrix(), _contrasts(model)
    if any(len(effect.names) > 1 for effect in model.effects):
        yield "two levels of every factor"
    elif np.abs(matrix.T @ matrix - len(matrix) * np.eye(matrix.shape[1])).max() > ROUNDING * len(matrix):
        yield "a value of every variant"
    elif len(contrasts) < LEAST:
        yield f"{LEAST} contrasts at least, and there are {len(contrasts)}"
    elif not pseudo_standard_error(contrasts) > FLAT * np.abs(model.y).max():
        yield "more contrasts that are not 0"


def _contrasts(model: Model) -> Array:
    """Means of half of the runs less those of the other half, `[contrasts]`."""
    return np.asarray(2 * model.matrix()[:, model.blocks.shape[1] :].T @ model.y / len(model.y))


@lru_cache
def _pseudo_errors_of_noise(contrasts: int) -> Array:
    """The pseudo standard errors of so many contrasts of standard normal noise."""
    noise = np.random.default_rng(0).standard_normal((DRAWS // contrasts, contrasts))
    return pseudo_standard_error(noise)


@lru_cache
def _critical(contrasts: int, alpha: float) -> float:
    sizes = _pseudo_errors_of_noise(contrasts)
    return float(optimize.brentq(lambda ratio: 2 * stats.norm.sf(ratio * sizes).mean() - alpha, 0, 1e6))
