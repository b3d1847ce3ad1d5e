"""Where cells run. An executor is a component. Its factory gets the likely number of workers before anything else of a run
is known, so that workers start while the study is planned; it returns a context manager of `run(settings, take, stop)`.

`take()` hands over the next cell to train, or None when there is none at present; `stop` is set when the user wants to stop.
`run` is a generator of the events below. It ends when nothing runs and `take()` has nothing; when `stop` is set, it lets the
cells that run save their state, and reports each as interrupted.

Between an executor and its workers crosses JSON: `order` says what to train, `ablate.executors.training.messages` trains it and
tells how it goes, and `event_of` makes an event of each message.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import Any, Literal

from ablate.contracts import Cell, Environment, Result
from ablate.spec.trainer import Extension, Pace

KEPT = str(1 << 30)  # bytes of free memory that a worker keeps, because glibc's pages of zeros cost a tenth of a training at 224
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": KEPT, "MALLOC_TRIM_THRESHOLD_": KEPT}  # in the environment that it begins with


@dataclass(frozen=True)
class Settings:
    """What cells are run with.

    Attributes:
        jobs: Cells at once.
        slots: Of these, cells that take turns in one process; more than one where they share a GPU.
        device: `cpu`, `cuda` or `cuda:N`; of several, the first.
        environment: Where data is.
        checkpoints: Directory of the cells' saved states.
        checkpoint_seconds: Seconds of training between two savings of a cell.
        timeout: Seconds that a cell may take; None for any.
        weights: Files for the trained weights of those cells that keep them, by key.
        states: Files for the whole state at the end of those cells that keep it, by key.
        extends: What cells go on from that have no state of their own, by key.
        measure: Seconds for which each cell is only measured, see `Trainer.pace`; None to train them.
        devices: Devices that a cell takes.
        places: On this machine, the GPUs of each process, as `cuda:0` or `cuda:0,1`; empty on a CPU, and where it has too few.
        memory: Bytes that a process may take of each GPU; None for all.
        imports: Modules that a process imports before its first cell begins.
    """

    jobs: int
    slots: int
    device: str
    environment: Environment
    checkpoints: Path
    checkpoint_seconds: float = 60.0
    timeout: float | None = None
    weights: Mapping[str, Path] = field(default_factory=dict)
    states: Mapping[str, Path] = field(default_factory=dict)
    extends: Mapping[str, Extension] = field(default_factory=dict)
    measure: float | None = None
    devices: int = 1
    places: Sequence[str] = ()
    memory: int | None = None
    imports: Sequence[str] = ()


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
class Advanced:
    """A cell has done so many epochs, the part of the one that runs among them; told every few seconds."""

    key: str
    epochs: float


@dataclass(frozen=True)
class Measured:
    """How long a cell would take, of one that was only measured."""

    key: str
    pace: Pace


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


Event = CellStarted | EpochEnded | Advanced | Measured | CellEnded
Run = Callable[[Settings, Callable[[], Cell | None], Flag], Iterator[Event]]
Message = dict[str, Any]


def order(cell: Cell, settings: Settings) -> Message:
    """What a worker has to know to train a cell, as JSON."""
    return {
        "cell": cell.to_json(),
        "device": settings.device,
        "data_dir": str(settings.environment.data_dir),
        "download": settings.environment.download,
        "checkpoint": str(settings.checkpoints / f"{cell.key}.safetensors"),
        "checkpoint_seconds": settings.checkpoint_seconds,
        "weights": str(settings.weights[cell.key]) if cell.key in settings.weights else None,
        "state": str(settings.states[cell.key]) if cell.key in settings.states else None,
        "extends": settings.extends[cell.key].to_json() if cell.key in settings.extends else None,
        "measure": settings.measure,
        "memory": settings.memory,
        "imports": list(settings.imports),
    }


def event_of(key: str, message: Message, printed: Callable[[], str] = str) -> Event:
    """What a message of `ablate.executors.training.messages` says.

    Args:
        key: Of the cell.
        message: The message.
        printed: Gives what the worker printed; asked where the cell failed, for its log.
    """
    match message["event"]:
        case "started":
            return CellStarted(key)
        case "epoch":
            return EpochEnded(key, message["record"])
        case "progress":
            return Advanced(key, message["epochs"])
        case "measured":
            return Measured(key, Pace(**message["pace"]))
        case "done":
            return CellEnded(key, "done", Result.from_json(message["result"]))
        case "failed":
            return CellEnded(key, "failed", None, message["error"], f"{message['traceback']}\n{printed()}".strip())
        case "interrupted":
            return CellEnded(key, "interrupted")
        case other:
            raise ValueError(f"no message is called {other!r}")
