"""Drivers that can be killed: processes forked from one that has imported everything, so that a run begins in no time.

The process that forks must not compute anything with torch before, whose threads do not survive a fork.
"""

import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch._dynamo  # noqa: F401  what a driver imports sooner or later

import ablate.engine.build
import ablate.stats.analysis  # noqa: F401
from ablate import registry
from ablate.errors import AblateError
from ablate.report.content import page
from ablate.report.data import as_csv
from ablate.report.files import write_all
from ablate.runner import driver
from ablate.runner.job import Options

from ._fault_points import arm

HERE = Path(__file__).parent
NORMALIZE = {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}


def document(**changes: Any) -> dict[str, Any]:
    """A study of three variants with two seeds, of a second each, whose state is saved after nearly every batch."""
    return {
        "name": "killed",
        "base": {
            "dataset": {"use": "digits", "size": 16, "limit": 640},
            "train_transforms": {"crop": {"use": "random_crop", "size": 16, "padding": 2}, **NORMALIZE, "mix": None},
            "eval_transforms": NORMALIZE,
            "model": {"use": "misfit"},
            "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
            "batch_size": 32,
            "epochs": 3,
        },
        "factors": {
            "optimizer": {"adam": {"optimizer": {"use": "adam", "lr": 0.002}, "ema": 0.9}},
            "mix": {"on": {"train_transforms": {"mix": {"use": "mixup"}}, "accumulate": 2}},
        },
        "seeds": 2,
        "checkpoint_seconds": 0.05,
        **changes,
    }


def misbehaving(*ways: str, **changes: Any) -> dict[str, Any]:
    """A short study whose variants are these ways of misbehaving, and a good base, with one seed."""
    variants = {way.replace(" ", "_"): {"model": {"how": way}} for way in ways}
    made = document(**{"variants": variants, "seeds": 1, **changes})
    del made["factors"]
    made["base"] |= {"epochs": 1, "dataset": {"use": "digits", "size": 16, "limit": 256}}
    return made


@contextmanager
def misfits(folder: Path) -> Iterator[None]:
    """Installs the components of `_misfits.py`, and the fault points of workers, for this process and those that it starts."""
    info = folder / "misfits-1.0.dist-info"
    info.mkdir(parents=True)
    modules = {"misfits.py": "_misfits.py", "orphans.py": "_orphans.py", "sitecustomize.py": "_fault_points.py"}
    for name, source in modules.items():
        (folder / name).write_text((HERE / source).read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misfits\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[ablate.models]\nmisfit = misfits:misfit\n[ablate.executors]\nbroken = misfits:broken\n[ablate.hooks]\nears = misfits\n"
    )
    sys.path.insert(0, str(folder))
    registry.default.cache_clear()
    try:
        yield
    finally:
        for run in STARTED:
            run.signal(signal.SIGKILL)
        sys.path.remove(str(folder))
        registry.default.cache_clear()


@dataclass
class Driver:
    """A process that runs a study."""

    pid: int
    store: Path
    code: int | None = None

    @property
    def output(self) -> str:
        """What it and earlier ones on its store printed."""
        return (self.store / "output.txt").read_text(errors="replace")

    def poll(self) -> int | None:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code

    def wait(self, seconds: float = 900) -> int:
        until(lambda: self.poll() is not None, seconds, "the driver ends", self)
        assert self.code is not None
        return self.code

    def signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


STARTED: list[Driver] = []


def start(
    spec: Mapping[str, Any],
    store: Path,
    *,
    jobs: int = 1,
    executor: str | Mapping[str, Any] = "local",
    driver_fault: str = "",
    worker_fault: str = "",
    setup: Callable[[], object] = lambda: None,
) -> Driver:
    """Begins a run in a process of its own, with the exit codes of `ablate run`.

    Args:
        spec: The study.
        store: Directory of the store; what is printed, heard and found is written there, too.
        jobs: Cells at once.
        executor: As in `Options`.
        driver_fault: Where the driver is to die, see `_fault_points.py`.
        worker_fault: Where its workers are to die.
        setup: Called in the new process.
    """
    store.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        STARTED.append(Driver(pid, store))
        return STARTED[-1]
    code = 70
    try:
        os.dup2(os.open(store / "output.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 1)
        os.dup2(1, 2)
        os.environ |= {"HEARD": str(store / "heard"), "RUN": str(store)} | (
            {"WORKER_FAULT": worker_fault} if worker_fault else {}
        )
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup`, which a run heeds, would be inherited
        setup()
        if driver_fault:
            arm(driver_fault)
        code = _run(spec, Options(store, store / "data", jobs, "cpu", executor, False), "report" in driver_fault)
    except AblateError as error:
        print(error, flush=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    finally:
        sys.stdout.flush()
        os._exit(code)


def _run(spec: Mapping[str, Any], options: Options, report: bool) -> int:
    study, stopped = driver.run_study(spec, (), options, {}, lambda message: print(message, flush=True))
    assert isinstance(options.store, Path)
    if report:
        write_all(page(study), options.store / "report")
    (options.store / "table.txt").write_text(table(study))
    return 130 if stopped else int((study.cells["status"] == "failed").any())


def table(study: Any) -> str:
    """The report's numbers, cells and epochs, without times."""
    timeless = replace(
        study, cells=study.cells.assign(seconds=0.0), epochs=study.epochs.assign(seconds=0.0, images_per_second=0.0)
    )
    return "\n".join([as_csv([page(timeless)]), timeless.cells.to_csv(index=False), timeless.epochs.to_csv(index=False)])


@cache
def undisturbed() -> tuple[str, float]:
    """The table of `document()` where nobody disturbs it, and how many seconds it takes."""
    with tempfile.TemporaryDirectory() as name:
        begun = time.monotonic()
        run = start(document(), Path(name))
        assert run.wait() == 0, run.output
        return (Path(name) / "table.txt").read_text(), time.monotonic() - begun


def until(condition: Callable[[], Any], seconds: float, what: str, run: Driver | None = None) -> None:
    """Waits.

    Raises:
        TimeoutError: It does not come.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"in {seconds:g} seconds it did not happen that {what}\n{run.output if run else ''}")
        time.sleep(0.02)


def cells_of(store: Path) -> pd.DataFrame:
    """The cells that runs have begun, read without ablate: `variant`, `seed`, `key`, `status`, `attempt`, `error`."""
    with closing(sqlite3.connect(store / "store.sqlite", timeout=60)) as db:
        return pd.read_sql(
            "SELECT variant, c.seed, key, status, attempt, error FROM study_cells JOIN cells c USING (key) ORDER BY position", db
        )


def heard(store: Path) -> Counter[str]:
    """How often listeners were told that a cell is done."""
    file = store / "heard"
    return Counter(file.read_text().splitlines() if file.exists() else [])


def processes(store: Path) -> list[int]:
    """All processes that came of runs on this store, whoever their parents are now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"RUN={store}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def workers(store: Path) -> list[int]:
    """The workers of runs on this store, and not their guards."""
    found = []
    for pid in processes(store):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"ablate.executors.worker" in command and b"guard.py" not in command:
            found.append(pid)
    return found
