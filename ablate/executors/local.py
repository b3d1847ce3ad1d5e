"""The local executor: warm worker processes on this machine; on a GPU one process, in which several cells take turns.

A cell that ran beside others when its process died, or when memory ran out, is not blamed: it runs again, from its checkpoint,
alone in a process. What happens to it then is its own. Neither is a cell that a worker has not begun, unless workers die all the
time.

Each worker has a guard (`guard.py`), which ends with it all that it started. Closing its input ends a worker.
"""

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event as Flag

from ablate.contracts import Cell

from . import CellEnded, CellStarted, Event, Message, Run, Settings, event_of
from .devices import must_have_places
from .workers import Pool, Worker

POLL_SECONDS = 0.5
STOP_SECONDS = 60  # how long a cell may take to save its state
PAUSE_SECONDS = 5  # without a look at the workers: then this process was stopped, and cells get the time back
UNBEGUN = 3  # workers in a row that may die before they begin a cell
LOG_LIMIT = 64_000_000  # bytes after which a worker's log begins anew


@contextmanager
def local(workers: int, /) -> Iterator[Run]:
    """Worker processes on this machine; a crash of one fails its cell and no other."""
    pool = Pool()
    try:
        for _ in range(workers):
            pool.start()
        yield partial(_run, pool)
    finally:
        pool.keep(0)


def _run(pool: Pool, settings: Settings, take: Callable[[], Cell | None], stop: Flag) -> Iterator[Event]:
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


def _hand_out(pool: Pool, settings: Settings, take: Callable[[], Cell | None]) -> Iterator[Event]:
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


def _understand(pool: Pool, settings: Settings, worker: Worker, message: Message | None, stopping: bool) -> Iterator[Event]:
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


def _dead(pool: Pool, worker: Worker, code: int, stopping: bool) -> Iterator[Event]:
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


def _late(pool: Pool, settings: Settings, stopped_at: float | None) -> Iterator[Event]:
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
