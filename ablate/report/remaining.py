"""How long cells take that run so many at once, and what those that run tell of the rest."""

import heapq
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ablate.registry.hooks import CellInfo

LEAST_HALF = 60.0  # seconds, by which a finished cell is older that counts half; more in long runs


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
        fresh: Whether its worker may have to start first, which takes seconds that no other cell has.
        first: When it first told how far it was, and how far.
        last: The same, when it last told.
    """

    cell: CellInfo
    begun: tuple[float, float]
    fresh: bool
    first: tuple[float, float] | None = None
    last: tuple[float, float] | None = None

    @property
    def an_epoch(self) -> float | None:
        """Seconds; None where nothing tells yet."""
        start = self.first if self.fresh or self.last != self.first else self.begun
        if start is None or self.last is None or self.last[1] <= start[1]:
            return None
        return (self.last[0] - start[0]) / (self.last[1] - start[1])

    @property
    def whole(self) -> float | None:
        """Seconds of the training of such a cell; None where nothing tells yet."""
        return None if self.cell.epochs is None or self.an_epoch is None else self.an_epoch * self.cell.epochs

    def left(self, now: float, whole: float, start: float) -> float:
        """Seconds until its end; by what such cells take, and workers to start, where it tells nothing itself."""
        if self.cell.epochs is not None and self.last is not None and self.an_epoch is not None:
            return max(0.0, self.an_epoch * (self.cell.epochs - self.last[1]) - (now - self.last[0]))
        since = self.begun[0] + start if self.fresh else self.begun[0]
        return max(0.0, whole * (1 - self.begun[1] / (self.cell.epochs or 1)) - max(0.0, now - since))


class Remaining:
    """The time that is left of a run, from how its cells go.

    Cells of other variants take other times, so each is taken to be like those of its own variant, as soon as there are any, and
    like all others before. Of a finished cell the time of its training counts, and what lies between one cell and the next; of a
    running one what its epochs tell so far. What workers take to start is over when there is anything to tell. Cells of long ago
    count less, because a machine is not equally busy all the time.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, CellInfo] = {}
        self._running: dict[str, _Course] = {}
        self._took: dict[tuple[str, ...], list[tuple[float, float]]] = {}  # when cells ended, and seconds of their trainings
        self._between: list[tuple[float, float]] = []  # when they ended, and what they took beside their training
        self._places, self._started, self._start = 1, math.inf, 0.0  # the last: what a worker takes to start

    def add(self, cells: Iterable[CellInfo]) -> None:
        self._waiting |= {cell.key: cell for cell in cells}

    def begin(self, cell: CellInfo, epochs: float) -> None:
        """A cell begins, of which so many epochs were done before."""
        now = time.monotonic()
        self._waiting.pop(cell.key, None)
        self._running[cell.key] = _Course(cell, (now, epochs), fresh=len(self._running) >= self._places or not self._took)
        self._places, self._started = max(self._places, len(self._running)), min(self._started, now)

    def advance(self, cell: CellInfo, epochs: float) -> None:
        course, now = self._running.get(cell.key), (time.monotonic(), epochs)
        if course is None:
            return
        if course.first is None:
            if epochs > course.begun[1] + 1:  # of a sitting that nobody told of
                course.begun = course.begun[0], math.ceil(epochs) - 1
            course.first = now
        course.last = now

    def end(self, cell: CellInfo, seconds: float | None) -> None:
        """A cell has ended, with a result whose training took so many seconds in all sittings, or without one."""
        course, now = self._running.pop(cell.key, None), time.monotonic()
        if seconds is None:
            return
        self._took.setdefault(cell.variants, []).append((now, seconds))
        if course is None or course.begun[1]:
            return
        beside = max(0.0, now - course.begun[0] - seconds)
        if course.fresh:
            self._start = max(self._start, beside)
        else:
            self._between.append((now, beside))

    def seconds(self) -> float | None:
        """Until the last cell ends; None where nothing tells yet."""
        now = time.monotonic()
        by_variants: dict[tuple[str, ...], list[float]] = {}
        for course in self._running.values():
            if course.whole is not None:
                by_variants.setdefault(course.cell.variants, []).append(course.whole)
        half = max(LEAST_HALF, (now - self._started) / 4)
        like = {variants: fmean(wholes) for variants, wholes in by_variants.items()}
        like |= {variants: _mean(took, half) for variants, took in self._took.items()}
        if not like:
            return None
        between, others = _mean(self._between, half), fmean(like.values())
        running = [c.left(now, like.get(c.cell.variants, others), self._start) for c in self._running.values()]
        waiting = [like.get(cell.variants, others) + between for cell in self._waiting.values()]
        return makespan(running, waiting, self._places)


def _mean(told: Sequence[tuple[float, float]], half: float) -> float:
    """The mean of what was told at some times, where what is older by so many seconds counts half; 0 of nothing."""
    weights = [0.5 ** ((told[-1][0] - at) / half) for at, _ in told]
    return sum(weight * seconds for weight, (_, seconds) in zip(weights, told, strict=True)) / sum(weights) if told else 0.0
