"""Photographs on their way into a training: images a second of CPU time, against the ways of scripts and libraries."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np

from ablate.components import recorded
from ablate.contracts import Json
from ablate.errors import EnvironmentProblem
from ablate.executors import KEEP_MEMORY
from ablate.photographs import Photographs

from .common import Size, figure
from .loading import WAYS

MADE = (375, 500)  # height and width of photographs that are made where the dataset has none
MOST = 2000  # photographs that are loaded
ALONE = "decoding alone"  # simplejpeg, whole photographs
NEEDS = {"timm": "timm", "DataLoader, simplejpeg": "simplejpeg", "DataLoader, torchcodec": "torchcodec", ALONE: "simplejpeg"}
GOALS = {"DataLoader, PIL": "≥ 2.5", "timm": "≥ 1.5", "DataLoader, simplejpeg": "≥ 1.0", "DataLoader, torchcodec": "≥ 1.0"}


def photographs(size: Size) -> list[Json]:
    """Ratios of the CPU time that an image takes."""
    folder = size.work / "photographs"
    files = list(_files(size))
    (folder / "files" / "all").mkdir(parents=True)
    for name, content in files:
        (folder / "files" / "all" / name).write_bytes(content)
    for kept in ("encoded", "decoded"):
        recorded.write(folder / kept, [0] * len(files), files, 3, kept == "decoded")
    ways = [way for way in WAYS if way not in NEEDS or find_spec(NEEDS[way])]
    done: dict[str, list[Json]] = {way: [] for way in ways}
    for _ in range(size.repeats):
        for way in ways:
            done[way].append(_run("loading", way, str(folder), as_worker=way.startswith("ablate")))
    rates = {way: median(run["images"] / run["seconds"] for run in runs) for way, runs in done.items()}
    agree = len({run["digest"] for way in ways if way.startswith("ablate") for run in done[way]}) == 1
    made = []
    for kept in ("encoded", "decoded"):
        own = f"ablate, {kept}"
        for way in ways:
            if way in GOALS:
                ratio, goal = rates[own] / rates[way], GOALS[way] if kept == "encoded" else ""
                more = {
                    "images_per_second": {own: rates[own], way: rates[way]},
                    "memory_mib": max(run["memory"] for run in done[own]),
                    "results_agree": agree,
                }
                made.append(figure(f"photographs, kept {kept}: ablate / {way}", ratio, "×", goal, **more))
    if ALONE in ways:
        pil = "DataLoader, PIL"
        both = {way: rates[way] for way in (ALONE, pil)}
        made.append(figure(f"photographs, {ALONE} / {pil}", rates[ALONE] / rates[pil], "×", images_per_second=both))
    return [*made, _tax(folder, size)]


def _tax(folder: Path, size: Size) -> Json:
    """What loading and augmenting photographs adds to a training, as a ratio of CPU times."""
    done = [_run("tax", str(folder), str(max(1, size.images // 2048))) for _ in range(size.repeats)]
    ratio = median(run["loaded"] / run["kept"] for run in done)
    return figure("photographs, ResNet18 at 224: loaded and augmented / kept tensors", ratio, "×", "≤ 1.05", runs=done)


def _files(size: Size) -> Iterator[tuple[str, bytes]]:
    """The files of the dataset's photographs; where it has none, some that are made."""
    images = size.data().train.images
    if isinstance(images, Photographs):
        for place in range(min(len(images), MOST)):
            yield f"{place:05}.jpg", images.encoded(place)
        return
    for place in range(min(size.images, MOST)):
        yield f"{place:05}.jpg", _made(place)


def _made(seed: int) -> bytes:
    """A JPEG file of smooth colours with the noise of a camera."""
    import io

    from PIL import Image

    height, width = MADE
    draws = np.random.default_rng(seed)
    smooth = Image.fromarray(draws.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(smooth, np.float32) + draws.normal(0, 6, (height, width, 3))
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=92)
    return file.getvalue()


def _run(module: str, *arguments: str, as_worker: bool = True) -> Json:
    """What a module of this package prints, in a process with the environment of a worker or of a script."""
    command = [sys.executable, "-m", f"ablate.bench.{module}", *arguments]
    environment = {**(KEEP_MEMORY if as_worker else {}), **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603, no shell
    if done.returncode:
        raise EnvironmentProblem(f"{module} of photographs {list(arguments)} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])
