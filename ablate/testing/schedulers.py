"""What a scheduler has to keep."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from ablate.contracts import Horizon

from .component import ComponentContract


class SchedulerContract(ComponentContract):
    """A function of the step that gives the factor of the learning rate.

    Attributes:
        horizons: Epochs and steps an epoch of the trainings that it is tried with.
    """

    kind: ClassVar[str] = "scheduler"
    horizons: Sequence[tuple[int, int]] = ((10, 4), (12, 1), (4, 25))

    def engine_arguments(self) -> tuple[Any, ...]:
        return (Horizon(*self.horizons[0]),)

    def test_every_step_has_a_factor(self) -> None:
        for epochs, steps_per_epoch in self.horizons:
            schedule = self.make(Horizon(epochs, steps_per_epoch))
            factors = [schedule(step) for step in range(epochs * steps_per_epoch)]
            where = f"in {epochs} epochs of {steps_per_epoch} steps"
            for step, factor in enumerate(factors):
                assert isinstance(factor, (int, float)), f"{where}, step {step} has a {type(factor).__name__}: return a float."
                assert math.isfinite(factor), f"{where}, the factor of step {step} is {factor}: keep it finite to the last step."
                assert factor >= 0, f"{where}, the factor of step {step} is {factor}: a negative one would climb the loss."
            assert any(factors), f"{where}, the factor is 0 throughout, and nothing would be trained."

    def test_the_step_alone_decides(self) -> None:
        """An interrupted cell goes on at any step, and no step is asked for once only."""
        for epochs, steps_per_epoch in self.horizons:
            steps = range(epochs * steps_per_epoch)
            horizon = Horizon(epochs, steps_per_epoch)
            schedule = self.make(horizon)
            forwards = [schedule(step) for step in steps]
            backwards = [schedule(step) for step in reversed(steps)][::-1]
            fresh = [self.make(horizon)(step) for step in steps]
            assert forwards == backwards == fresh, (
                "the factor of a step depends on the steps that were asked for before: compute it from the step alone."
            )
