"""The local executor: warm worker processes on this machine; on a GPU one process, in which several cells take turns.

A cell that ran beside others when its process died, or when memory ran out, is not blamed: it runs again, from its checkpoint,
alone in a process. What happens to it then is its own.
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
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import Any

from ablate.records import Cell, Result

from . import CellEnded, CellStarted, EpochEnded, Event, Run, Settings

POLL_SECONDS = 0.5
STOP_SECONDS = 60  # how long a cell may take to save its state
LOG_BYTES = 64_000


@dataclass
class Training:
    """A cell that a worker trains, until when it may take, and where its part of the worker's log begins."""

    cell: Cell
    deadline: float
    log_start: int


@dataclass
class Worker:
    """A process, and the cells that it trains.

    Attributes:
        room: Whether it may get another cell beside those that it has.
        alone: Whether its cell must have no other beside it.
    """

    process: subprocess.Popen[str]
    log: Path
    ready: bool = False
    room: bool = True
    alone: bool = False
    trainings: dict[str, Training] = field(default_factory=dict)


@dataclass
class _Pool:
    """The workers of one run.

    Attributes:
        directory: For the workers' logs.
        inbox: What workers say: (worker, message), or (worker, None) where its output has ended.
        workers: Those that are alive.
        again: Cells that have to run alone.
    """

    directory: Path
    inbox: "queue.Queue[tuple[Worker, dict[str, Any] | None]]" = field(default_factory=queue.Queue)
    workers: list[Worker] = field(default_factory=list)
    again: list[Cell] = field(default_factory=list)

    def start(self) -> Worker:
        descriptor, name = tempfile.mkstemp(suffix=".log", dir=self.directory)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with os.fdopen(descriptor, "w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ablate.executors.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        worker = Worker(process, Path(name))
        self.workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()
        return worker

    def _listen(self, worker: Worker) -> None:
        assert worker.process.stdout is not None  # noqa: S101, for the type checker
        for line in worker.process.stdout:
            self.inbox.put((worker, json.loads(line)))
        self.inbox.put((worker, None))

    def give(self, worker: Worker, cell: Cell, settings: Settings, alone: bool = False) -> None:
        worker.trainings[cell.key] = Training(cell, float("inf"), worker.log.stat().st_size)
        worker.room, worker.alone = False, alone
        self.set_deadlines(worker, settings)
        self.send(
            worker,
            do="train",
            cell=cell.to_json(),
            device=settings.device,
            data_dir=str(settings.environment.data_dir),
            download=settings.environment.download,
            checkpoints=str(settings.checkpoints),
            checkpoint_seconds=settings.checkpoint_seconds,
        )

    def set_deadlines(self, worker: Worker, settings: Settings) -> None:
        """A cell's time runs from when its worker has started."""
        for training in worker.trainings.values():
            if worker.ready and settings.timeout and training.deadline == float("inf"):
                training.deadline = time.monotonic() + settings.timeout

    def send(self, worker: Worker, **message: Any) -> None:
        assert worker.process.stdin is not None  # noqa: S101, for the type checker
        try:
            worker.process.stdin.write(json.dumps(message) + "\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            return  # it has died, and the end of its output says so

    def log_of(self, worker: Worker, training: Training) -> str:
        """What the worker printed during a training, the last of it."""
        with worker.log.open("rb") as file:
            file.seek(max(training.log_start, worker.log.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace").strip()

    def keep(self, count: int) -> None:
        """Ends all workers but so many."""
        spare, self.workers = self.workers[count:], self.workers[:count]
        for worker in spare:
            worker.process.kill()
        for worker in spare:
            worker.process.wait()


@contextmanager
def local(workers: int, /) -> Iterator[Run]:
    """Worker processes on this machine; a crash of one fails its cell and no other."""
    with tempfile.TemporaryDirectory(prefix="ablate-") as directory:
        pool = _Pool(Path(directory))
        try:
            for _ in range(workers):
                pool.start()
            yield partial(_run, pool)
        finally:
            pool.keep(0)


def _run(pool: _Pool, settings: Settings, take: Callable[[], Cell | None], stop: Flag) -> Iterator[Event]:
    pool.keep(-(-settings.jobs // settings.slots))
    stopped_at: float | None = None
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
            yield from _understand(pool, settings, worker, message, stopped_at is not None)
        except queue.Empty:
            pass
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


def _understand(
    pool: _Pool, settings: Settings, worker: Worker, message: dict[str, Any] | None, stopping: bool
) -> Iterator[Event]:
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
    key = training.cell.key
    if message["event"] == "epoch":
        yield EpochEnded(key, message["record"])
        return
    alone = len(worker.trainings) == 1
    del worker.trainings[key]
    worker.room = True
    if message["event"] == "done":
        yield CellEnded(key, "done", Result.from_json(message["result"]))
    elif message["event"] == "interrupted":
        yield CellEnded(key, "interrupted")
    elif message["event"] == "memory" and not alone:
        pool.again.append(training.cell)
    else:
        log = f"{message['traceback']}\n{pool.log_of(worker, training)}".strip()
        yield CellEnded(key, "failed", None, message["error"], log)


def _dead(pool: _Pool, worker: Worker, code: int, stopping: bool) -> Iterator[Event]:
    """A worker has ended by itself: its cell failed, or its cells are tried again one by one."""
    if worker in pool.workers:
        pool.workers.remove(worker)
    trainings, worker.trainings = worker.trainings, {}
    for key, training in trainings.items():
        if stopping:
            yield CellEnded(key, "interrupted")
        elif len(trainings) > 1:
            pool.again.append(training.cell)
        else:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            hint = " Signal 9 is often the system's answer to too little memory: use fewer --jobs." if code == -9 else ""
            yield CellEnded(key, "failed", None, f"its worker process {how}.{hint}", pool.log_of(worker, training))


def _late(pool: _Pool, settings: Settings, stopped_at: float | None) -> Iterator[Event]:
    """Ends cells that take longer than they may, and workers that do not stop when they should."""
    now = time.monotonic()
    for worker in list(pool.workers):
        late = stopped_at is not None and now > stopped_at + STOP_SECONDS
        if not worker.trainings or not (late or any(now > training.deadline for training in worker.trainings.values())):
            continue
        worker.process.kill()
        pool.workers.remove(worker)
        trainings, worker.trainings = worker.trainings, {}
        for key, training in trainings.items():
            if now > training.deadline:
                error = f"it took longer than the timeout of {settings.timeout:g} seconds"
                yield CellEnded(key, "failed", None, error, pool.log_of(worker, training))
            elif stopped_at is None:
                pool.again.append(training.cell)
            else:
                yield CellEnded(key, "interrupted")
