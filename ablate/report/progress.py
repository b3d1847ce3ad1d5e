"""The progress display, a listener: a bar in a terminal, one output that changes in a notebook, plain lines elsewhere."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ablate.contracts import Result
from ablate.plain import printable
from ablate.registry.hooks import CellInfo, hookimpl
from ablate.study import Study

from .console import err, say
from .content import cells_done
from .remaining import Remaining
from .tables import duration

LINE_SECONDS = 15.0  # least time between two plain lines about epochs


class View(Protocol):
    """Where progress is shown."""

    def line(self, message: str, style: str = "", state: str = "") -> None:
        """Something has happened; it has a style where the user should know it afterwards too."""
        ...

    def update(self, done: float, total: int, state: str, latest: str) -> None:
        """So many epochs of all are done; `state` is how far it is in words, `latest` is where the last cell is that told it."""
        ...

    def end(self, message: str) -> None:
        """The run has ended, with a sentence that stays."""
        ...


class Lines:
    """A line for each cell, and now and then one for an epoch: for files and pipes."""

    def __init__(self, console: Console):
        self._console = console
        self._last = time.monotonic()

    def line(self, message: str, style: str = "", state: str = "") -> None:
        self._last = time.monotonic()
        say(self._console, f"{message}; {state}" if state else message, style)

    def update(self, done: float, total: int, state: str, latest: str) -> None:
        if latest and time.monotonic() - self._last >= LINE_SECONDS:
            self.line(latest, state=state)

    def end(self, message: str) -> None:
        """The last line has said it."""


class Bar:
    """A bar at the bottom of a terminal, below a line for each cell."""

    def __init__(self, console: Console, progress: Progress):
        self._console, self._progress = console, progress
        self._task = progress.add_task("starting", total=None)

    def line(self, message: str, style: str = "", state: str = "") -> None:
        say(self._console, message, style)

    def update(self, done: float, total: int, state: str, latest: str) -> None:
        self._progress.update(self._task, total=total, completed=done, description=state)

    def end(self, message: str) -> None:
        """The bar goes, and the last line has said it."""


@contextmanager
def display(console: Console = err) -> "Iterator[Display]":
    """A display for one run; it is to be told of the run as a listener."""
    if console.is_jupyter:
        from .notebook import Output

        with Output() as output:
            yield Display(output)
    elif console.is_terminal:
        numbers = (MofNCompleteColumn(), TextColumn("epochs"), TimeElapsedColumn()) if console.width >= 80 else ()
        bar = BarColumn(40 if numbers else 20)
        with Progress(bar, *numbers, TextColumn("{task.description}"), console=console, transient=True) as progress:
            yield Display(Bar(console, progress))
    else:
        yield Display(Lines(console))


class Display:
    """Counts cells, epochs, images a second, and the time that is left.

    Args:
        view: Where they are shown.
    """

    def __init__(self, view: View):
        self._view = view
        self._epochs: dict[str, float] = {}
        self._total = self._cells = self._ended = 0
        self._remaining = Remaining()
        self._speed: dict[str, float] = {}
        self._begun = time.monotonic()

    @hookimpl
    def study_start(self, study: str, cells: Sequence[CellInfo], stored: int) -> None:
        if not self._cells:
            self._begun = time.monotonic()
        more = "more " if self._cells and cells else ""
        self._cells, self._total = self._cells + len(cells), self._total + sum(_length(cell) for cell in cells)
        self._remaining.add(cells)
        have = f", {stored} stored already" if stored else ""
        self._view.line(f"{study}: {len(cells)} {more}cells to train{have}")
        self._update()

    @hookimpl
    def cell_start(self, cell: CellInfo, resumed: tuple[int, int] | None) -> None:
        epochs, batches = resumed or (0, 0)
        self._epochs[cell.key] = epochs if cell.epochs else 0
        self._remaining.begin(cell, self._epochs[cell.key])
        if resumed:
            parts = [_place(cell, epochs)] * (epochs > 0) + [f"batch {batches} of epoch {epochs + 1}"] * (batches > 0)
            self._view.line(f"{_label(cell)}: resumes after {' and '.join(parts) or 'its first steps'}")

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        self._advance(cell, record["epoch"])
        if "images_per_second" in record:
            self._speed[cell.key] = record["images_per_second"]
        self._update(f"{_label(cell)}: {_place(cell, record['epoch'])}")

    @hookimpl
    def cell_progress(self, cell: CellInfo, epochs: float) -> None:
        self._advance(cell, epochs)
        self._update(f"{_label(cell)}: {_place(cell, math.floor(epochs) + 1)}, {math.floor(epochs % 1 * 100)} % of it")

    def _advance(self, cell: CellInfo, epochs: float) -> None:
        self._epochs[cell.key] = epochs if cell.epochs else 0
        self._remaining.advance(cell, epochs)

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None, log: str | None) -> None:
        self._speed.pop(cell.key, None)
        self._remaining.end(cell, result.seconds if result else None)
        if status != "interrupted":
            self._ended += 1
            self._epochs[cell.key] = _length(cell)
        detail = _outcome(result) if result else (error or "")
        took = f", {duration(result.seconds)}" if result else ""
        self._update()
        message = f"[{self._ended}/{self._cells}] {_label(cell)}: {f'{status} {detail}'.rstrip()}{took}"
        self._view.line(message, "red" if status == "failed" else "", self._state())

    @hookimpl
    def study_end(self, study: Study) -> None:
        now = f"; {self._ended} run in {duration(time.monotonic() - self._begun)}" if self._ended else ""
        self._view.end(f"{study.name}: {cells_done(study)} cells done{now}")

    def _update(self, latest: str = "") -> None:
        self._view.update(sum(self._epochs.values()), self._total, self._state(), latest)

    def _state(self) -> str:
        """Cells, speed, and the time left."""
        parts = [f"{self._ended}/{self._cells} cells"]
        if self._speed:
            parts.append(f"{sum(self._speed.values()):,.0f} images/s")
        if self._ended < self._cells and (left := self._remaining.seconds()) is not None:
            parts.append(f"{duration(left)} left")
        return ", ".join(parts)


def _outcome(result: Result) -> str:
    """The first metric, or why there is none."""
    if lost := next((record for record in result.epochs if "diverged" in record), None):
        return f"diverged in epoch {lost['epoch']}, {lost['diverged']}"
    name, value = next(iter(result.metrics.items()), ("", None))
    return f"{name} {value:.4f}" if value is not None else f"{name} has no value" if name else ""


def _length(cell: CellInfo) -> int:
    """How much of the whole a cell is; one that does not know its length is a step by itself."""
    return cell.epochs or 1


def _place(cell: CellInfo, epoch: int) -> str:
    return f"epoch {epoch} of {cell.epochs}" if cell.epochs else f"epoch {epoch}"


def _label(cell: CellInfo) -> str:
    return printable(f"{', '.join(cell.variants)}, seed {cell.seed}")
