"""Schedulers that break their contract."""

from collections.abc import Callable
from itertools import count

CAUGHT = {
    "without_end": ("test_every_step_has_a_factor", "the factor of step 39 is -inf: keep it finite"),
    "below_zero": ("test_every_step_has_a_factor", "a negative one would climb the loss"),
    "counting": ("test_the_step_alone_decides", "compute it from the step alone"),
}


def without_end(horizon, /) -> Callable[[int], float]:
    """The last step is divided by nothing."""
    last = horizon.epochs * horizon.steps_per_epoch - 1
    return lambda step: 1 / (last - step) if step < last else float("-inf")


def below_zero(horizon, /) -> Callable[[int], float]:
    """A straight line that goes on falling."""
    return lambda step: 1 - 2 * step / (horizon.epochs * horizon.steps_per_epoch)


def counting(horizon, /) -> Callable[[int], float]:
    """A factor for each call in place of each step."""
    calls = count(1)
    return lambda step: 1 / next(calls)
