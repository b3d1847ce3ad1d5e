"""Whole studies against scripts, start-up included, and the training itself against a loop written by hand."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ablate.contracts import Json
from ablate.plan import make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.recipe import Recipe

from .common import NORMALIZE, OPTIMIZERS, Size, an_epoch, augmented, compare, figure, new_store, run_ablate, study, write_arrays

Accuracies = dict[str, float]  # of each optimizer, the mean over seeds
TOLERANCE = 0.05  # of a mean accuracy, where the ways draw different random numbers
LOADERS = 8  # at most so many worker processes load a script's images, where the GPU would wait for them
RESNET18 = {"model": {"use": "torchvision", "arch": "resnet18"}, "batch_size": 128, "precision": "bfloat16"}


def against_scripts(size: Size) -> list[Json]:
    """The study as a script, as two scripts at a time, and as `ablate run`."""
    arrays = write_arrays(size)
    side = next(iter(size.data().train.images)).shape[1]
    figures = []
    took: dict[str, dict[str, float]] = {}
    for name, transforms in (("plain", {"normalize": NORMALIZE}), ("augmented", augmented(side))):
        document = study(size, f"bench-{name}", transforms)
        seconds, results = compare(
            {
                "script": _scripts(size, arrays, document, 1),
                "two scripts": _scripts(size, arrays, document, 2),
                "ablate": _ablate(size, document),
            },
            size.repeats,
        )
        took[name] = seconds
        same = all(abs(results["ablate"][key] - results["script"][key]) <= TOLERANCE for key in OPTIMIZERS)
        more = {"seconds": seconds, "accuracy": results, "results_agree": same}
        goals = ("", "") if size.on_gpu else ("≥ 4" if name == "plain" else "≥ 5", "≥ 2")
        figures.append(figure(f"study, {name}: script / ablate", seconds["script"] / seconds["ablate"], "×", goals[0], **more))
        ratio = seconds["two scripts"] / seconds["ablate"]
        figures.append(figure(f"study, {name}: two scripts at a time / ablate", ratio, "×", goals[1], **more))
    for way in ("script", "two scripts", "ablate"):
        tax = took["augmented"][way] / took["plain"][way]
        figures.append(figure(f"augmentation tax, {way}: augmented / plain", tax, "×"))
    return figures


def _scripts(size: Size, arrays: Path, document: Json, at_once: int) -> Callable[[], Accuracies]:
    """Runs a script for each cell, some at a time; at two, with a thread each."""
    recipes = dict(recipes_of(document))

    def way() -> Accuracies:
        waiting = [(name, seed) for name in OPTIMIZERS for seed in range(size.seeds)]
        found: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
        while waiting:
            now, waiting = waiting[:at_once], waiting[at_once:]
            processes = [
                (name, start_script(size, arrays, recipes[f"optimizer={name}"], seed, size.epochs, 1 if at_once > 1 else None))
                for name, seed in now
            ]
            for name, process in processes:
                found[name].append(finish(process)["accuracy"])
        return {name: sum(values) / len(values) for name, values in found.items()}

    return way


def recipes_of(document: Json) -> list[tuple[str, Recipe]]:
    """The variants of a study by name."""
    return [(variant.name, variant.recipe) for variant in make_plan(load(document), default()).variants]


def start_script(
    size: Size, arrays: Path, recipe: Recipe, seed: int, epochs: int, threads: int | None
) -> "subprocess.Popen[str]":
    """A run as a script; with loading processes where a GPU trains, as scripts have them there."""
    workers = min(LOADERS, os.cpu_count() or 1) if size.on_gpu else 0
    settings = {"recipe": recipe, "seed": seed, "epochs": epochs, "threads": threads, "workers": workers}
    return _start("ablate.bench.script", arrays, {**settings, "device": size.device})


def _start(module: str, arrays: Path, settings: Json) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, str(arrays), json.dumps(settings)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603, no shell


def finish(process: "subprocess.Popen[str]") -> Any:
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a benchmark's process ended with code {process.returncode}")
    return json.loads(out)


def _cells(size: Size, document: Json) -> Iterator[tuple[str, int, float]]:
    """Trains a study in a store of its own and gives (optimizer, seed, accuracy) of each cell."""
    for cell in run_ablate(size, document, new_store(size))["cells"]:
        yield cell["variant"].partition("=")[2], cell["seed"], cell["accuracy"]


def _ablate(size: Size, document: Json) -> Callable[[], Accuracies]:
    def way() -> Accuracies:
        cells = list(_cells(size, document))
        return {name: sum(a for n, _, a in cells if n == name) / size.seeds for name in OPTIMIZERS}

    return way


def against_hand(size: Size) -> list[Json]:
    """The best loop by hand against `ablate run` on the same cells."""
    return one_on_gpu(size) if size.on_gpu else _two_processes(size)


def _two_processes(size: Size) -> list[Json]:
    """Four cells of the small network, by hand in a process for each of two cores; start-up included."""
    arrays = write_arrays(size)
    document = study(size, "bench-hand", {"normalize": NORMALIZE})

    def by_hand() -> dict[tuple[str, int], float]:
        halves = [[(name, seed) for seed in range(size.seeds)] for name in OPTIMIZERS]
        processes = [_start_by_hand(size, arrays, document, size.epochs, runs) for runs in halves]
        return {(name, seed): accuracy for process in processes for name, seed, accuracy in finish(process)}

    def ablate() -> dict[tuple[str, int], float]:
        return {(name, seed): accuracy for name, seed, accuracy in _cells(size, document)}

    seconds, results = compare({"by hand": by_hand, "ablate": ablate}, size.repeats)
    gaps = [abs(results["ablate"][cell] - accuracy) for cell, accuracy in results["by hand"].items()]
    more = {"seconds": seconds, "largest_gap_in_accuracy": max(gaps), "results_agree": max(gaps) <= TOLERANCE}
    return [figure("honest: ablate / by hand", seconds["ablate"] / seconds["by hand"], "×", "≤ 1.05", **more)]


def one_on_gpu(size: Size) -> list[Json]:
    """One cell of ResNet18; by hand its images are resident and its step is a captured graph. Without start-up."""
    arrays = write_arrays(size)
    document = study(size, "bench-hand", {"normalize": NORMALIZE})
    document = {"name": document["name"], "base": document["base"] | RESNET18, "seeds": 1}

    def by_hand(epochs: int) -> float:
        return float(finish(_start_by_hand(size, arrays, document, epochs, [("sgd", 0)]))[0][2])

    def ablate(epochs: int) -> float:
        return next(_cells(size, with_epochs(document, epochs)))[2]

    seconds, start, results = an_epoch({"by hand": by_hand, "ablate": ablate}, size.slope, size.repeats)
    gap = abs(results["ablate"] - results["by hand"])
    more = {"seconds_of_an_epoch": seconds, "seconds_of_the_start": start, "gap_in_accuracy": gap}
    ratio = seconds["ablate"] / seconds["by hand"]
    return [figure("honest: ablate / by hand, ResNet18", ratio, "×", "≤ 1.05", **more, results_agree=gap <= TOLERANCE)]


def with_epochs(document: Json, epochs: int) -> Json:
    """The study with so many epochs."""
    return {**document, "base": {**document["base"], "epochs": epochs}}


def _start_by_hand(size: Size, arrays: Path, document: Json, epochs: int, runs: list[tuple[str, int]]) -> "subprocess.Popen[str]":
    recipe = recipes_of(document)[0][1]
    settings = {"recipe": recipe, "epochs": epochs, "device": size.device, "runs": runs}
    return _start("ablate.bench.by_hand", arrays, settings)
