"""Learning-rate schedules: a function of the step that gives the factor of the optimizer's learning rate.

Lengths are in epochs, counted from the end of the warm-up, in which the factor rises linearly. A schedule changes once an epoch
or once a step. Without warm-up, the factors are those of torch's scheduler of the same name.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

from ablate.contracts import Horizon
from ablate.registry.params import Bound, NonNegative, Positive, Unit

Schedule = Callable[[int], float]
Curve = Callable[[float, float], float]  # (epochs since the warm-up, epochs in all without it) -> factor
Per = Literal["epoch", "step"]
Gamma = Annotated[float, Bound(above=0, maximum=1)]
OpenUnit = Annotated[float, Bound(above=0, below=1)]


def _schedule(horizon: Horizon, per: Per, warmup_epochs: float, curve: Curve) -> Schedule:
    if warmup_epochs >= horizon.epochs:
        raise ValueError(f"warmup_epochs {warmup_epochs:g} leaves nothing of {horizon.epochs} epochs")

    def factor(step: int) -> float:
        unit = 1 if per == "epoch" else horizon.steps_per_epoch
        index = step // horizon.steps_per_epoch if per == "epoch" else step
        warmup = round(warmup_epochs * unit)
        if index < warmup:
            return (index + 1) / warmup
        return curve((index - warmup) / unit, horizon.epochs - warmup / unit)

    return factor


def constant(horizon: Horizon, /, *, warmup_epochs: NonNegative = 0, per: Per = "epoch") -> Schedule:
    """The same learning rate throughout.

    Args:
        warmup_epochs: Epochs in which the learning rate rises linearly.
        per: Whether it changes once an epoch or once a step.
    """
    return _schedule(horizon, per, warmup_epochs, lambda epoch, epochs: 1.0)


def step(
    horizon: Horizon, /, *, step_size: Positive, gamma: Gamma = 0.1, warmup_epochs: NonNegative = 0, per: Per = "epoch"
) -> Schedule:
    """Times `gamma` every `step_size` epochs.

    Args:
        step_size: Epochs between two changes.
        gamma: Factor of each change.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        per: Whether it changes once an epoch or once a step.
    """
    return _schedule(horizon, per, warmup_epochs, lambda epoch, epochs: gamma ** math.floor(epoch / step_size))


def multistep(
    horizon: Horizon,
    /,
    *,
    milestones: list[Positive],
    gamma: Gamma = 0.1,
    warmup_epochs: NonNegative = 0,
    per: Per = "epoch",
) -> Schedule:
    """Times `gamma` at each of the milestones.

    Args:
        milestones: Epochs of the changes.
        gamma: Factor of each change.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        per: Whether it changes once an epoch or once a step.
    """
    return _schedule(
        horizon, per, warmup_epochs, lambda epoch, epochs: gamma ** sum(epoch >= milestone for milestone in milestones)
    )


def exponential(horizon: Horizon, /, *, gamma: Gamma, warmup_epochs: NonNegative = 0, per: Per = "epoch") -> Schedule:
    """Times `gamma` every epoch.

    Args:
        gamma: Factor of an epoch.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        per: Whether it changes once an epoch or once a step.
    """
    return _schedule(horizon, per, warmup_epochs, lambda epoch, epochs: gamma**epoch)


def cosine(horizon: Horizon, /, *, minimum: Unit = 0, warmup_epochs: NonNegative = 0, per: Per = "epoch") -> Schedule:
    """Half a cosine down to `minimum`, without restarts (Loshchilov and Hutter, 2016, arXiv 1608.03983).

    Args:
        minimum: The factor that is reached at the end.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        per: Whether it changes once an epoch or once a step.
    """

    def curve(epoch: float, epochs: float) -> float:
        return minimum + (1 - minimum) * (1 + math.cos(math.pi * epoch / epochs)) / 2

    return _schedule(horizon, per, warmup_epochs, curve)


def linear(
    horizon: Horizon,
    /,
    *,
    start: NonNegative = 1,
    end: NonNegative = 0,
    warmup_epochs: NonNegative = 0,
    per: Per = "epoch",
) -> Schedule:
    """A straight line.

    Args:
        start: First factor.
        end: The factor that is reached at the end.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        per: Whether it changes once an epoch or once a step.
    """
    return _schedule(horizon, per, warmup_epochs, lambda epoch, epochs: start + (end - start) * epoch / epochs)


def polynomial(horizon: Horizon, /, *, power: Positive = 1, warmup_epochs: NonNegative = 0, per: Per = "epoch") -> Schedule:
    """A power of the part that is left of the training.

    Args:
        power: The exponent.
        warmup_epochs: Epochs in which the learning rate rises linearly.
        per: Whether it changes once an epoch or once a step.
    """
    return _schedule(horizon, per, warmup_epochs, lambda epoch, epochs: (1 - epoch / epochs) ** power)


def one_cycle(
    horizon: Horizon,
    /,
    *,
    pct_start: OpenUnit = 0.3,
    div_factor: Positive = 25,
    final_div_factor: Positive = 1e4,
    anneal: Literal["cos", "linear"] = "cos",
    per: Per = "step",
) -> Schedule:
    """Up to the optimizer's learning rate and down again (Smith and Topin, 2017, arXiv 1708.07120); its rise is the warm-up.

    Args:
        pct_start: Part of the training in which the learning rate rises.
        div_factor: The first factor is 1 / div_factor.
        final_div_factor: The last factor is the first / final_div_factor.
        anneal: Form of rise and fall.
        per: Whether it changes once an epoch or once a step.
    """
    total = horizon.epochs * (1 if per == "epoch" else horizon.steps_per_epoch)
    first = 1 / div_factor
    turns = [(0.0, first), (max(pct_start * total - 1, 0.0), 1.0), (float(total - 1), first / final_div_factor)]

    def factor(step: int) -> float:
        index = step // horizon.steps_per_epoch if per == "epoch" else step
        for (begin, low), (end, high) in pairwise(turns):
            if index <= end and end > begin:
                part = (index - begin) / (end - begin)
                return low + (high - low) * (part if anneal == "linear" else (1 - math.cos(math.pi * part)) / 2)
        return turns[-1][1]

    return factor
