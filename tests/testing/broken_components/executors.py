"""Executors that break their contract; they train in the process that calls them."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace

import torch

from ablate.engine.train import train
from ablate.executors import CellEnded, CellStarted, EpochEnded
from ablate.registry import default
from ablate.spec.trainer import Controls

CAUGHT = {
    "other_seed": ("test_cells_give_what_the_engine_gives", "the weights differ from those that the engine gives"),
    "silent": ("test_cells_give_what_the_engine_gives", "the epochs that are told are not those of the result"),
    "untraced": ("test_cells_give_what_the_engine_gives", "nothing says that ablate trained it"),
    "raising": ("test_a_failed_cell_is_told_and_costs_no_other", "mean has 3 numbers, and the images have 1 channel"),
    "leaving": ("test_a_stopped_cell_is_told_and_its_state_is_saved", "tell it as interrupted"),
    "losing": ("test_a_stopped_cell_is_told_and_its_state_is_saved", "there is no checkpoint of the cell"),
}


def trained(cell, settings):
    controls = Controls(settings.checkpoints / f"{cell.key}.safetensors", 3600)
    return train(default(), cell, settings.environment, torch.device("cpu"), controls)


@contextmanager
def _executor(run: Callable):
    yield run


def other_seed(workers: int, /):
    """Trains with another seed."""

    def run(settings, take, stop):
        while cell := take():
            yield CellStarted(cell.key)
            result = trained(replace(cell, seed=cell.seed + 1), settings)
            yield from (EpochEnded(cell.key, record) for record in result.epochs)
            yield CellEnded(cell.key, "done", result)

    return _executor(run)


def silent(workers: int, /):
    """Tells no epoch."""

    def run(settings, take, stop):
        while cell := take():
            yield CellStarted(cell.key)
            yield CellEnded(cell.key, "done", trained(cell, settings))

    return _executor(run)


def untraced(workers: int, /):
    """Trains as the engine does, and not by the generator that says what was trained."""

    def run(settings, take, stop):
        while cell := take():
            yield CellStarted(cell.key)
            result = trained(cell, settings)
            yield from (EpochEnded(cell.key, record) for record in result.epochs)
            yield CellEnded(cell.key, "done", result)

    return _executor(run)


def raising(workers: int, /):
    """One failure ends all."""
    return silent(workers)


def _stopping(*events):
    """Tells an epoch that was never trained, and then these."""

    def run(settings, take, stop):
        if cell := take():
            yield CellStarted(cell.key)
            yield EpochEnded(cell.key, {"epoch": 1})
            yield from (CellEnded(cell.key, event) for event in events)

    return _executor(run)


def leaving(workers: int, /):
    """Ends without a word when it is stopped."""
    return _stopping()


def losing(workers: int, /):
    """Says that it has stopped, and saves nothing."""
    return _stopping("interrupted")
