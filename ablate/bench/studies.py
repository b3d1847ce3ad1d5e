"""Whole studies, start-up included: against scripts, against a loop written by hand, and with one worker against two."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .common import NORMALIZE, OPTIMIZERS, Size, augmented, compare, figure, run_ablate, study, write_arrays

Json = Any
Accuracies = dict[str, float]  # of each optimizer, the mean over seeds
TOLERANCE = 0.05  # of a mean accuracy, where the ways draw different random numbers


def against_scripts(size: Size) -> list[Json]:
    """The study as a script, as two scripts at a time, and as `ablate run`."""
    arrays = write_arrays(size)
    side = size.data().train.images.shape[2]
    figures = []
    took: dict[str, dict[str, float]] = {}
    for name, transforms in (("plain", {"normalize": NORMALIZE}), ("augmented", augmented(side))):
        document = study(size, f"bench-{name}", transforms)
        seconds, results = compare(
            {
                "script": _scripts(size, arrays, name == "augmented", 1),
                "two scripts": _scripts(size, arrays, name == "augmented", 2),
                "ablate": _ablate(size, document),
            },
            size.repeats,
        )
        took[name] = seconds
        same = all(abs(results["ablate"][key] - results["script"][key]) <= TOLERANCE for key in OPTIMIZERS)
        more = {"seconds": seconds, "accuracy": results, "results_agree": same}
        goal = "≥ 4" if name == "plain" else "≥ 5"
        figures.append(figure(f"study, {name}: script / ablate", seconds["script"] / seconds["ablate"], "×", goal, **more))
        ratio = seconds["two scripts"] / seconds["ablate"]
        figures.append(figure(f"study, {name}: two scripts at a time / ablate", ratio, "×", "≥ 2", **more))
    for way in ("script", "two scripts", "ablate"):
        tax = took["augmented"][way] / took["plain"][way]
        figures.append(figure(f"augmentation tax, {way}: augmented / plain", tax, "×"))
    return figures


def _scripts(size: Size, arrays: Path, augment: bool, at_once: int) -> Callable[[], Accuracies]:
    """Runs a script for each cell, some at a time; at two, with a thread each."""

    def way() -> Accuracies:
        waiting = [(name, seed) for name in OPTIMIZERS for seed in range(size.seeds)]
        found: dict[str, list[float]] = {name: [] for name in OPTIMIZERS}
        while waiting:
            now, waiting = waiting[:at_once], waiting[at_once:]
            processes = []
            for name, seed in now:
                settings = {"optimizer": name, "seed": seed, "epochs": size.epochs, "augment": augment}
                settings |= {"threads": 1} if at_once > 1 else {}
                processes.append((name, _start("ablate.bench.script", arrays, settings)))
            for name, process in processes:
                found[name].append(_finish(process)["accuracy"])
        return {name: sum(values) / len(values) for name, values in found.items()}

    return way


def _start(module: str, arrays: Path, settings: Json) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, str(arrays), json.dumps(settings)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603, no shell


def _finish(process: "subprocess.Popen[str]") -> Any:
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"a benchmark's process ended with code {process.returncode}")
    return json.loads(out)


def _cells(size: Size, document: Json, *options: str) -> Iterator[tuple[str, int, float]]:
    """Trains a study in a store of its own and gives (optimizer, seed, accuracy) of each cell."""
    store = size.work / f"store-{len(list(size.work.iterdir()))}"
    for cell in run_ablate(size, document, store, *options)["cells"]:
        yield cell["variant"].partition("=")[2], cell["seed"], cell["accuracy"]


def _ablate(size: Size, document: Json) -> Callable[[], Accuracies]:
    def way() -> Accuracies:
        cells = list(_cells(size, document))
        return {name: sum(a for n, _, a in cells if n == name) / size.seeds for name in OPTIMIZERS}

    return way


def against_hand(size: Size) -> list[Json]:
    """The best loop by hand, with a process for each of two cores, against `ablate run` on the same cells."""
    arrays = write_arrays(size)
    document = study(size, "bench-hand", {"normalize": NORMALIZE})

    def by_hand() -> dict[tuple[str, int], float]:
        halves = [[[name, seed] for seed in range(size.seeds)] for name in OPTIMIZERS]
        processes = [_start("ablate.bench.by_hand", arrays, {"epochs": size.epochs, "runs": runs}) for runs in halves]
        return {(name, seed): accuracy for process in processes for name, seed, accuracy in _finish(process)}

    def ablate() -> dict[tuple[str, int], float]:
        return {(name, seed): accuracy for name, seed, accuracy in _cells(size, document)}

    seconds, results = compare({"by hand": by_hand, "ablate": ablate}, size.repeats)
    gaps = [abs(results["ablate"][cell] - accuracy) for cell, accuracy in results["by hand"].items()]
    more = {"seconds": seconds, "largest_gap_in_accuracy": max(gaps), "results_agree": max(gaps) <= TOLERANCE}
    return [figure("honest: ablate / by hand", seconds["ablate"] / seconds["by hand"], "×", "≤ 1.05", **more)]


def scaling(size: Size) -> list[Json]:
    """One worker against two."""
    document = study(size, "bench-scaling", {"normalize": NORMALIZE})
    ways = {jobs: lambda jobs=jobs: sorted(_cells(size, document, "--jobs", jobs)) for jobs in ("1", "2")}
    seconds, results = compare(ways, size.repeats)
    more = {"seconds": seconds, "results_agree": results["1"] == results["2"]}
    return [figure("scaling: 1 worker / 2 workers", seconds["1"] / seconds["2"], "×", **more)]
