"""The local executor: warm worker processes on this machine; on a GPU one process, in which several cells take turns.

A cell that ran beside others when its process died, or when memory ran out, is not blamed: it runs again, from its checkpoint,
alone in a process. What happens to it then is its own. Neither is a cell that a worker has not begun, unless workers die all the
time.

Each worker has a guard (`guard.py`), which ends with it all that it started. Closing its input ends a worker.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import IO, Any

from ablate.contracts import Cell

from . import KEEP_MEMORY, CellEnded, CellStarted, Event, Message, Run, Settings, event_of, order
from .devices import must_have_places, next_place, seen_from

POLL_SECONDS = 0.5
STOP_SECONDS = 60  # how long a cell may take to save its state
END_SECONDS = 10  # how long a worker may take to end
PAUSE_SECONDS = 5  # without a look at the workers: then this process was stopped, and cells get the time back
UNBEGUN = 3  # workers in a row that may die before they begin a cell
LOG_BYTES = 64_000  # of what a worker printed that are kept for a cell that failed
LOG_LIMIT = 64_000_000  # bytes after which a worker's log begins anew


@dataclass
class Training:
    """A cell that a worker trains, until when it may take, where its part of the worker's log begins, and whether it is begun."""

    cell: Cell
    deadline: float
    log_start: int
    begun: bool = False


@dataclass
class Worker:
    """A process, and the cells that it trains.

    Attributes:
        process: Its guard, or on Windows itself.
        log: What it prints; a file without a name, so that nothing is left of it.
        garbled: What came from it that is no message; empty while there is nothing.
        room: Whether it may get another cell beside those that it has.
        alone: Whether its cell must have no other beside it.
        place: The GPUs that it has; None where they are not shared out.
    """

    process: subprocess.Popen[str]
    log: IO[bytes]
    ready: bool = False
    garbled: str = ""
    room: bool = True
    alone: bool = False
    place: str | None = None
    trainings: dict[str, Training] = field(default_factory=dict)

    def end(self) -> None:
        """Ends the process and all that it started, without waiting."""
        assert self.process.stdin is not None  # noqa: S101, for the type checker
        with suppress(BrokenPipeError):  # a message that was not sent any more
            self.process.stdin.close()
        if os.name != "posix":  # it has no guard
            self.process.kill()

    def log_size(self) -> int:
        return os.fstat(self.log.fileno()).st_size

    def forget_log(self) -> None:
        """Begins the log anew; the worker has the same place in the file."""
        os.ftruncate(self.log.fileno(), 0)
        self.log.seek(0)
        for training in self.trainings.values():
            training.log_start = 0

    def log_of(self, training: Training) -> str:
        """What the worker printed during a training, the last of it."""
        size = self.log_size()
        begin = max(training.log_start, size - LOG_BYTES)
        if hasattr(os, "pread"):
            printed = os.pread(self.log.fileno(), size - begin, begin)
        else:  # on Windows reading moves the place where the worker writes, so it is put back
            self.log.seek(begin)
            printed = self.log.read(size - begin)
        return printed.decode(errors="replace").strip()


