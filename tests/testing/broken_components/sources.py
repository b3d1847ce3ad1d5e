"""Sources that break their contract."""

import random
from pathlib import Path

from ablate.judging.runs import Curve, Run, Runs

CAUGHT = {
    "greedy": ("test_it_recognises_its_place_and_no_other", "where there are no runs"),
    "shy": ("test_it_recognises_its_place_and_no_other", "it does not recognise"),
    "unasked": ("test_it_recognises_its_place_and_no_other", "it has no attribute `recognises`"),
    "short": ("test_it_gives_every_run_as_records", "it gives 3 runs, and `write` makes 4"),
    "nameless": ("test_it_gives_every_run_as_records", "a name finds one run"),
    "falling": ("test_it_gives_every_run_as_records", "use `last`, which sorts them"),
    "nested": ("test_it_gives_every_run_as_records", "use `flat`"),
    "drawing": ("test_it_gives_the_same_again", "sort what the system lists"),
    "tidying": ("test_it_changes_nothing", "read only"),
    "alike": ("test_its_runs_are_judged", "nothing differs between the runs"),
    "heavy": ("test_it_imports_no_torch", "put it into a module of its own"),
}


def write(self, folder):
    (folder / "runs.mine").write_text("four of them\n")
    return folder


TRIED = {name: {"write": write} for name in CAUGHT}


def runs(settings=lambda variant, seed: {"variant": variant, "seed": seed}, value=lambda seed: 0.9, name=None, steps=(1, 2)):
    return tuple(
        Run(name or f"{variant} {seed}", settings(variant, seed), {"accuracy": Curve(steps, (0.1, value(seed)))})
        for variant in "ab"
        for seed in range(2)
    )


def here(place):
    return (Path(place) / "runs.mine").is_file()


def greedy(asked, /):
    """Takes anything."""
    return Runs(runs())


greedy.recognises = lambda place: True


def shy(asked, /):
    """Takes nothing."""
    return Runs(runs())


shy.recognises = lambda place: False


def unasked(asked, /):
    """Does not say what it takes."""
    return Runs(runs())


def short(asked, /):
    """Forgets one."""
    return Runs(runs()[:3])


def nameless(asked, /):
    """All have one name."""
    return Runs(runs(name="run"))


def falling(asked, /):
    """The last step comes first."""
    return Runs(runs(steps=(2, 1)))


def nested(asked, /):
    """Settings in settings."""
    return Runs(runs(lambda variant, seed: {"model": {"name": variant}, "seed": seed}))


def drawing(asked, /):
    """Another value each time."""
    return Runs(runs(value=lambda seed: random.random()))


def tidying(asked, /):
    """Leaves a note."""
    (Path(asked.place) / "read").write_text("by me\n")
    return Runs(runs())


def alike(asked, /):
    """Nothing differs."""
    return Runs(runs(lambda variant, seed: {"seed": seed}))


def heavy(asked, /):
    """Needs much for little."""
    import torch

    return Runs(runs(value=lambda seed: float(torch.tensor(0.5))))
