"""Drivers that are stopped and go on, signals of users, job managers and terminals: nothing twice, nothing lost, no orphans."""

import fcntl
import os
import pty
import signal
import sqlite3
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from . import Row
from ._drivers import Driver, cells_of, document, heard, misbehaving, misfits, processes, start, undisturbed, until
from .runaways import left_of

PATIENCE = 600  # seconds for what comes at once where there is a processor for it


def rows(quick: bool) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, misfits(Path(name) / "site"):
        folder = Path(name)
        expected, _ = undisturbed()
        yield _paused_driver(folder, expected, [1] if quick else [1, 30])
        if not quick:
            yield _paused_job(folder / "job")
        yield _signals(folder, expected, quick)
        yield _twice(folder, [signal.SIGINT] if quick else [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def _begin(store: Path, setup: Callable[[], object] = lambda: None) -> Driver:
    """A run whose first cell is done."""
    run = start(document(), store, setup=setup)
    until(lambda: heard(store), PATIENCE, "a cell is done", run)
    return run


def _paused_driver(folder: Path, expected: str, pauses: list[int]) -> Row:
    """A driver is stopped; another one does the other cells, and waits; the first one goes on."""
    wrong = waits = 0
    for seconds in pauses:
        store = folder / f"paused-{seconds}"
        one = _begin(store)
        _stop_between_writes(one)
        other = start(document(), store)
        until(lambda s=store: len(heard(s)) >= 4, PATIENCE, "the other driver does the rest", other)
        time.sleep(seconds)
        waits += other.poll() is None
        one.signal(signal.SIGCONT)
        codes = [one.wait(), other.wait()]
        once = set(heard(store).values()) == {1} and cells_of(store)["attempt"].max() == 1
        named = f"process {one.pid}@" in other.output
        wrong += codes != [0, 0] or not once or not named or (store / "table.txt").read_text() != expected
    return Row(
        "a paused driver and a second one",
        f"SIGSTOP in the middle, for {pauses} s after the second one had nothing left to do, then SIGCONT",
        f"the second one waited {waits} times, and said for which process; {wrong} of {len(pauses)} repeated a cell or "
        "gave another table",
        not wrong and waits == len(pauses),
    )


def _stop_between_writes(run: Driver) -> None:
    """Stops a driver where it does not keep others from writing, which tests/store/test_store.py tries."""
    while True:
        run.signal(signal.SIGSTOP)
        with closing(sqlite3.connect(run.store / "store.sqlite", timeout=1)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                run.signal(signal.SIGCONT)
        time.sleep(0.1)


def _paused_job(store: Path) -> Row:
    """Driver and workers are stopped together, as by Ctrl-Z, for longer than a cell may take."""
    spec = document(timeout=20, seeds=1)
    run = start(spec, store)
    until(lambda: heard(store), PATIENCE, "a cell is done", run)
    stopped = [run.pid, *processes(store)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(25)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    code = run.wait()
    return Row(
        "a pause does not count as time of a cell",
        "driver and workers stopped for 25 s, with a timeout of 20 s",
        f"exit code {code}, attempts {sorted(set(cells_of(store)['attempt']))}",
        code == 0 and set(heard(store).values()) == {1},
    )


def _signals(folder: Path, expected: str, quick: bool) -> Row:
    """Once: the cells that run save their state, and the same command goes on."""
    ways: dict[str, tuple[Callable[[], object], Callable[[Driver], object]]] = {
        "SIGINT": (lambda: None, lambda run: run.signal(signal.SIGINT)),
        "SIGTERM to all processes": (os.setpgrp, lambda run: os.killpg(run.pid, signal.SIGTERM)),
        "SIGHUP to all processes": (os.setpgrp, lambda run: os.killpg(run.pid, signal.SIGHUP)),
    }
    wrong = []
    terminal, side = pty.openpty()
    ways["a terminal that closes"] = (lambda: _use_terminal(side), lambda run: (os.close(side), os.close(terminal)))
    for name, (setup, send) in ways.items():
        if quick and name not in ("SIGTERM to all processes", "a terminal that closes"):
            continue
        store = folder / name.replace(" ", "-")
        run = _begin(store, setup)
        send(run)
        code, left = run.wait(), left_of(store)
        statuses = set(cells_of(store)["status"])
        saved = len(list((store / "checkpoints").glob("*.safetensors")))
        again = start(document(), store).wait()
        same = (store / "table.txt").read_text() == expected and set(heard(store).values()) == {1}
        if (code, left, saved, again, same) != (130, 0, 1, 0, True) or not statuses <= {"done", "interrupted"}:
            wrong.append(f"{name}: exit code {code}, {left} left, {statuses}, {saved} saved, then {again}, same {same}")
    return Row(
        "a signal stops a run, and it goes on",
        "SIGTERM to all processes, and a terminal that closes" if quick else ", ".join(ways),
        f"{len(wrong)} lost state, left processes, or gave another table {wrong or ''}".strip(),
        not wrong,
    )


def _use_terminal(side: int) -> None:
    """Makes this process the leader of a session on a terminal."""
    os.setsid()
    fcntl.ioctl(side, termios.TIOCSCTTY, 0)
    os.dup2(side, 1)
    os.dup2(side, 2)
    os.closerange(3, 64)  # the other side, which only the caller is to have


def _twice(folder: Path, numbers: list[int]) -> Row:
    """A second signal does not wait for a cell that hangs."""
    seconds, left, codes = 0.0, 0, []
    for number in numbers:
        store = folder / f"twice-{number}"
        run = start(misbehaving("leave children and hang"), store)
        until(lambda s=store: len(processes(s)) >= 6, PATIENCE, "the cell hangs", run)
        run.signal(number)
        until(lambda r=run: "once more to stop without" in r.output, PATIENCE, "it says that it stops", run)
        begun = time.monotonic()
        run.signal(number)
        codes.append(run.wait())
        seconds = max(seconds, time.monotonic() - begun)
        left += left_of(store)
    return Row(
        "a second signal ends at once",
        f"{', '.join(signal.Signals(number).name for number in numbers)} twice, beside a cell that hangs",
        f"exit codes {codes}, {left} processes left, after {seconds:.1f} s at most",
        codes == [130] * len(numbers) and not left,
    )
