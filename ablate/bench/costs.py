"""What does not train: the cost of a cell, of a plan, of a large store, of starting the command; and the machine's ceiling."""

import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ablate.components.models import net, torchvision
from ablate.contracts import DataInfo, Json, Result
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.runner.job import Job, save
from ablate.spec import load
from ablate.store import Store

from .common import NORMALIZE, OPTIMIZERS, Size, compare, figure, run_ablate, timed


def _tiny(name: str, seeds: int) -> Json:
    """A study whose cells train for one step."""
    return {
        "name": name,
        "base": {
            "dataset": {"use": "digits", "size": 16, "limit": 20},
            "train_transforms": {"normalize": NORMALIZE},
            "eval_transforms": {"normalize": NORMALIZE},
            "model": {"use": "net"},
            "optimizer": OPTIMIZERS["sgd"],
            "epochs": 1,
        },
        "seeds": seeds,
    }


def fixed(size: Size) -> list[Json]:
    """Seconds a cell with one step, from the slope over two numbers of cells."""
    few, many = size.cells
    seconds = {}
    for count in size.cells:
        document = _tiny(f"bench-fixed-{count}", count)
        store = size.work / f"fixed-{count}"
        seconds[count] = timed(lambda d=document, s=store: run_ablate(size, d, s, "--jobs", "1"))[0]  # type: ignore[misc]
    slope = (seconds[many] - seconds[few]) / (many - few) * 1000
    return [figure("fixed cost of a cell, one worker", slope, "ms", "≤ 30", seconds=seconds), *_large(size), *_commands(size)]


def _large(size: Size) -> Iterator[Json]:
    """Plans of many cells, and a store that has them all."""
    many = size.planned // 10
    for variants in (many, 10):
        seconds, job = _planned(size, variants)
        yield figure(f"planning {variants:,} variants × {len(job.plan.seeds):,} seeds", seconds, "s", "≤ 1")
    directory = size.work / "large"
    with Store(directory) as store:
        save(job, store, warnings.warn)
        for planned in job.cells:
            store.claim(planned.cell, {})
            record = {"epoch": 1, "train_loss": 1.0, "lr": 0.1, "seconds": 1.0, "images_per_second": 1.0}
            metrics: dict[str, float | None] = {"accuracy": planned.seed / size.planned, "loss": 1.0}
            store.finish(planned.cell.key, Result([{**record, **metrics}], metrics, "", 1.0, 1))
    command = [sys.executable, "-m", "ablate", "report", "bench-large", "--store", str(directory), "--format", "markdown"]
    seconds, _ = timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))  # noqa: S603, no shell
    yield figure(f"opening and reporting a store with {len(job.cells):,} cells", seconds, "s", "≤ 3")


def _planned(size: Size, variants: int) -> tuple[float, Job]:
    """Seconds to plan so many variants with all seeds, without what is imported once a process."""
    document = _tiny("bench-large", size.planned // variants)
    document["factors"] = {"lr": {f"{n}": {"optimizer": {"lr": 0.01 * (n + 1)}} for n in range(variants - 1)}}
    registry = default()

    def way() -> Job:
        plan = make_plan(load(document), registry)
        return Job(plan, make_cells(plan, registry, size.environment, "cpu"), registry, size.environment, "cpu")

    way()  # imports the components, and scikit-learn, which has the images
    seconds, results = compare({"plan": way}, size.repeats)
    return seconds["plan"], results["plan"]


def _commands(size: Size) -> Iterator[Json]:
    """CPU time of commands that import nothing heavy, beyond that of a bare interpreter."""
    bare = _cpu_seconds(size, "-c", "pass")
    for words in (["list"], ["--help"]):
        yield figure(f"ablate {words[0]}, CPU time", _cpu_seconds(size, "-m", "ablate", *words) - bare, "s", "≤ 0.3")


def _cpu_seconds(size: Size, *arguments: str) -> float:
    """The least CPU time of several runs: what is above it is noise."""
    least = float("inf")
    for _ in range(size.repeats + 2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)  # noqa: S603, no shell
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least


def ceiling(size: Size) -> list[Json]:
    """FLOP/s of training the small network, the wide one and ResNet18, over those of a large product of matrices; one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        side = 1024
        left, right = torch.rand(side, side), torch.rand(side, side)
        best = max(2 * side**3 / timed(lambda: left @ right)[0] for _ in range(5 * size.repeats))
        made = [figure("matrix product, float32, one thread", best / 1e9, "GFLOP/s")]
        info = DataInfo(3, 32, 32, 10)
        models = {
            "net 6-16": net(info),
            "net 256-256": net(info, channels=(256, 256)),
            "resnet18": torchvision(info, arch="resnet18"),
        }
        for name, model in models.items():
            rate = _training_rate(model, size.repeats)
            made.append(figure(f"training {name}, batch 64, over the matrix product", rate / best, "×", gflops=rate / 1e9))
        return made
    finally:
        torch.set_num_threads(threads)


def _training_rate(model: nn.Module, repeats: int) -> float:
    """FLOP/s of forward and backward."""
    model.to(memory_format=torch.channels_last)
    images = torch.rand(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(64) % 10

    def step() -> None:
        nn.functional.cross_entropy(model(images), labels).backward()

    with FlopCounterMode(display=False) as counter:
        step()
    best = 0.0
    for _ in range(10 * repeats):
        started = time.perf_counter()
        step()
        best = max(best, counter.get_total_flops() / (time.perf_counter() - started))
    return best
