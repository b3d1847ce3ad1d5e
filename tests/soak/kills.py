"""SIGKILL at any moment, to drivers, workers or both: nothing is lost, nothing is trained twice, and the tables are the same."""

import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import unified_diff
from itertools import islice
from pathlib import Path
from typing import Any

from . import Row
from ._drivers import Driver, cells_of, document, heard, misfits, processes, start, undisturbed, until, workers

AIMED = ("driver commit", "driver committed", "driver report", "worker save", "worker rename", "worker renamed")
MOMENTS = ("driver at any moment", "worker at any moment", "both at any moment")


@dataclass
class Tally:
    """What was seen: kills by their kind, studies, and what must not be."""

    kills: Counter[str] = field(default_factory=Counter)
    studies: int = 0
    lost: int = 0
    twice: int = 0
    others: int = 0
    orphans: int = 0


def rows(quick: bool) -> Iterator[Row]:
    rng, tally = random.Random(0), Tally()
    wanted = 3 if quick else 200
    with tempfile.TemporaryDirectory() as name, misfits(Path(name) / "site"):
        spec, (expected, length) = document(), undisturbed()
        while tally.kills.total() < wanted:
            store = Path(name) / f"study-{tally.studies}"
            code = 1
            while code != 0:
                kind = rng.choice([*AIMED, *MOMENTS]) if tally.kills.total() < wanted else "none"
                code = _sitting(rng, kind, spec, store, length, tally)
            _judge(store, expected, tally)
            print(f"{tally.kills.total()} of {wanted} kills", file=sys.stderr, flush=True)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.kills.items()))
    yield Row(
        "kill -9 loses nothing",
        f"{tally.kills.total()} kills ({kinds}) in {tally.studies} studies of 6 cells, each continued to its end",
        f"{tally.lost} cells lost, {tally.twice} trained twice; {tally.others} tables and CSV files differ from undisturbed ones",
        not (tally.lost or tally.twice or tally.others),
    )
    yield Row("killed drivers leave no processes", "after each kill", f"{tally.orphans} left", not tally.orphans)


def _sitting(rng: random.Random, kind: str, spec: dict[str, Any], store: Path, length: float, tally: Tally) -> int:
    """Runs the study until it ends or is killed; returns the exit code."""
    who, _, point = kind.partition(" ")
    jobs = rng.choice([1, 2])
    if kind in MOMENTS:
        run = start(spec, store, jobs=jobs)
        _kill(run, who, rng.uniform(0, length), tally, kind)
    else:
        fault = f"{point}:{rng.randint(1, 10)}" if point else ""
        faults = {"driver_fault": fault} if who == "driver" else {"worker_fault": fault}
        run = start(spec, store, jobs=jobs, **faults)
    code = run.wait()
    if kind not in MOMENTS and code != 0:
        tally.kills[kind] += 1 if code < 0 else _killed_workers(store)
    try:
        until(lambda: not processes(store), 10, "processes end")
    except TimeoutError:
        tally.orphans += len(processes(store))
    return code


def _kill(run: Driver, who: str, moment: float, tally: Tally, kind: str) -> None:
    with suppress(TimeoutError):
        until(lambda: run.poll() is not None, moment, "it ends before")
    victims = [run.pid] if who != "worker" and run.poll() is None else []
    if who != "driver":
        found = workers(run.store)
        victims += found if who == "both" else found[:1]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    tally.kills[kind] += bool(victims)


def _killed_workers(store: Path) -> int:
    return int(cells_of(store)["error"].str.contains("killed by signal 9").sum())


def _judge(store: Path, expected: str, tally: Tally) -> None:
    tally.studies += 1
    tally.lost += int((cells_of(store)["status"] != "done").sum()) + 6 - len(cells_of(store))
    tally.twice += sum(count > 1 for count in heard(store).values())
    if (found := (store / "table.txt").read_text()) != expected:
        tally.others += 1
        sys.stderr.writelines(islice(unified_diff(expected.splitlines(True), found.splitlines(True), n=0), 20))
