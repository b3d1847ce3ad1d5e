"""The local executor: warm worker processes on this machine."""

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
class Worker:
    """A process, and the cell that it trains."""

    process: subprocess.Popen[str]
    log: Path
    ready: bool = False
    cell: Cell | None = None
    deadline: float = float("inf")
    log_start: int = 0


@dataclass
class _Pool:
    """The workers of one run.

    Attributes:
        directory: For the workers' logs.
        inbox: What workers say: (worker, message), or (worker, None) where its output has ended.
        workers: Those that are alive.
    """

    directory: Path
    inbox: "queue.Queue[tuple[Worker, dict[str, Any] | None]]" = field(default_factory=queue.Queue)
    workers: list[Worker] = field(default_factory=list)

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
        assert worker.process.stdout is not None
        for line in worker.process.stdout:
            self.inbox.put((worker, json.loads(line)))
        self.inbox.put((worker, None))

    def give(self, worker: Worker, cell: Cell, settings: Settings) -> None:
        worker.cell, worker.log_start = cell, worker.log.stat().st_size
        self.set_deadline(worker, settings)
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

    def set_deadline(self, worker: Worker, settings: Settings) -> None:
        """A cell's time runs from when its worker has started."""
        if worker.ready and worker.cell and settings.timeout:
            worker.deadline = time.monotonic() + settings.timeout

    def send(self, worker: Worker, **message: Any) -> None:
        assert worker.process.stdin is not None
        try:
            worker.process.stdin.write(json.dumps(message) + "\n")
            worker.process.stdin.flush()
        except BrokenPipeError:
            return  # it has died, and the end of its output says so

    def log_of(self, worker: Worker) -> str:
        """What the worker printed during its cell, the last of it."""
        with worker.log.open("rb") as file:
            file.seek(max(worker.log_start, worker.log.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace").strip()

    def keep(self, count: int) -> None:
        """Ends all workers but so many."""
        spare, self.workers = self.workers[count:], self.workers[:count]
        for worker in spare:
            worker.process.kill()
        for worker in spare:
            worker.process.wait()


@contextmanager
def local(jobs: int, /) -> Iterator[Run]:
    """Worker processes on this machine, as many as `--jobs` says; a crash of one fails its cell and no other."""
    with tempfile.TemporaryDirectory(prefix="ablate-") as directory:
        pool = _Pool(Path(directory))
        try:
            for _ in range(jobs):
                pool.start()
            yield partial(_run, pool)
        finally:
            pool.keep(0)


def _run(pool: _Pool, settings: Settings, take: Callable[[], Cell | None], stop: Flag) -> Iterator[Event]:
    pool.keep(settings.jobs)
    stopped_at: float | None = None
    while True:
        if stop.is_set() and stopped_at is None:
            stopped_at = time.monotonic()
            for worker in pool.workers:
                pool.send(worker, do="stop")
        if stopped_at is None:
            yield from _hand_out(pool, settings, take)
        if not any(worker.cell for worker in pool.workers):
            return
        try:
            worker, message = pool.inbox.get(timeout=POLL_SECONDS)
            yield from _understand(pool, settings, worker, message, stopped_at is not None)
        except queue.Empty:
            pass
        yield from _late(pool, settings, stopped_at)


def _hand_out(pool: _Pool, settings: Settings, take: Callable[[], Cell | None]) -> Iterator[Event]:
    """Gives every idle worker a cell; workers are started where they are missing."""
    while True:
        idle = next((worker for worker in pool.workers if worker.cell is None), None)
        if idle is None and len(pool.workers) >= settings.jobs:
            return
        cell = take()
        if cell is None:
            return
        pool.give(idle or pool.start(), cell, settings)
        yield CellStarted(cell.key)


def _understand(
    pool: _Pool, settings: Settings, worker: Worker, message: dict[str, Any] | None, stopping: bool
) -> Iterator[Event]:
    cell = worker.cell
    if message is None:
        code = worker.process.wait()
        if worker in pool.workers:
            pool.workers.remove(worker)
        if cell:
            yield _dead(pool, worker, cell, code, stopping)
        return
    if message["event"] == "ready":
        worker.ready = True
        pool.set_deadline(worker, settings)
    if message["event"] == "ready" or cell is None:
        return
    if message["event"] == "epoch":
        yield EpochEnded(cell.key, message["record"])
        return
    worker.cell, worker.deadline = None, float("inf")
    if message["event"] == "done":
        yield CellEnded(cell.key, "done", Result.from_json(message["result"]))
    elif message["event"] == "interrupted":
        yield CellEnded(cell.key, "interrupted")
    else:
        log = f"{message['traceback']}\n{pool.log_of(worker)}".strip()
        yield CellEnded(cell.key, "failed", None, message["error"], log)


def _dead(pool: _Pool, worker: Worker, cell: Cell, code: int, stopping: bool) -> CellEnded:
    worker.cell = None
    if stopping:
        return CellEnded(cell.key, "interrupted")
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    hint = " Signal 9 is often the system's answer to too little memory: use fewer --jobs." if code == -9 else ""
    return CellEnded(cell.key, "failed", None, f"its worker process {how}.{hint}", pool.log_of(worker))


def _late(pool: _Pool, settings: Settings, stopped_at: float | None) -> Iterator[Event]:
    """Ends cells that take longer than they may, and workers that do not stop when they should."""
    now = time.monotonic()
    for worker in list(pool.workers):
        overdue = now > worker.deadline
        if not worker.cell or not (overdue or (stopped_at is not None and now > stopped_at + STOP_SECONDS)):
            continue
        worker.process.kill()
        pool.workers.remove(worker)
        cell, worker.cell = worker.cell, None
        if overdue:
            error = f"it took longer than the timeout of {settings.timeout:g} seconds"
            yield CellEnded(cell.key, "failed", None, error, pool.log_of(worker))
        else:
            yield CellEnded(cell.key, "interrupted")
