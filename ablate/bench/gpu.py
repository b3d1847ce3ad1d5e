"""What is open until a GPU has measured it: whether cells at once have the bits of cells alone, and what an epoch takes.

Everything but studies and scripts is trained in this process, a batch of each cell at a time, as a worker does it.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.contracts import Cell, Json, Result
from ablate.engine.turns import arithmetic
from ablate.errors import AblateError, UsageError
from ablate.executors import Settings, order
from ablate.executors.training import messages
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.report.tables import plural
from ablate.spec import load
from ablate.spec.identity import canonical_json
from ablate.spec.recipe import Recipe

from . import by_hand, script
from .common import NORMALIZE, OPTIMIZERS, Size, figure, new_store, run_ablate, study, timed, write_arrays
from .epochs import distinct_recipes
from .studies import RESNET18, TOLERANCE, finish, start_script

SECONDS = 500  # for all of it; what is not begun by then is not measured
EPOCHS = 6  # at most, of cells at once
BY_HAND = 4, 2  # epochs, of which the first is not counted, and repetitions, at most
OVER = f"the {SECONDS} seconds of this part were over"
AT_ONCE = 16  # cells, at most
SEEDS = 2  # that studies are timed with
IMAGES = 5120  # of an epoch of a script, which is extrapolated
DROPOUT = {"use": "net", "dropout": 0.3, "batch_norm": True}
RECIPES: Mapping[str, Json] = {  # that are trained alone and at once
    "sgd": {},
    "adam": {"optimizer": OPTIMIZERS["adam"]},
    "dropout": {"model": DROPOUT},
    "dropout, EMA, clipping": {"model": DROPOUT, "ema": 0.99, "grad_clip": 1.0},
    "bfloat16": {"precision": "bfloat16", "model": DROPOUT},
    "accumulation": {"accumulate": 2, "model": DROPOUT},
    "ResNet18": RESNET18,
}


def gpu(size: Size) -> list[Json]:
    """Every figure that needs a GPU, in the order of what matters most; each is there, measured or with why it is not."""
    ends = time.monotonic() + SECONDS
    made: list[Json] = []
    rows: Sequence[tuple[str, Callable[[Size], Iterator[Json]]]] = (
        ("cells at once with the bits of cells alone", _same_bits),
        ("cells of the small network at once, over one at a time", _at_once),
        ("an epoch of ResNet18: ablate / by hand", _against_hand),
        ("a cell alone", _alone),
        ("studies: script / ablate", partial(_against_scripts, ends=ends)),
    )
    for name, measured in rows:
        if time.monotonic() > ends:
            made.append(_not_measured(name, OVER))
            continue
        try:
            made += measured(size)
        except (AblateError, RuntimeError) as error:  # a row that cannot be measured costs none of the others
            made.append(_not_measured(name, str(error)))
    return made


def _not_measured(name: str, why: str) -> Json:
    return {"figure": name, "value": None, "unit": "", "goal": "", "why": why}


def _cells(size: Size, name: str, changes: Json, epochs: int, seeds: int) -> list[Cell]:
    """Cells of the small network, with some of its recipe changed."""
    document = study(size, name, {"normalize": NORMALIZE})
    base = {**document["base"], **changes, "epochs": epochs, "eval_every": epochs}
    plan = make_plan(load({"name": name, "base": base, "seeds": seeds}), default())
    cells = make_cells(plan, default(), size.environment, torch.device(size.device).type)
    return [planned.cell for planned in cells]


def _trained(size: Size, cells: Sequence[Cell]) -> list[Result]:
    """The results of cells that take turns in this process, as in a worker.

    Raises:
        RuntimeError: A cell failed.
    """
    folder = size.work / f"states-{len(list(size.work.iterdir()))}"
    settings = Settings(len(cells), len(cells), size.device, size.environment, folder, checkpoint_seconds=float("inf"))
    running = [messages(order(cell, settings), lambda: False) for cell in cells]
    last: dict[int, Json] = {}
    while len(last) < len(cells):
        for place, told in enumerate(running):
            if place in last:
                continue
            message = next(told)
            if message is not None and message["event"] == "failed":
                raise RuntimeError(message["error"])
            if message is not None and message["event"] == "done":
                last[place] = message["result"]
    return [Result.from_json(last[place]) for place in range(len(cells))]


def _same_bits(size: Size) -> Iterator[Json]:
    """Cells of several recipes: each alone, again, and all of them at once."""
    cells = {name: _cells(size, "bits", changes, min(2, size.slope[1]), SEEDS) for name, changes in RECIPES.items()}
    alone = {name: [_trained(size, [cell])[0] for cell in some] for name, some in cells.items()}
    again = {name: [_trained(size, [cell])[0] for cell in some[:1]] for name, some in cells.items()}
    together = iter(_trained(size, [cell for some in cells.values() for cell in some]))
    at_once = {name: [next(together) for _ in some] for name, some in cells.items()}
    why = {
        name: next((one["eager_because"] for one in some[0].epochs if "eager_because" in one), "")
        for name, some in at_once.items()
    }
    for what, some in (("again", again), ("at once", at_once)):
        same = {name: _bits(found) == _bits(alone[name][: len(found)]) for name, found in some.items()}
        count, agree = sum(same.values()), all(same.values())
        more: Json = {"same_bits": same, "eager_because": why, "results_agree": agree}
        yield figure(f"recipes with the same bits {what}, of {len(same)}", count, "", f"{len(same)}", **more)


def _bits(results: Sequence[Result]) -> list[str | None]:
    return [result.weights_sha256 for result in results]


def _at_once(size: Size) -> Iterator[Json]:
    """Several cells of the small network at once against one at a time, by the seconds that their epochs take."""
    few, many = size.slope[0], min(size.slope[1], EPOCHS)
    seconds, bits = {}, {}
    for count in (count for count in size.at_once if count <= AT_ONCE):
        took = {}
        for epochs in (few, many):
            took[epochs], results = timed(partial(_trained, size, _cells(size, "scaling", {}, epochs, count)))
        seconds[count] = (took[many] - took[few]) / (many - few)
        bits[count] = results[0].weights_sha256
        if count > 1:
            ratio, goal = count * seconds[1] / seconds[count], "≥ 8" if count == AT_ONCE else ""
            more = {"seconds_of_an_epoch": dict(seconds), "results_agree": bits[count] == bits[1]}
            yield figure(f"{count} cells of the small network at once / one", ratio, "×", goal, **more)


def _against_hand(size: Size) -> Iterator[Json]:
    """ResNet18 as the engine trains it, and as a loop does that has all images normalised on the device and its step as a graph.

    The loop computes as the engine does, and again as fast as it may: with the fastest convolutions, and sums in any order.
    """
    (cell,) = _cells(size, "hand", RESNET18, min(size.slope[1], BY_HAND[0]), 1)
    images = by_hand.on_device(write_arrays(size), torch.device(size.device))
    settings = {"recipe": cell.recipe, "epochs": cell.recipe["epochs"]}
    seconds: dict[str, list[float]] = {"ablate": [], "by hand": [], "by hand, fastest": []}
    accuracies = {}
    for _ in range(min(size.repeats, BY_HAND[1])):
        (result,) = _trained(size, [cell])
        seconds["ablate"] += [record["seconds"] for record in result.epochs[1:]]
        accuracies["ablate"] = result.metrics["accuracy"] or 0.0
        for name, fastest in (("by hand", False), ("by hand, fastest", True)):
            with _fastest() if fastest else arithmetic(cell.recipe["precision"]):
                accuracies[name], took = by_hand.trained(images, settings, "sgd", 0)
            seconds[name] += took[1:]
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    gap = abs(accuracies["ablate"] - accuracies["by hand"])
    more: Json = {"seconds_of_an_epoch": medians, "accuracy": accuracies}
    ratio = medians["ablate"] / medians["by hand"]
    yield figure("an epoch of ResNet18: ablate / by hand", ratio, "×", "≤ 1.05", **more, results_agree=gap <= TOLERANCE)
    yield figure(
        "the same sums each time / the fastest ones, by hand", medians["by hand"] / medians["by hand, fastest"], "×", **more
    )


@contextmanager
def _fastest() -> Iterator[None]:
    """The fastest arithmetic that torch has: TensorFloat-32, and whichever kernels are fastest, with sums in any order."""
    backends: Any = torch.backends
    with arithmetic("tf32"):  # which puts back what it was
        backends.cudnn.deterministic, backends.cudnn.benchmark = False, True
        yield


def _alone(size: Size) -> Iterator[Json]:
    """One cell of each study that the script does not know, from its beginning to its result; the second time, warm."""
    _, others = _studies(size)
    if not others:
        raise UsageError("name studies of other recipes than a script has, such as --spec plugins/ablate-speedrun/speedrun.json")
    for document in others:
        plan = make_plan(load({**document, "seeds": 1}), default())
        cell = make_cells(plan, default(), size.environment, torch.device(size.device).type)[0].cell
        first, _ = timed(partial(_trained, size, [cell]))
        warm, (result,) = timed(partial(_trained, size, [cell]))
        yield figure(f"{document['name']}: a cell alone", warm, "s", "", first_seconds=first, metrics=result.metrics)


def _against_scripts(size: Size, ends: float) -> Iterator[Json]:
    """All cells of the studies as scripts, one after another, against `ablate run`.

    An epoch of a script is extrapolated from its second one on fewer images, and the studies from those with fewer seeds. Their
    start-up is counted with every seed, so the ratio is at least what is told.
    """
    documents, _ = _studies(size)
    if not documents:
        raise UsageError("name the studies with --spec, such as --spec specs/q0.json --spec specs/q1.json")
    arrays, part = _fewer(size)
    scripts, seeds = {}, size.spec_seeds
    recipes = distinct_recipes(documents)
    for place, recipe in enumerate(recipes):
        _must_be_time(ends)
        took, told = timed(lambda recipe=recipe: finish(start_script(size, arrays, recipe, 0, 2, None)))  # type: ignore[misc]
        start = took - sum(told["seconds"])
        scripts[place] = start + recipe["epochs"] * told["seconds"][-1] / part
    store, took = new_store(size), 0.0
    for document in documents:
        _must_be_time(ends)
        took += timed(partial(run_ablate, size, {**document, "seeds": min(SEEDS, seeds)}, store))[0]
    total = {"script": seeds * sum(scripts.values()), "ablate": took * seeds / min(SEEDS, seeds)}
    name = f"{plural(len(recipes), 'recipe')} × {plural(seeds, 'seed')}, extrapolated: script / ablate, at least"
    yield figure(name, total["script"] / total["ablate"], "×", "≥ 100", seconds=total)


def _must_be_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise RuntimeError(OVER)


def _studies(size: Size) -> tuple[list[Json], list[Json]]:
    """The documents of the given studies, on the images of this benchmark: those that the script knows, and the others."""
    known: list[Json] = []
    others: list[Json] = []
    for path in size.specs:
        document = load(path, [f"base.dataset={canonical_json(size.dataset)}"]).document
        recipes = distinct_recipes([document])
        (known if all(map(_script_knows, recipes)) else others).append(document)
    return known, others


def _script_knows(recipe: Recipe) -> bool:
    try:
        script.check(recipe)
    except ValueError:
        return False
    return True


def _fewer(size: Size) -> tuple[Path, float]:
    """A file of some of the images, with as many test images for each training image, and their part of all."""
    whole = np.load(write_arrays(size))
    part = min(1.0, IMAGES / len(whole["train_labels"]))
    path = size.work / "fewer.npz"
    np.savez(path, **{name: values[: max(1, int(part * len(values)))] for name, values in whole.items()})
    return path, part
