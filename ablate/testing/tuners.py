"""What a tuner has to keep."""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar

from ablate.contracts import Choice, Range, Setting, Space, Trial
from ablate.plan.space import contains

from .component import ComponentContract
from .randomness import global_generators, global_states

UNTUNED = {"optimizer.lr": 0.5, "optimizer.momentum": 0.0, "model.width": 9, "batch_size": 1000, "scheduler": None}


class TunerContract(ComponentContract):
    """A space to a function from the trials so far to the setting of the next one.

    Attributes:
        spaces: What it is tried with.
        trials: How many settings it is asked for.
    """

    kind: ClassVar[str] = "tuner"
    spaces: Sequence[Space] = (
        {"optimizer.lr": Range(0.0001, 0.1, log=True)},
        {
            "optimizer.lr": Range(0.0001, 0.1, log=True),
            "optimizer.momentum": Range(0.0, 0.99),
            "model.width": Range(8, 64, step=8),
            "batch_size": Choice((32, 64, 128)),
            "scheduler": Choice(({"use": "constant"}, {"use": "cosine"})),
        },
    )
    trials: int = 15

    def engine_arguments(self) -> tuple[Any, ...]:
        return (self.spaces[0],)

    def next(self, space: Space, trials: Sequence[Trial]) -> Setting | None:
        """What a tuner that was just built says, as an interrupted study asks it."""
        setting: Setting | None = self.make(space)(trials)
        return setting

    def history(self, space: Space) -> list[Trial]:
        """Trials whose values are all known. The first is what a spec says, outside of the space; the fourth has failed."""
        found = [Trial({path: UNTUNED.get(path) for path in space}, 0.5)]
        for number in range(1, self.trials):
            setting = self.next(space, found)
            assert setting is not None, (
                f"it waits after {number} trials whose values are all known, and would wait for ever: return a setting."
            )
            assert contains(space, setting), (
                f"it gives {setting!r} for the space {space!r}: return a value for each path, from its range or its choices, "
                "whole numbers as `int` and others as `float`."
            )
            found.append(Trial(setting, math.nan if number == 3 else score(space, setting)))
        return found

    def test_it_gives_settings_of_the_space(self) -> None:
        for space in self.spaces:
            self.history(space)

    def test_it_tries_different_settings(self) -> None:
        for space in self.spaces:
            settings = [str(trial.setting) for trial in self.history(space)[1:]]
            assert len(set(settings)) > len(settings) // 2, (
                f"{len(settings)} trials have {len(set(settings))} settings: draw again for every trial."
            )

    def test_it_depends_on_the_trials_alone(self) -> None:
        for space in self.spaces:
            trials = self.history(space)
            used = self.make(space)
            for count in (len(trials), 1, len(trials) // 2):
                one, other = used(trials[:count]), self.next(space, trials[:count])
                assert one == other, (
                    f"after {count} trials it gives {one!r}, and one that was just built gives {other!r}: keep nothing between "
                    "two calls, and draw from generators whose seeds are made of a parameter and the number of trials."
                )

    def test_it_uses_no_global_generator(self) -> None:
        for space in self.spaces:
            trials = self.history(space)
            with global_generators(1):
                before = global_states()
                self.next(space, trials)
                assert global_states() == before, "it draws from a global generator: make one of your own."

    def test_it_waits_or_goes_on_where_values_are_not_known(self) -> None:
        for space in self.spaces:
            trials = self.history(space)
            for count in (1, len(trials) // 2, len(trials)):
                waiting = [*trials[: count - 1], Trial(trials[count - 1].setting)]
                setting = self.next(space, waiting)
                assert setting is None or contains(space, setting), f"where a value is not known yet it gives {setting!r}."

    def test_it_leaves_the_trials_as_they_are(self) -> None:
        for space in self.spaces:
            trials = self.history(space)
            before = deepcopy([trial.setting for trial in trials])
            self.next(space, trials)
            assert [trial.setting for trial in trials] == before, "it changes the trials that it is given: work on copies."


def score(space: Mapping[str, Range | Choice], setting: Setting) -> float:
    """How near numbers are to the middle of their ranges, and choices to the first; at most 1."""
    off = [
        domain.values.index(setting[path]) / len(domain.values)
        if isinstance(domain, Choice)
        else abs(setting[path] - (domain.low + domain.high) / 2) / (domain.high - domain.low)
        for path, domain in space.items()
    ]
    return 1 - sum(off) / len(off)
