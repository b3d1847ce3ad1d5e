"""How long cells take that run so many at once, and what those that run tell of the rest."""

import heapq
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ablate.registry.hooks import CellInfo


def makespan(running: Sequence[float], waiting: Sequence[float], jobs: int) -> float:
    """Seconds until all cells are done, of which each that waits begins in its order as soon as a place is free.

    Args:
        running: Seconds that each running cell still takes.
        waiting: Seconds that each other takes.
        jobs: Places, of which the running cells have some.
    """
    free = [*running, *[0.0] * (jobs - len(running))]
    heapq.heapify(free)
    for seconds in waiting:
        heapq.heappush(free, heapq.heappop(free) + seconds)
    return max(free, default=0.0)


@dataclass
class _Course:
    """How a cell goes that runs.

    Attributes:
        cell: The cell.
        begun: When it was begun, and with how many epochs that an earlier sitting had done.
        first: When it first told how far it was, and how far: what comes before the first batch is over then.
        last: The same, when it last told.
    """

    cell: CellInfo
    begun: tuple[float, float]
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None

    @property
    def an_epoch(self) -> float | None:
        """Seconds; None where nothing tells yet."""
        if self.first is None or self.last is None:
            return None
        start = self.first if self.last[1] > self.first[1] else self.begun
        return (self.last[0] - start[0]) / (self.last[1] - start[1]) if self.last[1] > start[1] else None

    @property
    def whole(self) -> float | None:
        """Seconds of such a cell from its beginning to its end; None where nothing tells yet."""
        if self.cell.epochs is None or self.first is None or self.an_epoch is None:
            return None
        return self.first[0] - self.begun[0] + self.an_epoch * (self.cell.epochs - (self.first[1] - self.begun[1]))

    def left(self, now: float, whole: float | None) -> float | None:
        """Seconds until its end; by what such cells take, where nothing else tells."""
        if self.cell.epochs is not None and self.last is not None and self.an_epoch is not None:
            return max(0.0, self.an_epoch * (self.cell.epochs - self.last[1]) - (now - self.last[0]))
        if whole is None:
            return None
        return max(0.0, whole * (1 - self.begun[1] / (self.cell.epochs or 1)) - (now - self.begun[0]))


class Remaining:
    """The time that is left of a run, from how its cells go.

    Cells of other variants take other times, so each is taken to be like those of its own variant, as soon as there are any, and
    like all others before. Of a finished cell its whole time counts, of a running one what its epochs tell so far.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, CellInfo] = {}
        self._running: dict[str, _Course] = {}
        self._took: dict[tuple[str, ...], list[float]] = {}
        self._places = 1

    def add(self, cells: Iterable[CellInfo]) -> None:
        self._waiting |= {cell.key: cell for cell in cells}

    def begin(self, cell: CellInfo, epochs: float) -> None:
        """A cell begins, of which so many epochs were done before."""
        self._waiting.pop(cell.key, None)
        self._running[cell.key] = _Course(cell, (time.monotonic(), epochs))
        self._places = max(self._places, len(self._running))

    def advance(self, cell: CellInfo, epochs: float) -> None:
        course, now = self._running.get(cell.key), (time.monotonic(), epochs)
        if course is None:
            return
        if course.first is None:
            if epochs > course.begun[1] + 1:  # of a sitting that nobody told of
                course.begun = course.begun[0], math.ceil(epochs) - 1
            course.first = now
        course.last = now

    def end(self, cell: CellInfo, done: bool) -> None:
        """A cell has ended, with a result or without."""
        course = self._running.pop(cell.key, None)
        if course is not None and done and not course.begun[1]:
            self._took.setdefault(cell.variants, []).append(time.monotonic() - course.begun[0])

    def seconds(self) -> float | None:
        """Until the last cell ends; None where nothing tells yet."""
        now, wholes = time.monotonic(), {variants: list(took) for variants, took in self._took.items()}
        for course in self._running.values():
            if course.cell.variants not in self._took and course.whole is not None:
                wholes.setdefault(course.cell.variants, []).append(course.whole)
        if not wholes:
            return None
        like = {variants: fmean(took) for variants, took in wholes.items()}
        others = fmean(like.values())
        running = [course.left(now, like.get(course.cell.variants, others)) for course in self._running.values()]
        waiting = [like.get(cell.variants, others) for cell in self._waiting.values()]
        return makespan([left or 0.0 for left in running], waiting, self._places)
