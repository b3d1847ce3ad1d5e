"""The worker processes of the local executor: their logs, what they are told, what they say."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ablate.contracts import Cell

from . import KEEP_MEMORY, Message, Settings, order
from .devices import next_place, seen_from

END_SECONDS = 10  # how long a worker may take to end


LOG_BYTES = 64_000  # of what a worker printed that are kept for a cell that failed


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
class Pool:
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
            message = parsed(line)
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


def parsed(line: str) -> dict[str, Any] | None:
    """A worker's message; None where it is none."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) and "event" in message else None
