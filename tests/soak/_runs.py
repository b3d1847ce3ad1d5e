"""`ablate run` on a disk that fails at each place in turn: `python -m tests.soak._runs`, started by `disks.py`.

Each run is a fork of this process, which has run a study already, and trains cells without a worker process, which takes a second
or so. All of it is on the failing disk: the store, checkpoints, decoded images, reports.
"""

import io
import json
import os
import re
import shutil
import sqlite3
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image

from ablate import cli
from ablate.contracts import Cell
from ablate.engine import checkpoint
from ablate.executors import event_of, local, order
from ablate.executors.training import messages

from ._faults import KINDS, Faults, Kind

SAMPLE = {"full": (0.5,), "broken once": (0.3,), "read-only": (0.05,)}
REMEDY = re.compile(r"Make room|put a copy in its place|Delete ")
SPEC: dict[str, Any] = {
    "name": "tiny",
    "base": {
        "dataset": {"use": "image_folder", "size": 16},
        "train_transforms": {"normalize": {"use": "normalize", "mean": [0.5] * 3, "std": [0.5] * 3}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5] * 3, "std": [0.5] * 3}},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 12,
        "epochs": 1,
    },
    "factors": {"batch_norm": {"on": {"model": {"batch_norm": True}}}},
    "checkpoint_seconds": 0,
}


@contextmanager
def inline(_: int, /) -> Iterator[Callable[..., Iterator[Any]]]:
    """The local executor without worker processes."""

    def run(settings: Any, take: Callable[[], Cell | None], stop: Event) -> Iterator[Any]:
        while not stop.is_set() and (cell := take()):
            for message in messages(order(cell, settings), stop.is_set):
                if message is not None:
                    yield event_of(cell.key, message)

    yield run


@dataclass(frozen=True)
class Ended:
    """A run that has ended, with its exit code (negative: by a signal), and what it said."""

    code: int
    said: str


def command(spec: Path, disk: Path, *overrides: str) -> int:
    """`ablate run` in this process; its exit code."""
    words = [word for override in overrides for word in ("--set", override)]
    places = ["--store", str(disk / "store"), "--data-dir", str(disk / "data"), "--device", "cpu"]
    sys.argv = ["ablate", "run", str(spec), *words, *places]
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


