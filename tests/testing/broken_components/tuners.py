"""Tuners that break their contract."""

import random

import numpy as np

from ablate.components import tuners

CAUGHT = {
    "waiting": ("test_it_gives_settings_of_the_space", "would wait for ever"),
    "beyond": ("test_it_gives_settings_of_the_space", "from its range or its choices"),
    "stubborn": ("test_it_tries_different_settings", "14 trials have 1 settings: draw again"),
    "going_on": ("test_it_depends_on_the_trials_alone", "keep nothing between two calls"),
    "shaking": ("test_it_uses_no_global_generator", "make one of your own"),
    "impatient": ("test_it_waits_or_goes_on_where_values_are_not_known", "where a value is not known yet it gives {}"),
    "sorting": ("test_it_leaves_the_trials_as_they_are", "work on copies"),
}


def waiting(space, /):
    """Tries one setting, and no other."""
    return lambda trials: tuners.random(space)(trials) if len(trials) < 2 else None


def beyond(space, /):
    """Learning rates ten times too large."""
    return lambda trials: dict.fromkeys(space, 1.0)


def stubborn(space, /):
    """Always the same."""
    return lambda trials: tuners.random(space)(trials[:1])


def going_on(space, /):
    """Draws one number after the other."""
    generator = np.random.default_rng(0)

    def suggest(trials):
        return tuners.random(space, seed=int(generator.integers(1000)))(trials)

    return suggest


def shaking(space, /):
    """Leaves Python's generator in another state."""

    def suggest(trials):
        random.random()
        return tuners.random(space)(trials)

    return suggest


def impatient(space, /):
    """Nothing in place of waiting."""
    return lambda trials: {} if trials[-1].value is None else tuners.random(space)(trials)


def sorting(space, /):
    """Takes the settings that it was given for its own."""

    def suggest(trials):
        trials[-1].setting["seen"] = True
        return tuners.random(space)(trials)

    return suggest
