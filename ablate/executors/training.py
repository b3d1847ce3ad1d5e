"""The training of a cell as a stream of messages: what a worker of an executor does, wherever it runs."""

import json
import socket
import traceback
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer would import it, and a worker that waits for its first cell has the time

from ablate.engine.train import Controls, Interrupted, training
from ablate.errors import EnvironmentProblem, describe
from ablate.identity import recipe_identity
from ablate.records import Cell, Environment
from ablate.registry import build, default

from . import Message


def messages(order: Message, should_stop: Callable[[], bool], elsewhere: bool = False) -> Iterator[Message | None]:
    """Trains a cell, from its checkpoint where it has one, and tells how it goes; what fails is told and not raised.

    Args:
        order: As `ablate.executors.order` gives it.
        should_stop: Asked after each batch; when it says so, the state is saved and the training ends.
        elsewhere: Whether this may be another machine than the one that planned the study. A difference that would give
            another result is then a failure.

    Yields:
        Messages, which are JSON and have a kind, `event`: `started` first; `epoch` after each epoch, with its `record`; and last
        `done` with the `result`, `interrupted`, or `failed` with the `error` in a line, its `traceback`, and whether it was for
        want of `memory`. And None after each batch, so that several cells may take turns in one process.
    """
    yield {"event": "started"}
    try:
        last = yield from _training(order, should_stop, elsewhere)
    except Interrupted:
        last = {"event": "interrupted"}
    except Exception as error:  # the one place where a cell's failure is caught
        last = failure(error)
    yield last  # when what failed is let go of, with the memory that it had


def failure(error: Exception) -> Message:
    """The message that a cell failed with this exception, which is being handled."""
    memory = isinstance(error, torch.OutOfMemoryError)
    return {"event": "failed", "error": describe(error), "traceback": traceback.format_exc(), "memory": memory}


def _training(order: Message, should_stop: Callable[[], bool], elsewhere: bool) -> Generator[Message | None, None, Message]:
    """Tells of epochs and batches, and returns the message that the cell is done."""
    cell = Cell.from_json(order["cell"])
    environment = Environment(Path(order["data_dir"]), order["download"])
    if elsewhere:
        must_be_alike(cell, environment)
    controls = Controls(Path(order["checkpoint"]), order["checkpoint_seconds"], should_stop)
    steps = training(default(), cell, environment, torch.device(order["device"]), controls)
    while True:
        try:
            record = next(steps)
        except StopIteration as end:
            return {"event": "done", "result": end.value.to_json()}
        yield None if record is None else {"event": "epoch", "record": record}


def must_be_alike(cell: Cell, environment: Environment) -> None:
    """A machine with other packages or other data would give a result that is not this cell's.

    Raises:
        EnvironmentProblem: Something of the cell's identity is different here.
    """
    data = _fingerprint(json.dumps(cell.recipe["dataset"]), environment)
    here = recipe_identity(default(), cell.recipe, data, cell.device)
    planned, found = (
        {"engine": i["engine"], "data": i["data"], **i["packages"], **i.get("semantics", {})} for i in (cell.identity, here)
    )
    other = [name for name in planned | found if planned.get(name) != found.get(name)]
    if other:
        what = ", ".join(f"{name} is {found.get(name)} and not {planned.get(name)}" for name in other)
        raise EnvironmentProblem(f"node {socket.gethostname()} differs from the one that planned the study: {what}")


@cache
def _fingerprint(dataset: str, environment: Environment) -> str:
    """Of the data as this machine has it; looked at once."""
    fingerprint: str = build(default(), "dataset", json.loads(dataset), environment).fingerprint()
    return fingerprint
