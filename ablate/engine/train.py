"""Trains one cell. The result depends on the cell alone: not on where it runs, what runs beside it, or interruptions."""

from collections.abc import Generator
from dataclasses import replace

import torch

from ablate.contracts import Cell, Environment, Result
from ablate.registry import Registry
from ablate.spec.trainer import Controls

from . import checkpoint, data
from .cell_training import CellTraining
from .deterministic import turn_of
from .evaluation import Record
from .ranks import Ranks
from .seeding import global_generators_kept
from .step import ReplayDiffers


def train(registry: Registry, cell: Cell, environment: Environment, device: torch.device, controls: Controls) -> Result:
    """Trains a cell, from its checkpoint where it has one.

    Raises:
        Interrupted: `controls.should_stop` said so.
        AblateError: Data or a checkpoint is missing or damaged.
    """
    steps = training(registry, cell, environment, device, controls)
    with global_generators_kept():
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result


def training(
    registry: Registry,
    cell: Cell,
    environment: Environment,
    device: torch.device,
    controls: Controls,
    ranks: Ranks | None = None,
) -> Generator[Record | None, None, Result]:
    """The same a batch at a time: several cells may take turns in one process, on a GPU each on a stream of its own.

    It sets torch's global generators and its number of threads before each batch, and leaves them so; what else is set on a GPU
    is set for each batch and put back.

    Args:
        registry: What is installed.
        cell: What is trained.
        environment: Where the data is.
        device: Where it is trained; of several, the first.
        controls: Where its state is, and whether to stop.
        ranks: The processes of a cell on several devices.

    Yields:
        None after each batch, and the record of each epoch after it.

    Raises:
        Interrupted: `controls.should_stop` said so.
        AblateError: Data or a checkpoint is missing or damaged.
    """
    use_threads(cell.recipe["threads"])
    tensors = data.load(registry, cell.recipe, cell.seed, environment, device, cell.identity.get("data"))
    turn = turn_of(cell.recipe, device)
    with turn():
        run = CellTraining(registry, cell, tensors, device, ranks=ranks)
        if not run.restore(controls.checkpoint, cell.key) and controls.extends is not None:
            checkpoint.go_on(run.restore, controls.extends)
        if ranks is not None:
            ranks.wait()  # all have read the state before it is saved again
    steps = run.fit(controls)
    while True:
        use_threads(cell.recipe["threads"])
        with turn():
            try:
                record = next(steps)
            except StopIteration:
                state = checkpoint.keep(run.save, controls.state) if controls.state else None
                return replace(run.result(controls.weights), state_sha256=state)
            except ReplayDiffers as how:  # the whole training is made again, without what may be wrong in it
                controls.checkpoint.unlink(missing_ok=True)
                run = CellTraining(registry, cell, tensors, device, f"{how} in epoch {run.at.epoch + 1}")
                steps = run.fit(controls)
                continue
        yield record


def use_threads(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
