"""What runs on the nodes: actors that train one cell at a time. JSON text crosses between them and the driver, nothing else."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import IO

import ray

from ablate.executors import Message
from ablate.plugin import EnvironmentProblem, default
from ablate.registry import sources

from . import checkpoints

LOG_CHARACTERS = 64_000


class Worker:
    """An actor. `stop` has a thread of its own, because another one trains."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def ready(self) -> None:
        """Returns when what every cell needs is imported."""
        sources.remember(default().distributions)  # before what it looks at is imported
        import ablate.executors.training  # noqa: F401

    @ray.method(concurrency_group="control")
    def stop(self) -> None:
        """The cell that runs saves its state and ends."""
        self._stop.set()

    @ray.method(num_returns="streaming")
    def train(self, order: str) -> Iterator[str]:
        """Trains a cell, and yields the messages of it.

        Args:
            order: `ablate.executors.order` as text.
        """
        for message in messages(json.loads(order), self._stop.is_set):
            yield json.dumps(message, allow_nan=False)

    def forget(self, checkpoint: str) -> None:
        """Removes a state that nobody needs any more."""
        checkpoints.remove(checkpoint)


def messages(order: Message, should_stop: Callable[[], bool]) -> Iterator[Message]:
    """Those of `ablate.executors.training`, on a node that may be another machine; what is printed is told with a failure."""
    from ablate.executors.training import failure

    with tempfile.TemporaryFile("w+", errors="replace") as log, redirect_stdout(log), redirect_stderr(log):
        yield {"event": "started"}
        try:
            yield from _with_checkpoint(order, should_stop, log)
        except EnvironmentProblem as error:  # the place of the states cannot be reached
            yield failure(error)


def _with_checkpoint(order: Message, should_stop: Callable[[], bool], log: IO[str]) -> Iterator[Message]:
    from ablate.executors.training import messages

    with checkpoints.on_this_node(order["checkpoint"]) as (file, put):
        for message in messages(order | {"checkpoint": str(file)}, should_stop, elsewhere=True):
            put()
            if message is None or message["event"] == "started":
                continue
            if message["event"] == "failed":
                message["traceback"] = f"{message['traceback']}\n{_end_of(log)}".strip()
            yield message


def _end_of(log: IO[str]) -> str:
    log.flush()
    log.seek(0)
    return log.read()[-LOG_CHARACTERS:].strip()
