"""Tuners: which settings are tried for a variant, and in which order.

A factory gets the space, and returns a function from the trials so far to the setting of the next one.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ablate.contracts import Choice, Range, Setting, Space, Trial, Tuner
from ablate.registry.params import NonNegativeInt


def random(space: Space, /, *, seed: NonNegativeInt = 0) -> Tuner:
    """Independent draws: every choice, every step and every part of a range is as likely as any other.

    In few trials it finds better settings than a grid (Bergstra and Bengio, JMLR 2012). Variants with the same space are tried
    with the same settings, and a path that is added to a space leaves the draws of the others as they were.

    Args:
        seed: Which draws.
    """

    def suggest(trials: Sequence[Trial], /) -> Setting:
        return {path: _value(domain, _uniform(seed, path, len(trials))) for path, domain in space.items()}

    return suggest


def _uniform(seed: int, path: str, trial: int) -> float:
    """A number in [0, 1) from counters."""
    return float(np.random.default_rng([seed, trial, *path.encode()]).random())


def _value(domain: Range | Choice, u: float) -> Any:
    """The value at the part `u` of a domain."""
    if isinstance(domain, Choice):
        return domain.values[int(u * len(domain.values))]
    low, high = domain.low, domain.high
    if domain.whole and domain.log:  # each whole number has what lies nearer to it than to others
        return min(max(round(_between(low - 0.5, high + 0.5, u)), low), high)
    step = domain.step or (1 if domain.whole else None)
    if step is not None:
        return low + step * int(u * (math.floor((high - low) / step + 1e-9) + 1))
    return _between(low, high, u) if domain.log else low + u * (high - low)


def _between(low: float, high: float, u: float) -> float:
    return float(low * (high / low) ** u)
