"""What trainers have in common whose loop is a library's and calls back: such a loop as a generator, the state beside its
checkpoints, and its draws."""

import json
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from ablate.contracts import Cell, Result
from ablate.spec.trainer import Controls, Interrupted, Record, Steps
from ablate.writing import replaced

from .declared import STATE, anew_after_failure

Give = Callable[[Record | None], None]
_END = object()


def as_steps(run: Callable[[Give], Result], controls: Controls) -> Steps:
    """A training that calls back, as a generator of what it hands on.

    It runs in a thread of its own, and only while the generator is asked for its next value: so never do both run at once.

    Args:
        run: Trains, calls the function that it is given with None after each batch and with the record of each epoch, and
            returns the result. Where nobody asks any more, that function raises `Interrupted`.
        controls: Where its state is, which the next run does not go on with where this one fails.
    """
    asked: SimpleQueue[bool] = SimpleQueue()
    records: SimpleQueue[Any] = SimpleQueue()
    ended: list[Result | BaseException] = []

    def give(record: Record | None) -> None:
        records.put(record)
        if not asked.get():
            raise Interrupted

    def work() -> None:
        try:
            with anew_after_failure(controls):
                ended.append(run(give))
        except BaseException as error:  # raised again where the generator is asked
            ended.append(error)
        records.put(_END)

    thread = threading.Thread(target=work, name="training", daemon=True)
    thread.start()
    try:
        while (record := records.get()) is not _END:
            yield record
            asked.put(True)
    finally:
        asked.put(False)
        thread.join()
    (end,) = ended
    if isinstance(end, BaseException):
        raise end
    return end


class Sitting:
    """One sitting of a cell's training, with what earlier ones recorded.

    Args:
        cell: What is trained.
        controls: Where its state is. What lies there of another cell, or was not whole when the process was killed, is removed.

    Attributes:
        records: Of the finished epochs.
        checkpoint: What the loop saved and goes on from; None at the beginning.
        more: What else belongs to the state; JSON.
    """

    def __init__(self, cell: Cell, controls: Controls):
        self._key, self._folder = cell.key, controls.folder
        state = _state(controls, cell.key) or {"records": [], "checkpoint": None, "seconds": 0.0, "more": {}}
        self.records: list[Record] = state["records"]
        self.more: Record = state["more"]
        self._name: str | None = state["checkpoint"]
        self._began = time.monotonic() - state["seconds"]
        self._keep(self._name)

    @property
    def checkpoint(self) -> Path | None:
        return self._folder / self._name if self._name else None

    def seconds(self) -> float:
        """Over all sittings."""
        return float(time.monotonic() - self._began)

    def saved(self, name: str, more: Record) -> None:
        """The loop has saved its state: it counts from now on, and the one before is removed.

        Args:
            name: Of its file or folder in the cell's folder.
            more: What else belongs to the state.
        """
        state = {"key": self._key, "checkpoint": name, "seconds": self.seconds(), "records": self.records, "more": more}
        with replaced(self._folder / STATE) as temporary:
            temporary.write_text(json.dumps(state))
        self._name = name
        self._keep(name)

    def _keep(self, name: str | None) -> None:
        """Removes everything from the folder but the state and what it names."""
        for path in self._folder.glob("*") if self._folder.is_dir() else ():
            if path.is_dir() and path.name != name:
                shutil.rmtree(path)
            elif not path.is_dir() and path.name not in (name, STATE):
                path.unlink()


def reached(controls: Controls, key: str) -> tuple[int, int] | None:
    """Finished epochs, and batches of the next one, that are saved; None where nothing is."""
    state = _state(controls, key)
    return (len(state["records"]), int(state["more"].get("batches", 0))) if state else None


def _state(controls: Controls, key: str) -> Record | None:
    with suppress(OSError, ValueError):
        state: Record = json.loads((controls.folder / STATE).read_text())
        if state["key"] == key and (controls.folder / state["checkpoint"]).exists():
            return state
    return None


def seed_everything(seed: int) -> None:
    """Sets the global generators of Python, NumPy and torch: code of others draws from any of them."""
    from ablate.engine.seeding import seed_global

    random.seed(seed)
    np.random.seed(seed % 2**32)
    seed_global(seed)


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """The global generators of Python, NumPy and torch set, and put back afterwards."""
    from ablate.engine.seeding import global_generators_kept

    python, numpy = random.getstate(), np.random.get_state()
    try:
        with global_generators_kept():
            seed_everything(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
