"""Submits a job for each cell, and understands what the jobs write."""

import json
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from ablate.executors import CellEnded, CellStarted, Event, Message, Settings, event_of, order
from ablate.plugin import Cell, EnvironmentProblem

from .job import Training

POLL_SECONDS = 1.0
TOUCH_SECONDS = 10.0
ASK_SECONDS = 5.0  # between two questions whether a job still is; what it writes is looked at more often
STOP_SECONDS = 90.0  # how long a cell may take to see that it is to stop, and to save its state
END_SECONDS = 10.0  # how long a job may take to end after its cell has
LOG_BYTES = 64_000
LOST = ("NODE_FAIL", "BOOT_FAIL", "PREEMPTED", "REVOKED")  # the states of Slurm that are no fault of the cell


@dataclass(frozen=True)
class Limits:
    """What a job takes, as `ablate_slurm.executor` says."""

    partition: str | None
    minutes: int
    cpus: int | None
    gpus: int | None
    memory_gb: float | None
    parameters: dict[str, Any]

    def of_submitit(self, device: str, devices: int) -> dict[str, Any]:
        """As submitit names them, for cells that take so many devices."""
        return {
            "name": "ablate",
            "timeout_min": self.minutes,
            "cpus_per_task": devices if self.cpus is None else self.cpus,
            "gpus_per_node": (device != "cpu") * devices if self.gpus is None else self.gpus,
            "mem_gb": self.memory_gb,
            "slurm_partition": self.partition,
            "slurm_additional_parameters": self.parameters or None,
        }


@dataclass(eq=False)
class Job:
    """A cell and its job.

    Attributes:
        cell: The cell.
        events: The file that the job writes.
        handle: submitit's.
        read: How much of the file is understood.
        started: Whether it runs, as far as one knows.
        deadline: Until when its cell may take.
        next_question: When to ask again whether it still is.
    """

    cell: Cell
    events: Path
    handle: submitit.Job[None]
    read: int = 0
    started: bool = False
    deadline: float = float("inf")
    next_question: float = 0.0

    def is_over(self) -> bool:
        """Whether it has ended, as far as one knows."""
        if time.monotonic() < self.next_question:
            return False
        self.next_question = time.monotonic() + ASK_SECONDS
        return self.handle.done()

    def news(self) -> list[Message]:
        """What it has written since the last call, whole lines only."""
        if not self.events.exists():
            return []
        with self.events.open("rb") as file:
            file.seek(self.read)
            lines = file.read().rpartition(b"\n")[0]
        self.read += len(lines) + bool(lines)
        return [json.loads(line) for line in lines.splitlines()]

    def log(self) -> str:
        """What the job printed, the last of it."""
        return "\n".join(_tail(path) for path in (self.handle.paths.stdout, self.handle.paths.stderr)).strip()


def _tail(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read().decode(errors="replace").strip()


@dataclass
class Jobs:
    """The jobs of a run.

    Attributes:
        cluster: `slurm` or `local`.
        base: Shared directory; None for one in the store.
        limits: What a job takes.
        retries: How often a cell may lose its node.
        running: Those that are submitted and have not said how they ended.
        ending: Those that have.
        again: Cells that lost their node.
        losses: How often each did.
        folder: This run's own directory, once there is one.
    """

    cluster: str
    base: Path | None
    limits: Limits
    retries: int
    running: list[Job] = field(default_factory=list)
    ending: list[Job] = field(default_factory=list)
    again: list[Cell] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)
    folder: Path | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    @property
    def alive(self) -> Path:
        assert self.folder is not None, "it is open"  # noqa: S101, for the type checker
        return self.folder / "alive"

    def open(self, settings: Settings) -> Any:
        """submitit's executor for these settings, in this run's directory.

        Raises:
            EnvironmentProblem: There is no Slurm, or the directory cannot be written.
        """
        try:
            if self.folder is None:
                base = (self.base or settings.checkpoints.parent / "slurm").absolute()
                base.mkdir(parents=True, exist_ok=True)
                self.folder = Path(tempfile.mkdtemp(prefix="run-", dir=base))
                self.alive.touch()
                threading.Thread(target=self._live, daemon=True).start()
            executor = submitit.AutoExecutor(self.folder, cluster=self.cluster)
            executor.update_parameters(**self.limits.of_submitit(settings.device, settings.devices))
            return executor
        except (OSError, RuntimeError) as error:
            raise EnvironmentProblem(f"jobs cannot be submitted to {self.cluster}: {error}") from error

    def _live(self) -> None:
        while not self._closed.wait(TOUCH_SECONDS):
            if self.alive.exists():
                self.alive.touch()

    def submit(self, cells: list[Cell], settings: Settings) -> None:
        """Submits a job for each cell; on Slurm as one array.

        Raises:
            EnvironmentProblem: The cluster does not take them.
        """
        executor = self.open(settings)
        assert self.folder is not None, "it is open"  # noqa: S101, for the type checker
        files = [self.folder / f"{cell.key}-{self.losses[cell.key]}.jsonl" for cell in cells]
        device = settings.device.partition(":")[0]  # a job sees no GPU but its own
        here = [{"device": device, "events": str(file), "alive": str(self.alive)} for file in files]
        texts = [json.dumps(order(cell, settings) | more) for cell, more in zip(cells, here, strict=True)]
        try:
            with executor.batch():
                handles = [executor.submit(Training(), text) for text in texts]
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise EnvironmentProblem(f"the cluster does not take a job: {error}") from error
        self.running += [Job(*parts) for parts in zip(cells, files, handles, strict=True)]

    def end(self, job: Job) -> None:
        self.running.remove(job)
        self.ending = [other for other in (*self.ending, job) if not other.handle.done()]

    def drop(self, job: Job) -> None:
        self.running.remove(job)
        job.handle.cancel(check=False)

    def close(self) -> None:
        """Ends what still runs, and removes the directory."""
        self._closed.set()
        for job in list(self.running):
            self.drop(job)
        latest = time.monotonic() + END_SECONDS
        while time.monotonic() < latest and not all(job.handle.done() for job in self.ending):
            time.sleep(0.1)  # a job whose directory is gone would end as failed
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def run(jobs: Jobs, settings: Settings, take: Callable[[], Cell | None], stop: Flag) -> Iterator[Event]:
    """As `ablate.executors` says.

    Raises:
        EnvironmentProblem: Jobs cannot be submitted.
    """
    stopped_at: float | None = None
    while True:
        if stop.is_set() and stopped_at is None:
            stopped_at = time.monotonic()
            yield from _stop(jobs)
        if stopped_at is None and (cells := _next(jobs, settings, take)):
            jobs.submit(cells, settings)
        if not jobs.running:
            return
        for job in list(jobs.running):
            yield from _look(jobs, settings, job, stopped_at is not None)
        yield from _late(jobs, settings, stopped_at)
        stop.wait(POLL_SECONDS) if stopped_at is None else time.sleep(POLL_SECONDS)


