"""The progress display, a listener: a bar in a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .hooks import CellInfo, hookimpl
from .records import Result
from .report.console import text
from .report.plain import printable
from .report.tables import duration
from .study import Study

LINE_SECONDS = 15.0  # least time between two plain lines about epochs


class Display:
    """Shows cells, epochs, images a second, and the time that is left.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console):
        self._console = console
        self._bar: Progress | None = None
        self._epochs: dict[str, int] = {}
        self._total = self._cells = self._ended = self._resumed = 0
        self._speed: dict[str, float] = {}
        self._begun = self._last_line = time.monotonic()

    @contextmanager
    def shown(self) -> Iterator["Display"]:
        """Keeps the bar on the screen while the study runs, in a terminal."""
        if not self._console.is_terminal:
            yield self
            return
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self._console, transient=True) as self._bar:
            self._bar.add_task("starting", total=None)
            yield self

    @hookimpl
    def study_start(self, study: str, cells: Sequence[CellInfo], stored: int) -> None:
        if not self._cells:
            self._begun = time.monotonic()
        more = "more " if self._cells and cells else ""
        self._cells, self._total = self._cells + len(cells), self._total + sum(cell.epochs for cell in cells)
        have = f", {stored} stored already" if stored else ""
        self._line(f"{study}: {len(cells)} {more}cells to train{have}")
        self._update()

    @hookimpl
    def cell_start(self, cell: CellInfo) -> None:
        self._epochs[cell.key] = 0

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        if not self._epochs[cell.key]:
            self._resumed += record["epoch"] - 1  # epochs of an earlier sitting
        self._epochs[cell.key] = record["epoch"]
        self._speed[cell.key] = record["images_per_second"]
        self._update()
        if self._bar is None and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._line(f"{_label(cell)}: epoch {record['epoch']} of {cell.epochs}; {self._state()}")

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None, log: str | None) -> None:
        self._speed.pop(cell.key, None)
        if status != "interrupted":
            self._ended += 1
            self._epochs[cell.key] = cell.epochs
        first = next(iter(result.metrics.items()), None) if result else None
        detail = f"{first[0]} {first[1]:.4f}" if first and first[1] is not None else (error or "")
        took = f", {duration(result.seconds)}" if result else ""
        self._update()
        self._line(
            f"[{self._ended}/{self._cells}] {_label(cell)}: {status} {detail}{took}; {self._state()}",
            status == "failed",
        )

    @hookimpl
    def study_end(self, study: Study) -> None:
        self._update()

    def _update(self) -> None:
        if self._bar is not None:
            task = self._bar.tasks[0].id
            self._bar.update(task, total=self._total, completed=sum(self._epochs.values()), description=self._state())

    def _state(self) -> str:
        """Cells, speed, and the time left."""
        finished = sum(self._epochs.values())
        fresh = finished - self._resumed
        parts = [f"{self._ended}/{self._cells} cells"]
        if self._speed:
            parts.append(f"{sum(self._speed.values()):,.0f} images/s")
        if fresh > 0 and finished < self._total:
            parts.append(f"{duration((time.monotonic() - self._begun) / fresh * (self._total - finished))} left")
        return ", ".join(parts)

    def _line(self, message: str, bad: bool = False) -> None:
        self._last_line = time.monotonic()
        self._console.print(text(message, "red" if bad else ""), soft_wrap=True)


def _label(cell: CellInfo) -> str:
    return printable(f"{', '.join(cell.variants)}, seed {cell.seed}")
