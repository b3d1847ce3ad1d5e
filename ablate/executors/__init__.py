"""Where cells run. An executor is a component. Its factory gets the likely number of workers before anything else of a run
is known, so that workers start while the study is planned; it returns a context manager of `run(settings, take, stop)`.

`take()` hands over the next cell to train, or None when there is none at present; `stop` is set when the user wants to stop.
`run` is a generator of the events below. It ends when nothing runs and `take()` has nothing; when `stop` is set, it lets the
cells that run save their state, and reports each as interrupted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from typing import Any, Literal

from ablate.records import Cell, Environment, Result


@dataclass(frozen=True)
class Settings:
    """What cells are run with.

    Attributes:
        jobs: Cells at once.
        slots: Of these, cells that take turns in one process; more than one where they share a GPU.
        device: `cpu`, `cuda` or `cuda:N`.
        environment: Where data is.
        checkpoints: Directory of the cells' saved states.
        checkpoint_seconds: Seconds of training between two savings of a cell.
        timeout: Seconds that a cell may take; None for any.
    """

    jobs: int
    slots: int
    device: str
    environment: Environment
    checkpoints: Path
    checkpoint_seconds: float = 60.0
    timeout: float | None = None


@dataclass(frozen=True)
class CellStarted:
    """A worker begins or resumes the cell of this key."""

    key: str


@dataclass(frozen=True)
class EpochEnded:
    """An epoch of a cell is finished; `record` as in `Result.epochs`."""

    key: str
    record: dict[str, Any]


@dataclass(frozen=True)
class CellEnded:
    """A cell is finished.

    Attributes:
        key: Its key.
        status: How it ended.
        result: What it gave, where it is done.
        error: One line for the user, where it failed.
        log: Traceback and what the worker printed, where it failed.
    """

    key: str
    status: Literal["done", "failed", "interrupted"]
    result: Result | None = None
    error: str | None = None
    log: str | None = None


Event = CellStarted | EpochEnded | CellEnded
Run = Callable[[Settings, Callable[[], Cell | None], Flag], Iterator[Event]]
