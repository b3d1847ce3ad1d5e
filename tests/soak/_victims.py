"""What writes, tried on a disk that fails at each place in turn: `python -m tests.soak._victims`, started by `disks.py`.

This process has the failing disk of `_faults.py` in it, and prints what it found as JSON.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ablate.components.image_folder import image_folder
from ablate.contracts import Cell, Environment, Result
from ablate.engine import checkpoint
from ablate.errors import AblateError
from ablate.report import files
from ablate.store import Store

from ._faults import KINDS, Faults, Kind

RESULT = Result([{"epoch": 1, "accuracy": 0.5}], {"accuracy": 0.5}, "w", 1.0, 7)
REMEDIES = ("Make room", "put a copy in its place")


@dataclass(frozen=True)
class Victim:
    """Something that writes.

    Attributes:
        before: Makes what is there before, in a folder that does not exist.
        act: Writes.
        state: What is there, as one text; fails where something is there in parts.
        after: The state when all was written.
    """

    before: Callable[[Path], object]
    act: Callable[[Path], object]
    state: Callable[[Path], str]
    after: str


def _save(value: float) -> Callable[[Path], None]:
    return lambda folder: checkpoint.save(folder / "c.safetensors", "key", {"x": torch.full((999,), value)})


def _saved(folder: Path) -> str:
    loaded = checkpoint.load(folder / "c.safetensors", "key", torch.device("cpu"))
    assert loaded is not None
    (value,) = loaded["x"].unique().tolist()
    return str(value)


def _report(text: str) -> Callable[[Path], None]:
    return lambda folder: files.write(folder / "report.html", text * 9999)


def _reported(folder: Path) -> str:
    (word,) = set((folder / "report.html").read_text().split())
    return word


def _train(*names: str) -> Callable[[Path], None]:
    """What a driver does with a store: a study, and a cell after the other."""

    def act(folder: Path) -> None:
        with Store(folder) as store:
            record = {"question": "?" * 2000, "compare": {}, "variants": [], "metrics": ["accuracy"], "published": {}}
            store.save_study("s", {"cells": list(names)}, record, [("base", seed, name) for seed, name in enumerate(names)])
            for name in names:
                if store.claim(Cell(name, {"text": name * 3000}, 0, "cpu", {}), {}) == "claimed":
                    store.record_epoch(name, RESULT.epochs[0])
                    assert store.finish(name, RESULT)

    return act


def _stored(folder: Path) -> str:
    with Store(folder) as store:
        return " ".join(sorted(store.stored(["a", "b", "c"]))) + f" of {store.studies() and store.spec('s')}"


def _images(folder: Path) -> None:
    """Two classes of four images, beside the folder of the cache."""
    for index in range(16):
        place = folder.with_name("images") / ("train", "test")[index % 2] / "ab"[index // 2 % 2] / f"{index}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            Image.fromarray(np.full((64, 64, 3), index, np.uint8)).save(place)


def _decode(folder: Path) -> str:
    handle = image_folder(Environment(folder, False), path=str(folder.with_name("images")))
    handle.fingerprint()
    return str(handle.load().train.images[:, 0, 0, 0].tolist())


VICTIMS = {
    "checkpoint": Victim(_save(1.0), _save(2.0), _saved, "2.0"),
    "report": Victim(_report("old "), _report("new "), _reported, "new"),
    "store": Victim(_train("a"), _train("a", "b", "c"), _stored, "a b c of {'cells': ['a', 'b', 'c']}"),
    "new store": Victim(lambda folder: None, _train("a", "b"), _stored, "a b of {'cells': ['a', 'b']}"),
    "image cache": Victim(_images, _decode, lambda folder: "", ""),
}


def attempt(victim: Victim, faults: Faults, folder: Path, kind: Kind, at: int) -> tuple[int, list[str]]:
    """Lets a victim write on a disk that fails at one place, and again when it is mended.

    Returns:
        How much it wrote, and what went wrong.
    """
    shutil.rmtree(folder, ignore_errors=True)
    victim.before(folder)
    found = []
    faults.begin(folder, kind, at)
    error: Exception | None = None
    try:
        victim.act(folder)
    except Exception as raised:
        error = raised
    count = faults.end()
    if error is not None:
        message = str(error)
        if not isinstance(error, AblateError) or str(folder) not in message or not any(r in message for r in REMEDIES):
            found.append(f"{type(error).__name__} without place or remedy: {message}")
    try:
        state = victim.state(folder)
        if error is None and state != victim.after:
            found.append(f"no error, and {state} is there")
        victim.act(folder)
        if victim.state(folder) != victim.after:
            found.append(f"mended, and {victim.state(folder)} is there")
    except Exception as raised:
        found.append(f"what is there is not whole: {type(raised).__name__}: {raised}")
    return count, found


def main(directory: Path, quick: bool) -> None:
    faults, folder = Faults(directory), directory / "disk"
    for name, victim in VICTIMS.items():
        places, problems = attempt(victim, faults, folder, Kind(0, False), 1)
        tried = 0
        for shift, (kind_name, kind) in enumerate(KINDS.items()):
            step = max(1, places // 8) if quick else 1
            for at in range(1 + shift % step, places + 1, step):
                _, found = attempt(victim, faults, folder, kind, at)
                problems += [f"{kind_name} at {at}: {message}" for message in found]
                tried += 1
        print(json.dumps({"name": name, "tried": tried, "places": places, "problems": problems}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), "--quick" in sys.argv)
