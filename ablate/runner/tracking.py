"""What trackers of experiments share: listeners that tell a service, or files, of every cell that is trained.

What is to be told waits in memory until the service has taken it. One that fails or is slow is left alone for a while, so that
it costs a study seconds a minute at most; with the next event after that, and at the end of the study, it hears what it missed.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ablate.contracts import Result
from ablate.plain import printable
from ablate.registry.hooks import CellInfo, hookimpl
from ablate.study import Study

VALUE_LENGTH = 5000  # characters of a text


class End(NamedTuple):
    """How a cell has ended, as `hooks.cell_end` tells it."""

    status: str
    result: Result | None
    error: str | None


@dataclass
class Log:
    """A cell, and what the service has not heard of it.

    Attributes:
        cell: The cell.
        epoch: The last that it is known to have finished; 0 before the first.
        waiting: Records of epochs by their number.
        end: How it has ended, once it has.
        run: What the service knows it by; the service sets it.
        taken: Whether the service has all of it; the service sets it.
    """

    cell: CellInfo
    epoch: int = 0
    waiting: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: End | None = None
    run: Any = None
    taken: bool = False


class Service(Protocol):
    """Where one study is logged. Whatever it raises is reported once, and what it did not take is told again."""

    def tell(self, log: Log) -> None:
        """Takes what waits: a cell that has begun, epochs (which it removes), and the end (then it sets `taken`)."""
        ...

    def conclude(self, study: Study) -> None:
        """Takes what only the whole study tells: what its variants change, and the verdicts."""
        ...


@dataclass(frozen=True)
class Patience:
    """Seconds for a service.

    Attributes:
        event: What it may take after an event, before it is left alone.
        end: The same after the last event.
        pause: How long it is left alone.
    """

    event: float = 10.0
    end: float = 60.0
    pause: float = 60.0

    def check(self, deadline: float) -> None:
        """Raises a TimeoutError where it is later than `deadline`, on the monotonic clock."""
        if time.monotonic() > deadline:
            raise TimeoutError(f"the service is slow: it is left alone for {self.pause:g} s, or until the end of the study")


class Tracker:
    """The listener. `study_start` begins a study or a further round of one, and `study_end` forgets it.

    Args:
        connect: The service for the study of this name, or None where the user does not ask for it.
        patience: With the service.
    """

    def __init__(self, connect: Callable[[str], Service | None], patience: Patience):
        self._connect, self.patience = connect, patience
        self._forget()

    def _forget(self) -> None:
        self._study = ""
        self.service: Service | None = None
        self.logs: dict[str, Log] = {}  # by key, of cells that the service does not know all of
        self._silent_until = 0.0

    @hookimpl
    def study_start(self, study: str) -> None:
        if study != self._study:
            self._forget()
            self.service = self._connect(study)
            self._study = study

    @hookimpl
    def cell_start(self, cell: CellInfo, resumed: tuple[int, int] | None) -> None:
        if self.service:
            self.logs[cell.key] = Log(cell, resumed[0] if resumed else 0)
            self._send(self.service, self.patience.event)

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        if self.service:
            log = self.logs.setdefault(cell.key, Log(cell))
            log.waiting[record["epoch"]] = record
            log.epoch = record["epoch"]
            self._send(self.service, self.patience.event)

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None) -> None:
        if self.service:
            log = self.logs.setdefault(cell.key, Log(cell))
            log.end = End(status, result, error)
            if result and result.epochs:
                log.epoch = result.epochs[-1]["epoch"]
            self._send(self.service, self.patience.event)

    @hookimpl
    def study_end(self, study: Study) -> None:
        try:
            if self.service:
                self._silent_until = 0.0
                self._send(self.service, self.patience.end)
                self.service.conclude(study)
        finally:
            self._forget()

    def _send(self, service: Service, seconds: float) -> None:
        """Tells the service what waits, unless it is left alone.

        Raises:
            Exception: Whatever the service raises; a TimeoutError where it takes longer than it may.
        """
        now = time.monotonic()
        if now < self._silent_until:
            return
        for log in [log for log in self.logs.values() if log.waiting or log.end or log.run is None]:
            try:
                service.tell(log)
                self.patience.check(now + seconds)
            except Exception:
                self._silent_until = time.monotonic() + self.patience.pause
                del self.logs[log.cell.key]  # the others first, next time, should it be this cell that cannot be logged
                self.logs[log.cell.key] = log
                raise
            finally:
                if log.taken:
                    del self.logs[log.cell.key]


def numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's record, without that of the epoch."""
    found = {name: value for name, value in record.items() if name != "epoch" and isinstance(value, (int, float))}
    return {name: value for name, value in found.items() if not isinstance(value, bool)}


def outcome(result: Result) -> dict[str, float]:
    """The numbers of a result."""
    return numbers({"seconds": result.seconds, "parameters": result.parameters, **result.metrics})


def allowed_name(name: str, bad: str, most: int) -> str:
    """The name where a service allows it, else one that is close to it and no other's.

    Args:
        name: The name.
        bad: A regular expression of what the service does not allow; `_` takes its place.
        most: Bytes that the name may have, before a digest is added.
    """
    return told_apart(name, re.sub(bad, "_", name).encode("utf-8", "replace")[:most].decode("utf-8", "ignore"))


def told_apart(name: str, allowed: str) -> str:
    """The name where it is allowed as it is, else what is allowed in its place with a digest of the name."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return name if allowed == name else f"{allowed}-{digest}"


def shown(text: str) -> str:
    """The text without control characters, and not too long."""
    return printable(text)[:VALUE_LENGTH]
