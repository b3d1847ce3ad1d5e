"""How long a training takes, from a few seconds of it."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import torch

from ablate.contracts import Cell, Environment
from ablate.registry import Registry
from ablate.spec.trainer import Controls, Pace

from . import data
from .build import batches_of
from .cell_training import CellTraining
from .deterministic import turn_of
from .train import use_threads

WARM = 4  # batches of a first training, in which a process makes what it has once; three are eager before a graph is made
PIECES = 6  # that the measured batches are cut into, for the range
LEAST = 0.1  # by which both ends of the range are apart from the middle: a machine is not equally busy all the time
IMAGES = 256  # evaluated ones, at least
LONGEST = 3  # times the wished time, that large batches may take

Turn = Callable[[], AbstractContextManager[None]]


@dataclass
class Clock:
    """Seconds of what a training did.

    Attributes:
        first: Each batch with which a chunk begins, with the transforms of the chunk.
        pieces: Of the other batches, some in a row: how many, and seconds.
        evaluations: Each evaluation.
    """

    first: list[float] = field(default_factory=list)
    pieces: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[float] = field(default_factory=list)

    @property
    def batches(self) -> int:
        return len(self.first) + sum(count for count, _ in self.pieces)

    @property
    def other(self) -> float:
        """Of a batch with which no chunk begins."""
        count = sum(count for count, _ in self.pieces)
        return sum(took for _, took in self.pieces) / count if count else fmean(self.first)


def pace(
    registry: Registry, cell: Cell, environment: Environment, device: torch.device, seconds: float
) -> Generator[None, None, Pace]:
    """Trains a cell for about so many seconds of batches, and says how long all of it takes.

    Two trainings begin. The first is not counted: in it, the process makes what it makes once.

    Yields:
        After each batch, so that several may take turns.

    Raises:
        AblateError: Data is missing or damaged.
    """
    use_threads(cell.recipe["threads"])
    started = time.monotonic()
    tensors = data.load(registry, cell.recipe, cell.seed, environment, device, cell.identity.get("data"))
    turn: Turn = turn_of(cell.recipe, device)
    with turn():
        warm = CellTraining(registry, cell, tensors, device).fit(_alone())
    built = time.monotonic()
    for _ in range(WARM):
        with turn():
            next(warm, None)
        yield
        if time.monotonic() - built > seconds:
            break
    del warm
    again = time.monotonic()
    with turn():
        run = CellTraining(registry, cell, tensors, device)
    setup = time.monotonic() - again
    clock = Clock()
    yield from _timed(run, turn, clock, seconds)
    measured = f"{clock.batches:,} batches"
    if not clock.evaluations:
        with turn():
            count, took = _evaluation(run, clock.other, seconds)
        clock.evaluations.append(took)
        measured += f" and {count:,} evaluated images"
    return whole_of(run, clock, setup, Pace(0, 0, 0, max(0.0, built - started - setup), time.monotonic() - started, measured))


def _alone() -> Controls:
    return Controls(Path(), float("inf"))


def _timed(run: CellTraining, turn: Turn, clock: Clock, seconds: float) -> Iterator[None]:
    """Notes how long batches and evaluations take, until the time is over, or the training."""
    steps, per_chunk = run.fit(_alone()), max(1, run.chunk // run.recipe["batch_size"])
    begun = started = time.monotonic()
    count = 0

    def lap() -> float:
        nonlocal started, count
        if run.device.type == "cuda":
            torch.cuda.current_stream(run.device).synchronize()
        before, started, count = started, time.monotonic(), 0
        return started - before

    while True:
        with turn():
            first = run.at.batch % per_chunk == 0
            if first and count:
                clock.pieces.append((count, lap()))
            try:
                record = next(steps)
            except StopIteration:
                return
            if record is not None:
                took = lap()
                if any(name in record for name in run.recipe["metrics"]):
                    clock.evaluations.append(took)
            elif first:
                clock.first.append(lap())
            else:
                count += 1
                if run.at.batch == batches_of(run.recipe, run.seen) or time.monotonic() - started > seconds / PIECES:
                    clock.pieces.append((count, lap()))
        spent = time.monotonic() - begun
        if spent > seconds and (clock.pieces or spent > LONGEST * seconds):
            return
        yield


def _evaluation(run: CellTraining, batch: float, seconds: float) -> tuple[int, float]:
    """How many images were evaluated, about as many as the time allows, and the seconds that all of them take."""
    part = run.evaluation
    count = min(len(part.labels), max(IMAGES, int(run.recipe["batch_size"] * seconds / batch)))
    images = part.images[:count] if isinstance(part.images, torch.Tensor) else part.images
    few = replace(part, images=images, labels=part.labels[:count])
    run.evaluate(few, 0.0)
    started = time.monotonic()
    run.evaluate(few, 0.0)
    return count, (time.monotonic() - started) * len(part.labels) / count


def whole_of(run: CellTraining, clock: Clock, setup: float, so_far: Pace) -> Pace:
    """The pace with what the clock says of the whole training."""
    recipe, batches = run.recipe, batches_of(run.recipe, run.seen)
    chunks = -(-batches // max(1, run.chunk // recipe["batch_size"]))
    epoch = chunks * fmean(clock.first) + (batches - chunks) * clock.other
    evaluations = float(-(-recipe["epochs"] // recipe["eval_every"]))
    if recipe["select"] is not None:
        evaluations += len(run.test.labels) / len(run.evaluation.labels)
    evaluation = fmean(clock.evaluations)
    whole = setup + recipe["epochs"] * epoch + evaluations * evaluation
    rates = [took / count / clock.other for count, took in clock.pieces] if clock.other else []
    low, high = (whole * bound for bound in (min([1 - LEAST, *rates]), max([1 + LEAST, *rates])))
    if run.own is not None and hasattr(run.own.step, "stop"):
        low = min(low, setup + epoch + evaluation)  # it may end the training after any epoch
    return replace(so_far, seconds=whole, low=low, high=high)