def _next(jobs: Jobs, settings: Settings, take: Callable[[], Cell | None]) -> list[Cell]:
    """The cells that there is room for."""
    cells: list[Cell] = []
    while len(jobs.running) + len(cells) < settings.jobs:
        cell = jobs.again.pop() if jobs.again else take()
        if cell is None:
            break
        cells.append(cell)
    return cells


def _stop(jobs: Jobs) -> Iterator[Event]:
    """Tells those that run to save their states, and takes back those that wait."""
    yield from (CellEnded(cell.key, "interrupted") for cell in jobs.again)
    jobs.again.clear()
    if jobs.folder is not None:
        jobs.alive.unlink(missing_ok=True)
    for job in [job for job in jobs.running if not job.started]:
        jobs.drop(job)
        yield CellEnded(job.cell.key, "interrupted")


def _look(jobs: Jobs, settings: Settings, job: Job, stopping: bool) -> Iterator[Event]:
    """What a job has written, and whether it has ended without a word."""
    over = job.is_over()  # asked before its file is read, so that nothing is missed
    for message in job.news():
        yield from _understand(jobs, settings, job, message, stopping)
    if over and job in jobs.running:
        jobs.running.remove(job)
        yield from _lost(jobs, job, stopping)


def _understand(jobs: Jobs, settings: Settings, job: Job, message: Message, stopping: bool) -> Iterator[Event]:
    key = job.cell.key
    if message["event"] == "requeued":
        job.started, job.deadline = False, float("inf")
        return
    event = event_of(key, message, job.log)
    if isinstance(event, CellStarted):
        job.started = True
        job.deadline = time.monotonic() + (settings.timeout or float("inf"))
    if isinstance(event, CellEnded):
        jobs.end(job)
        if event.status == "interrupted" and not stopping:  # it took this driver for dead, which was only asleep
            jobs.losses[key] += 1
            jobs.again.append(job.cell)
            return
    yield event


def _lost(jobs: Jobs, job: Job, stopping: bool) -> Iterator[Event]:
    """A job has ended without saying how."""
    key, state = job.cell.key, str(job.handle.state)
    jobs.losses[key] += 1
    if stopping:
        yield CellEnded(key, "interrupted")
    elif state.startswith(LOST) and jobs.losses[key] <= jobs.retries:
        jobs.again.append(job.cell)
    else:
        log = job.log()
        reason = next((line for line in reversed(log.splitlines()) if line.strip()), "it printed nothing")
        yield CellEnded(key, "failed", None, f"its job {job.handle.job_id} ended ({state}) without a result: {reason}", log)


def _late(jobs: Jobs, settings: Settings, stopped_at: float | None) -> Iterator[Event]:
    """Ends cells that take longer than they may, and those that do not stop when they should."""
    now = time.monotonic()
    for job in list(jobs.running):
        if now > job.deadline:
            jobs.drop(job)
            error = f"it took longer than the timeout of {settings.timeout:g} seconds"
            yield CellEnded(job.cell.key, "failed", None, error, job.log())
        elif stopped_at is not None and now > stopped_at + STOP_SECONDS:
            jobs.drop(job)
            yield CellEnded(job.cell.key, "interrupted")
