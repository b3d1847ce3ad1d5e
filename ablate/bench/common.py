"""What the parts of the benchmark share: sizes, the study that is timed, and interleaved timing."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ablate.contracts import Data, Environment, Json
from ablate.registry import build, default

OPTIMIZERS: Mapping[str, Json] = {
    "sgd": {"use": "sgd", "lr": 0.001, "momentum": 0.9},
    "adam": {"use": "adam", "lr": 0.001},
}
NORMALIZE = {"use": "normalize", "mean": [0.5], "std": [0.5]}


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        dataset: Spec of the images.
        environment: Where data is.
        epochs: Epochs of each run of the study.
        seeds: Seeds of each of its two optimizers.
        repeats: How often everything is measured.
        images: Images of an augmentation.
        cells: Two numbers of cells, whose difference in time gives the cost of a cell.
        planned: Cells of a large plan, and of a large store.
        slope: Two numbers of epochs, whose difference in time gives the time of an epoch without any start-up.
        at_once: Numbers of cells that are trained at once; the first is 1.
        specs: Studies whose time is extrapolated.
        spec_seeds: Seeds of each of them.
        device: `cpu`, `cuda` or `cuda:N`.
        work: An empty directory.
    """

    dataset: Json
    environment: Environment
    epochs: int
    seeds: int
    repeats: int
    images: int
    cells: tuple[int, int]
    planned: int
    slope: tuple[int, int]
    at_once: tuple[int, ...]
    specs: tuple[Path, ...]
    spec_seeds: int
    device: str
    work: Path

    @property
    def on_gpu(self) -> bool:
        return self.device != "cpu"

    def data(self) -> Data:
        data: Data = build(default(), "dataset", self.dataset, self.environment).load()
        return data


def augmented(size: int) -> Json:
    """The training transforms of the best recipe of the seed studies."""
    return {
        "flip": {"use": "random_horizontal_flip"},
        "pad": {"use": "pad", "padding": 2},
        "crop": {"use": "random_crop", "size": size},
        "augment": {"use": "random_apply", "p": 0.6, "transforms": {"auto_augment": {"use": "auto_augment"}}},
        "normalize": NORMALIZE,
    }


def study(size: Size, name: str, transforms: Json) -> Json:
    """Two optimizers × seeds of the small network, batch 64."""
    return {
        "name": name,
        "base": {
            "dataset": size.dataset,
            "train_transforms": transforms,
            "eval_transforms": {"normalize": NORMALIZE},
            "model": {"use": "net"},
            "optimizer": OPTIMIZERS["sgd"],
            "batch_size": 64,
            "epochs": size.epochs,
        },
        "factors": {"optimizer": {"sgd": {}, "adam": {"optimizer": OPTIMIZERS["adam"]}}},
        "seeds": size.seeds,
    }


def write_arrays(size: Size) -> Path:
    """The images as plain arrays, so that every way reads the same ones."""
    data = size.data()
    path = size.work / "images.npz"
    if not path.exists():
        parts = {"train": data.train, "test": data.test}
        arrays = {f"{name}_{key}": getattr(part, key) for name, part in parts.items() for key in ("images", "labels")}
        np.savez(path, **arrays)
    return path


def new_store(size: Size) -> Path:
    """Where a store can be made that nothing else uses."""
    return size.work / f"store-{len(list(size.work.iterdir()))}"


def run_ablate(size: Size, document: Json, store: Path, *options: str) -> Json:
    """`ablate run` in a fresh process with an empty store; returns what it prints as JSON."""
    path = size.work / f"{document['name']}.json"
    path.write_text(json.dumps(document))
    command = [sys.executable, "-m", "ablate", "run", str(path), "--store", str(store), "--device", size.device, "--json"]
    data = ["--data-dir", str(size.environment.data_dir)]
    done = subprocess.run([*command, *data, *options], capture_output=True, text=True, check=True)  # noqa: S603, no shell
    return json.loads(done.stdout)


def timed(way: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and what the way returned."""
    started = time.perf_counter()
    result = way()
    return time.perf_counter() - started, result


def compare(ways: Mapping[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, float], dict[str, Any]]:
    """Times several ways in turn, again and again.

    Returns:
        The median seconds of each, and the last result of each.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            took, results[name] = timed(way)
            seconds[name].append(took)
    return {name: statistics.median(values) for name, values in seconds.items()}, results


def an_epoch(
    ways: Mapping[str, Callable[[int], Any]], epochs: tuple[int, int], repeats: int
) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
    """Times ways of training for two numbers of epochs.

    Returns:
        Seconds of an epoch of each way, its seconds without any epoch, and what it returned for the larger number.
    """
    few, many = epochs
    runs = {(name, count): partial(way, count) for name, way in ways.items() for count in epochs}
    seconds, results = compare({f"{name}, {count}": run for (name, count), run in runs.items()}, repeats)
    slopes = {name: (seconds[f"{name}, {many}"] - seconds[f"{name}, {few}"]) / (many - few) for name in ways}
    start = {name: seconds[f"{name}, {few}"] - few * slopes[name] for name in ways}
    return slopes, start, {name: results[f"{name}, {many}"] for name in ways}


def figure(name: str, value: float, unit: str, goal: str = "", **more: Any) -> Json:
    """One line of the result."""
    return {"figure": name, "value": value, "unit": unit, "goal": goal, **more}