def run(place: Path, seeds: int) -> Ended:
    """`ablate run`, in a fork."""
    out = place / "out"
    process = os.fork()
    if process == 0:
        code = 70
        try:
            target = os.open(out, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(target, 1)
            os.dup2(target, 2)
            code = command(place / "spec.json", place / "disk", f"seeds={seeds}")
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(process, 0)
    return Ended(os.waitstatus_to_exitcode(status), out.read_text(errors="replace"))


def cells(store: Path) -> dict[str, tuple[Any, ...]]:
    """The results in a store, each with how often it was trained; fails where the file is not whole."""
    if not (store / "store.sqlite").exists():
        return {}
    with closing(sqlite3.connect(store / "store.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not db.execute("PRAGMA user_version").fetchone()[0]:
            return {}
        query = "SELECT key, weights_sha256, metrics, attempt FROM cells WHERE status = 'done'"
        return {key: tuple(rest) for key, *rest in db.execute(query)}


def table(disk: Path) -> str:
    """The table of the report, but for the time that it took."""
    return pd.read_csv(disk / "store" / "reports" / "tiny" / "summary.csv").drop(columns="seconds").to_csv()


def damage(disk: Path, old: dict[str, bytes]) -> Iterator[str]:
    """Checkpoints and files of the report that are neither old nor whole."""
    for path in (disk / "store" / "checkpoints").glob("[!.]*.safetensors"):
        checkpoint.load(path, path.stem, torch.device("cpu"))
    ends = {
        ".html": b"</html>",
        ".tex": b"}",
        ".md": b"",
        ".csv": b"\n",
        ".json": b"}",
        ".svg": b"</svg>",
        ".pdf": b"%%EOF",
        ".png": b"IEND",
    }
    for path in (disk / "store" / "reports").rglob("[!.]*.*"):
        data = path.read_bytes()
        if data != old.get(path.name) and (not data or ends[path.suffix] not in data[-16:]):
            yield f"{path.name} is neither old nor whole"


def complaints(ended: Ended, disk: Path, failed: list[str]) -> Iterator[str]:
    """What is wrong with how a run ended."""
    said = ended.said.strip().splitlines()
    errors = [line for line in said if line.startswith("error: ")]
    if "Traceback" in ended.said or ended.code not in (0, 1, 3):
        yield f"it ended with code {ended.code}: {said[-1:]}"
    elif ended.code == 0 and errors:
        yield f"code 0, and {errors}"
    elif ended.code and len(errors) != 1:
        yield f"code {ended.code} with {len(errors)} errors"
    elif ended.code == 3 and not (str(disk) in errors[0] and REMEDY.search(errors[0])):
        yield f"no place or no remedy: {errors[0]}"
    elif ended.code == 1 and not all(str(disk) in text and REMEDY.search(text) for text in failed):
        yield f"no place or no remedy: {failed}"


def attempt(place: Path, faults: Faults, kind: Kind, at: int, whole: dict[str, Any]) -> tuple[int, int, list[str]]:
    """A run on a disk that fails at one place, and another when it is mended.

    Returns:
        The first one's exit code, how much was written, and what went wrong.
    """
    disk = place / "disk"
    shutil.rmtree(disk, ignore_errors=True)
    shutil.copytree(place / "before", disk)
    old = {path.name: path.read_bytes() for path in (disk / "store" / "reports").rglob("*.*")}
    had = cells(disk / "store")
    faults.begin(disk, kind, at)
    ended = run(place, 2)
    count = faults.end()
    found = []
    try:
        has = cells(disk / "store")
        with closing(sqlite3.connect(disk / "store" / "store.sqlite")) as db:
            failed = [error for (error,) in db.execute("SELECT error FROM cells WHERE status = 'failed'")]
        found += [*complaints(ended, disk, failed), *damage(disk, old)]
        if ended.code == 0 and table(disk) != whole["table"]:
            found.append("code 0, and another table")
        if not had.items() <= has.items():
            found.append("a result was lost, or trained again")
        again = run(place, 2)
        now = cells(disk / "store")
        if again.code or table(disk) != whole["table"] or {key: row[:2] for key, row in now.items()} != whole["cells"]:
            found.append(f"mended, it ended with {again.code} and another table: {again.said[-300:]}")
        if not has.items() <= now.items():
            found.append("a result was lost, or trained again, when it was mended")
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}")
    return ended.code, count, found


def write_spec(place: Path) -> Path:
    """A study of folders of images, and the images."""
    for index in range(48):
        path = place / "images" / ("train" if index % 4 else "test") / "ab"[index // 4 % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(index).integers(0, 128, (16, 16, 3)) + 100 * (index // 4 % 2)
        Image.fromarray(noise.astype(np.uint8)).save(path)
    SPEC["base"]["dataset"]["path"] = str(place / "images")
    (place / "spec.json").write_text(json.dumps(SPEC))
    return place / "spec.json"


def prepare(place: Path) -> dict[str, Any]:
    """A study with one seed as what was there before, without its decoded images; and what two seeds give undisturbed."""
    write_spec(place)
    first = run(place, 1)
    assert first.code == 0, first.said
    shutil.rmtree(place / "disk" / "data")
    shutil.copytree(place / "disk", place / "before")
    assert run(place, 2).code == 0
    return {"cells": {key: row[:2] for key, row in cells(place / "disk" / "store").items()}, "table": table(place / "disk")}


def main(place: Path, quick: bool) -> None:
    local.local = inline  # type: ignore[assignment]
    torch.set_num_threads(1)
    faults = Faults(place)
    with redirect_stdout(io.StringIO()):  # what is imported and cached now is so for all forks
        (place / "warm.json").write_text(json.dumps(SPEC))
        assert (
            command(place / "warm.json", place / "warm", 'base.dataset={"use": "digits", "size": 16, "channels": 3}', "seeds=1")
            == 0
        )
    whole = prepare(place)
    _, places, problems = attempt(place, faults, Kind(0, False), 1, whole)
    for kind_name, kind in KINDS.items():
        every = sorted(1 + int(part * places) for part in SAMPLE.get(kind_name, ())) if quick else range(1, places + 1)
        codes: dict[int, int] = {}
        for at in every:
            code, _, found = attempt(place, faults, kind, at, whole)
            codes[code] = codes.get(code, 0) + 1
            problems += [f"at {at}: {message}" for message in found]
            if found:
                print(f"{kind_name} at {at}: {found}", file=sys.stderr, flush=True)
        if every:
            print(json.dumps({"name": kind_name, "places": places, "codes": codes, "problems": problems}), flush=True)
        problems = []


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--quick" in sys.argv)
