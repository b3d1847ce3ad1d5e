"""One study, trained in different ways: every cell has to have the same weights and the same metrics, bit for bit."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ablate
from ablate.registry import default
from ablate.testing.misfits import table

from . import Row

NORMALIZE = {"use": "normalize", "mean": [0.5], "std": [0.5]}
BASE = {  # draws in the data, in the model and in its steps
    "dataset": {"use": "digits", "size": 16},
    "train_transforms": {"crop": {"use": "random_crop", "size": 16, "padding": 2}, "normalize": NORMALIZE},
    "eval_transforms": {"normalize": NORMALIZE},
    "model": {"use": "net", "dropout": 0.2},
    "optimizer": {"use": "adam", "lr": 0.002},
}
PATIENCE = 600.0  # seconds until a cell saves its state
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  or Ray's workers starve beside anything else


@dataclass(frozen=True)
class Study:
    """A study in a file, and how often a run of it is killed."""

    spec: Path
    kills: int

    def run(self, store: Path, jobs: int, executor: str = "local") -> dict[str, str]:
        """Runs to the end, and returns what the cells of the study gave."""
        data = self.spec.parent / "data"
        study = ablate.run(self.spec, store=store, data_dir=data, jobs=jobs, device="cpu", executor=executor)
        assert set(study.cells["status"]) == {"done"}, study.cells["error"].dropna().tolist()
        given = table(store)
        return {key: given[key] for key in study.cells["key"]}

    def start(self, store: Path, jobs: int, executor: str = "local") -> "subprocess.Popen[bytes]":
        """The same in a process of its own."""
        places = ["--store", str(store), "--data-dir", str(self.spec.parent / "data"), "--device", "cpu"]
        how = ["--jobs", str(jobs), "--executor", executor]
        command = [sys.executable, "-m", "ablate", "run", str(self.spec), *places, *how]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def killed(self, store: Path, jobs: int, executor: str = "local") -> int:
        """Kills the driver with signal 9 whenever a cell has saved a state since it was started.

        Returns:
            How many times it was killed before it came to its end.
        """
        kills = 0
        while kills < self.kills:
            begun = time.time()
            with self.start(store, jobs, executor) as process:
                while process.poll() is None and not _saved_since(begun, store):
                    assert time.time() < begun + PATIENCE, "no cell saves its state"
                    time.sleep(0.01)
                if process.poll() is not None:
                    break
                process.kill()
            kills += 1
        return kills


def _saved_since(begun: float, store: Path) -> bool:
    """Whether a state was saved, in the directory of a store, by a run that began then."""
    for file in (store / "checkpoints").glob("*.safetensors"):
        try:
            if file.stat().st_mtime > begun:
                return True
        except FileNotFoundError:
            continue  # its cell has ended meanwhile
    return False


def rows(quick: bool) -> Iterator[Row]:
    """Two variants with one seed and two epochs, or with five and eight."""
    with tempfile.TemporaryDirectory(prefix="ablate-") as name:
        directory = Path(name)
        seeds, epochs, kills = (1, 2, 1) if quick else (5, 8, 5)
        study = _study(directory, "one", seeds, epochs, kills)
        expected = study.run(directory / "one worker", jobs=1)
        cells = f"{len(expected)} cells of {epochs} epochs"

        if not quick:  # the next one has two workers, too
            found = study.run(directory / "two workers", jobs=2)
            yield promise_of("The number of workers changes no bit", f"{cells} with 1 and with 2 workers", expected, found)

        killed = study.killed(store := directory / "killed", jobs=2)
        found = study.run(store, jobs=2)
        again = _times(_begun(store) - len(expected))
        tried = f"{cells} with 1 worker, and with 2 whose driver was killed {_times(killed)}; {again} a cell was begun again"
        yield promise_of("A kill and a resumption change no bit", tried, expected, found, _begun(store) > len(expected))

        if quick:
            return

        with _study(directory, "other", seeds, epochs + 1, kills).start(store := directory / "beside", jobs=1) as other:
            found = study.run(store, jobs=1)
        assert other.returncode == 0, f"the driver beside ends with {other.returncode}"
        tried = f"{cells}, and another driver's study with other epochs in the same store"
        yield promise_of("What runs beside a study changes no bit", tried, expected, found)

        if "ray" in default().names("executor"):
            yield from _on_ray(directory, study, expected, cells)


def _on_ray(directory: Path, study: Study, expected: dict[str, str], cells: str) -> Iterator[Row]:
    found = study.run(directory / "ray", 2, "ray")
    yield promise_of("The executor changes no bit", f"{cells} on 2 workers of Ray", expected, found)
    killed = study.killed(store := directory / "ray killed", 2, "ray")
    found = study.run(store, 2, "ray")
    tried = f"{cells} on Ray, the driver killed {_times(killed)}"
    yield promise_of("Nor does a kill on another executor", tried, expected, found, _begun(store) > len(expected))


def _study(directory: Path, name: str, seeds: int, epochs: int, kills: int) -> Study:
    document: dict[str, Any] = {
        "name": name,
        "base": BASE | {"epochs": epochs},
        "factors": {"batch_norm": {"on": {"model": {"batch_norm": True}}}},
        "seeds": seeds,
        "checkpoint_seconds": 0,
    }
    spec = directory / f"{name}.json"
    spec.write_text(json.dumps(document))
    return Study(spec, kills)


def _begun(store: Path) -> int:
    """How often a cell of a store was begun."""
    with sqlite3.connect(store / "store.sqlite") as db:
        return int(db.execute("SELECT sum(attempt) FROM cells").fetchone()[0])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def promise_of(promise: str, tried: str, expected: dict[str, str], found: dict[str, str], happened: bool = True) -> Row:
    """Whether two tables are one.

    Args:
        promise: In a few words.
        tried: How.
        expected: The table.
        found: The other.
        happened: Whether what was tried has happened.
    """
    same: Sequence[str] = [key for key, given in expected.items() if found.get(key) == given]
    kept = happened and len(same) == len(expected) == len(found)
    return Row(promise, tried, f"{len(same)} of {len(expected)} cells identical in weights and metrics", kept)