@dataclass
class _Pool:
    """The workers of one run.

    Attributes:
        inbox: What workers say: (worker, message), or (worker, None) where its output has ended.
        workers: Those that are alive.
        again: Cells that have to run alone.
        unbegun: Workers in a row that died before they began their cell.
    """

    inbox: "queue.Queue[tuple[Worker, Message | None]]" = field(default_factory=queue.Queue)
    workers: list[Worker] = field(default_factory=list)
    again: list[Cell] = field(default_factory=list)
    unbegun: int = 0

    def start(self) -> Worker:
        environment = {
            **KEEP_MEMORY,
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "ABLATE_OUTER_PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }
        guard = [sys.executable, "-IS", str(Path(__file__).with_name("guard.py"))] if os.name == "posix" else []
        log = tempfile.TemporaryFile()  # noqa: SIM115  open as long as the worker is known
        process = subprocess.Popen(  # noqa: S603
            [*guard, sys.executable, "-m", "ablate.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            errors="replace",
            env=environment,
        )
        worker = Worker(process, log)
        self.workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: Worker) -> None:
        assert worker.process.stdout is not None  # noqa: S101, for the type checker
        for line in worker.process.stdout:
            message = _parse(line)
            if message is None:
                worker.garbled = line[:80]
                worker.end()
                break
            self.inbox.put((worker, message))
        self.inbox.put((worker, None))

    def give(self, worker: Worker, cell: Cell, settings: Settings, alone: bool = False) -> None:
        if not worker.trainings:
            worker.forget_log()
        worker.trainings[cell.key] = Training(cell, float("inf"), worker.log_size())
        worker.room, worker.alone = False, alone
        self.set_deadlines(worker, settings)
        worker.place = worker.place or next_place(settings.places, [other.place for other in self.workers])
        self.send(worker, do="train", **(order(cell, settings) | seen_from(worker.place)))

    def set_deadlines(self, worker: Worker, settings: Settings) -> None:
        """A cell's time runs from when its worker has started."""
        for training in worker.trainings.values():
            if worker.ready and settings.timeout and training.deadline == float("inf"):
                training.deadline = time.monotonic() + settings.timeout

    def send(self, worker: Worker, **message: Any) -> None:
        assert worker.process.stdin is not None  # noqa: S101, for the type checker
        text = json.dumps(message) + "\n"
        try:
            worker.process.stdin.write(text)
            worker.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return  # it has died or was ended, and the end of its output says so

    def postpone(self, seconds: float) -> None:
        """Gives cells the time back in which this process was stopped."""
        for worker in self.workers:
            for training in worker.trainings.values():
                training.deadline += seconds

    def keep(self, count: int) -> None:
        """Ends all workers but so many."""
        spare, self.workers = self.workers[count:], self.workers[:count]
        for worker in spare:
            worker.end()
        for worker in spare:
            try:
                worker.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.process.kill()


def _parse(line: str) -> dict[str, Any] | None:
    """A worker's message; None where it is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "event" in message else None


@contextmanager
def local(workers: int, /) -> Iterator[Run]:
    """Worker processes on this machine; a crash of one fails its cell and no other."""
    pool = _Pool()
    try:
        for _ in range(workers):
            pool.start()
        yield partial(_run, pool)
    finally:
        pool.keep(0)


def _run(pool: _Pool, settings: Settings, take: Callable[[], Cell | None], stop: Flag) -> Iterator[Event]:
    must_have_places(settings)
    pool.keep(-(-settings.jobs // settings.slots))
    stopped_at: float | None = None
    looked = time.monotonic()
    while True:
        if stop.is_set() and stopped_at is None:
            stopped_at = time.monotonic()
            yield from (CellEnded(cell.key, "interrupted") for cell in pool.again)
            pool.again.clear()
            for worker in pool.workers:
                pool.send(worker, do="stop")
        if stopped_at is None:
            yield from _hand_out(pool, settings, take)
        if not any(worker.trainings for worker in pool.workers):
            return
        try:
            worker, message = pool.inbox.get(timeout=POLL_SECONDS)
            yield from _understand(pool, settings, worker, message, stop.is_set())
        except queue.Empty:
            pass
        if (pause := time.monotonic() - looked) > PAUSE_SECONDS:  # wherever in this round it was
            pool.postpone(pause)
            stopped_at = stopped_at and stopped_at + pause
        looked = time.monotonic()
        yield from _late(pool, settings, stopped_at)


def _hand_out(pool: _Pool, settings: Settings, take: Callable[[], Cell | None]) -> Iterator[Event]:
    """Gives cells to the workers that have room; workers are started where they are missing."""
    while True:
        idle = next((worker for worker in pool.workers if not worker.trainings), None)
        if idle is None and len(pool.workers) * settings.slots < settings.jobs:
            idle = pool.start()
        if idle and pool.again:
            pool.give(idle, pool.again.pop(), settings, alone=True)
            continue
        free = idle or next((w for w in pool.workers if _takes_more(w, settings)), None)
        cell = take() if free and not pool.again else None
        if free is None or cell is None:
            return
        pool.give(free, cell, settings)
        yield CellStarted(cell.key)


def _takes_more(worker: Worker, settings: Settings) -> bool:
    return worker.room and not worker.alone and len(worker.trainings) < settings.slots


def _understand(pool: _Pool, settings: Settings, worker: Worker, message: Message | None, stopping: bool) -> Iterator[Event]:
    if message is None:
        yield from _dead(pool, worker, worker.process.wait(), stopping)
        return
    if message["event"] == "ready":
        worker.ready = True
        pool.set_deadlines(worker, settings)
    if message["event"] == "room":
        worker.room = True
    training = worker.trainings.get(message.get("key", ""))
    if training is None:
        return
    event = event_of(training.cell.key, message, partial(worker.log_of, training))
    if isinstance(event, CellStarted):  # the driver heard it when the cell was given
        training.begun, pool.unbegun = True, 0
        return
    if isinstance(event, CellEnded):
        alone = len(worker.trainings) == 1
        del worker.trainings[event.key]
        worker.room = True
        if message.get("memory") and not alone:
            pool.again.append(training.cell)
            return
    yield event


def _dead(pool: _Pool, worker: Worker, code: int, stopping: bool) -> Iterator[Event]:
    """A worker has ended by itself: its cell failed, or its cells are tried again one by one."""
    if worker in pool.workers:
        pool.workers.remove(worker)
    trainings, worker.trainings = worker.trainings, {}
    pool.unbegun += any(not training.begun for training in trainings.values())
    for key, training in trainings.items():
        if stopping:
            yield CellEnded(key, "interrupted")
        elif len(trainings) > 1 or (not training.begun and pool.unbegun <= UNBEGUN):
            pool.again.append(training.cell)
        else:
            yield CellEnded(key, "failed", None, f"its worker process {_how(worker, code)}", worker.log_of(training))


def _how(worker: Worker, code: int) -> str:
    if worker.garbled:
        return f"wrote what is no message into the stream that belongs to ablate: {worker.garbled!r}."
    if code == -9:
        return "was killed by signal 9. That is often the system's answer to too little memory: use fewer --jobs."
    return f"was killed by signal {-code}." if code < 0 else f"ended with code {code}."


def _late(pool: _Pool, settings: Settings, stopped_at: float | None) -> Iterator[Event]:
    """Ends cells that take longer than they may, and workers that do not stop when they should."""
    now = time.monotonic()
    for worker in list(pool.workers):
        if worker.log_size() > LOG_LIMIT:
            worker.forget_log()
        late = stopped_at is not None and now > stopped_at + STOP_SECONDS
        if not worker.trainings or not (late or any(now > training.deadline for training in worker.trainings.values())):
            continue
        worker.end()
        pool.workers.remove(worker)
        trainings, worker.trainings = worker.trainings, {}
        for key, training in trainings.items():
            if now > training.deadline:
                error = f"it took longer than the timeout of {settings.timeout:g} seconds"
                yield CellEnded(key, "failed", None, error, worker.log_of(training))
            elif stopped_at is None:
                pool.again.append(training.cell)
            else:
                yield CellEnded(key, "interrupted")
