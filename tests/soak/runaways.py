"""Cells that hang, crash, eat memory, leave processes or write garbage; workers that die early; executors that fail."""

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ablate.executors import guard

from . import Row
from ._drivers import cells_of, document, heard, misbehaving, misfits, processes, start, until, workers

LATE = "it took longer than the timeout of"
REASONS = {
    "hang": LATE,
    "hang without python": LATE,
    "leave children and hang": LATE,
    "leave children and crash": "its worker process was killed by signal 11",
    "eat memory": "MemoryError",
    "crash": "its worker process was killed by signal 11",
    "exit": "its worker process ended with code 3",
    "exit politely": "its worker process ended with code 4",
    "garble": "its worker process wrote what is no message",
    "raise": r"RuntimeError: no luck \udc80 today",
}
FINE = ("leave children", "shout", "base")
FEW = ("leave children and hang", "garble", "raise")
PATIENCE = 600  # seconds for what comes at once where there is a processor for it
MEMORY = 6_000_000_000  # bytes, more than a good worker has


def rows(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, misfits(Path(name) / "site"):
        folder = Path(name)
        timeout = _enough(folder / "calm")
        yield _recorded(folder / "ways", timeout, FEW if quick else (*REASONS, "leave children", "shout"))
        if not quick:
            yield _children(folder / "children", timeout, 3)
            yield _guards(100)
        yield _killed_driver(folder, 1 if quick else 6)
        yield _early_deaths(folder)
        yield _failing_executors(folder)


def _enough(store: Path) -> int:
    """Seconds that a good cell does not take, however busy the machine is."""
    spec = misbehaving("crash")
    del spec["variants"]
    begun = time.monotonic()
    assert start(spec, store).wait() == 0
    return 10 + round(3 * (time.monotonic() - begun))


def left_of(store: Path) -> int:
    """Processes that are left ten seconds after the runs on a store, at most."""
    try:
        until(lambda: not processes(store), 10, "processes end")
    except TimeoutError:
        return len(processes(store))
    return 0


def _recorded(store: Path, timeout: int, ways: tuple[str, ...]) -> Row:
    limit = (MEMORY, MEMORY)
    run = start(misbehaving(*ways, timeout=timeout), store, jobs=2, setup=lambda: resource.setrlimit(resource.RLIMIT_DATA, limit))
    code, left = run.wait(), left_of(store)
    cells = {row.variant.replace("_", " "): row for row in cells_of(store).itertuples()}
    wrong = [
        f"{way}: {cells[way].status}, {cells[way].error}"
        for way in (*ways, "base")
        if not (cells[way].status == "done" if way in FINE else REASONS[way] in (cells[way].error or ""))
    ]
    return Row(
        "runaway cells end at their limit, with a reason; the study goes on",
        f"a study with a timeout of {timeout} s, of a good cell and {len(ways)} others: {', '.join(ways)}",
        f"{len(wrong)} recorded otherwise {wrong or ''}, exit code {code}, {left} processes left",
        not wrong and code == 1 and not left,
    )


def _children(store: Path, timeout: int, seeds: int) -> Row:
    """Cells that start four processes each, some in sessions of their own or without a parent, and end in one of four ways."""
    ways = ("leave children", "leave children and exit", "leave children and crash", "leave children and hang")
    run = start(misbehaving(*ways, timeout=timeout, seeds=seeds), store, jobs=2)
    code, left, cells = run.wait(), left_of(store), cells_of(store)
    return Row(
        "no orphans of cells",
        f"{4 * seeds} cells that leave 4 processes each, and are done, exit, crash, or hang, beside {seeds} others",
        f"{left} processes left; {(cells['status'] == 'done').sum()} cells done, {(cells['status'] == 'failed').sum()} failed",
        not left and code == 1 and cells["status"].value_counts().to_dict() == {"done": 2 * seeds, "failed": 3 * seeds},
    )


def _guards(count: int) -> Row:
    """The same without training: commands under a guard, which leave children and end in one of four ways."""
    left = began = 0
    ends = ("sys.exit(0)", "os._exit(3)", "ctypes.string_at(0)", "re.match('(a*)*b', 'a' * 64)")
    with tempfile.TemporaryDirectory() as name:
        for number in range(count):
            mark = Path(name) / str(number)
            code = f"import ctypes, os, re, sys, time; import orphans; orphans.spawn(); print(1, flush=True); {ends[number % 4]}"
            process = subprocess.Popen(
                [sys.executable, "-IS", guard.__file__, sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RUN": str(mark)},
            )
            assert process.stdout is not None
            process.stdout.readline()
            began += len(processes(mark))
            process.communicate()  # which closes its input
            left += len(processes(mark))
    return Row(
        "no orphans of workers",
        f"{count} guards whose command leaves 4 processes, two in sessions of their own, and ends, exits, crashes, or hangs "
        f"where no Python runs until its input ends: {began} processes",
        f"{left} processes left",
        not left,
    )


def _killed_driver(folder: Path, count: int) -> Row:
    """Workers that no Python thread can end, and their children, when their driver is killed."""
    left = began = 0
    for number in range(count):
        store = folder / f"killed-{number}"
        way = "leave children and hang" if number % 2 == 0 else "hang without python"
        run = start(misbehaving(way), store)
        until(lambda s=store: len(heard(s)) and len(cells_of(s)) == 2, PATIENCE, "the other cell begins", run)
        children = 2 + 4 * (number % 2 == 0)  # guard, worker, and what it started
        until(lambda s=store, n=children: len(processes(s)) >= n, PATIENCE, "the cell leaves its children", run)
        time.sleep(1)
        began += len(processes(store))
        run.signal(signal.SIGKILL)
        run.wait()
        left += left_of(store)
    return Row(
        "hung workers and their children end with a killed driver",
        f"{count} drivers killed beside {began} processes",
        f"{left} processes left",
        not left,
    )


def _early_deaths(folder: Path) -> Row:
    """Workers that die as they begin; and a worker that is killed before it has a cell."""
    store = folder / "import"
    spec = document(seeds=1)
    first = start(spec, store, worker_fault="import:1").wait()
    errors = cells_of(store)["error"]
    failed = int((errors == "its worker process ended with code 5.").sum())
    second = start(spec, store).wait()
    idle = folder / "idle"
    run = start(spec, idle)
    until(lambda: workers(idle), PATIENCE, "a worker begins", run)
    for pid in workers(idle):
        os.kill(pid, signal.SIGKILL)
    third = run.wait()
    attempts = int(cells_of(idle)["attempt"].max())
    return Row(
        "workers that die before they begin a cell lose none",
        "a study whose workers all die at import, continued without the fault; a worker killed before it has a cell",
        f"{failed} of {len(errors)} failed with the reason and exit code {first}, then exit code {second}; "
        f"exit code {third} after {attempts} attempt",
        (failed, first, second, third, attempts) == (3, 1, 0, 0, 1),
    )


def _failing_executors(folder: Path) -> Row:
    """Executors that raise in the middle, or say nothing of a cell; the study is continued by another one."""
    store, spec = folder / "executor", document(seeds=1)
    codes = [start(spec, store, executor={"use": "broken", "how": how}).wait() for how in ("raise", "lose")]
    told = start(spec, store)
    codes.append(told.wait())
    reasons = told.output.count("the executor failed: RuntimeError: the cluster is gone")
    cells = cells_of(store)
    return Row(
        "an executor that fails loses nothing",
        "one that raises, one that loses all cells, then a good one, on one store",
        f"exit codes {codes}; {(cells['status'] == 'done').sum()} of {len(cells)} cells done, {heard(store).total()} trained",
        codes == [3, 1, 0] and reasons == 1 and set(heard(store).values()) == {1} and len(heard(store)) == 3,
    )
