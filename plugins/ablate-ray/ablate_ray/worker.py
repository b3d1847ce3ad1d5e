"""What runs on the nodes: actors that train one cell at a time. JSON text crosses between them and the driver, nothing else."""

import json
import socket
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import IO, Any

import ray

LOG_CHARACTERS = 64_000
Message = dict[str, Any]


class Worker:
    """An actor. `stop` has a thread of its own, because another one trains."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def ready(self) -> None:
        """Returns when what every cell needs is imported."""
        import torch._dynamo  # noqa: F401  the first optimizer would import it

        import ablate.engine.train  # noqa: F401

    @ray.method(concurrency_group="control")
    def stop(self) -> None:
        """The cell that runs saves its state and ends."""
        self._stop.set()

    @ray.method(num_returns="streaming")
    def train(self, cell: str, order: str) -> Iterator[str]:
        """Trains a cell, and yields what happens, the last of which is how it ended.

        Args:
            cell: `Cell.to_json` as text.
            order: Device, places and times, as text.
        """
        for message in events(json.loads(cell), json.loads(order), self._stop.is_set):
            yield json.dumps(message, allow_nan=False)

    def forget(self, checkpoint: str) -> None:
        """Removes a state that nobody needs any more, on this node."""
        Path(checkpoint).unlink(missing_ok=True)


def events(cell: Message, order: Message, should_stop: Callable[[], bool]) -> Iterator[Message]:
    """The training of a cell: `started`, `epoch` after each, then `done`, `interrupted` or `failed`."""
    from ablate.engine.train import Interrupted
    from ablate.errors import describe

    yield {"event": "started"}
    with tempfile.TemporaryFile("w+", errors="replace") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            result = yield from _training(cell, order, should_stop)
            yield {"event": "done", "result": result}
        except Interrupted:
            yield {"event": "interrupted"}
        except Exception as error:  # a cell's own failure, of whatever kind
            told = f"{traceback.format_exc()}\n{_end_of(log)}".strip()
            yield {"event": "failed", "error": describe(error), "log": told}


def _training(cell: Message, order: Message, should_stop: Callable[[], bool]) -> Generator[Message, None, Message]:
    import torch

    from ablate.engine.train import Controls, training
    from ablate.records import Cell, Environment, Result
    from ablate.registry import default

    made = Cell.from_json(cell)
    environment = Environment(Path(order["data_dir"]), order["download"])
    must_be_alike(made, environment)
    records: list[Message] = []
    controls = Controls(Path(order["checkpoint"]), order["checkpoint_seconds"], records.append, should_stop)
    result: Result | None
    steps = training(default(), made, environment, torch.device(order["device"]), controls)
    while True:
        try:
            next(steps)
            result = None
        except StopIteration as end:
            result = end.value
        while records:
            yield {"event": "epoch", "record": records.pop(0)}
        if result is not None:
            return result.to_json()


def must_be_alike(cell: Any, environment: Any) -> None:
    """A node with other packages or other data would give a result that is not this cell's.

    Args:
        cell: `ablate.records.Cell`.
        environment: `ablate.records.Environment`.

    Raises:
        EnvironmentProblem: Something of the cell's identity is different here.
    """
    from ablate.errors import EnvironmentProblem
    from ablate.identity import recipe_identity
    from ablate.registry import default

    data = _fingerprint(json.dumps(cell.recipe["dataset"]), environment)
    here = recipe_identity(default(), cell.recipe, data)
    planned, found = ({"engine": i["engine"], "data": i["data"], **i["packages"]} for i in (cell.identity, here))
    other = [name for name in planned | found if planned.get(name) != found.get(name)]
    if other:
        what = ", ".join(f"{name} is {found.get(name)} and not {planned.get(name)}" for name in other)
        raise EnvironmentProblem(f"node {socket.gethostname()} differs from the one that planned the study: {what}")


@cache
def _fingerprint(dataset: str, environment: Any) -> str:
    """Of the data as this node has it; looked at once."""
    from ablate.registry import build, default

    spec = json.loads(dataset)
    fingerprint: str = build(default(), "dataset", spec, environment).fingerprint()
    return fingerprint


def _end_of(log: IO[str]) -> str:
    log.flush()
    log.seek(0)
    return log.read()[-LOG_CHARACTERS:].strip()
