"""What an epoch takes, without any start-up: several cells at once, and whole studies extrapolated from few epochs."""

import statistics
from collections.abc import Callable
from functools import partial

from ablate.contracts import Json
from ablate.errors import UsageError
from ablate.plan import make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.identity import canonical_json
from ablate.spec.recipe import Recipe

from .common import NORMALIZE, Size, an_epoch, figure, new_store, run_ablate, study, write_arrays
from .script import check
from .studies import TOLERANCE, finish, recipes_of, start_script, with_epochs

EPOCHS = (1, 3)  # that are measured of a study that is extrapolated


def scaling(size: Size) -> list[Json]:
    """Several cells of the small network at once against one at a time, by the seconds that their epochs take."""
    ways: dict[str, Callable[[int], float]] = {f"{count}": partial(_at_once, size, count) for count in size.at_once}
    seconds, _, results = an_epoch(ways, size.slope, size.repeats)
    more = {"seconds_of_an_epoch": seconds, "accuracy": results}
    figures = []
    for count in size.at_once[1:]:
        gap = abs(results[f"{count}"] - results["1"])
        agree = gap <= TOLERANCE if size.on_gpu else gap == 0
        ratio = count * seconds["1"] / seconds[f"{count}"]
        goal = "≥ 8" if count == 16 else ""
        figures.append(figure(f"scaling: {count} cells at once / one", ratio, "×", goal, **more, results_agree=agree))
    return figures


def _at_once(size: Size, count: int, epochs: int) -> float:
    """Trains so many cells at once, and gives the accuracy of the first."""
    document = study(size, f"bench-{count}-at-once", {"normalize": NORMALIZE})
    document = {"name": document["name"], "base": document["base"], "seeds": count}
    cells = run_ablate(size, with_epochs(document, epochs), new_store(size), "--jobs", f"{count}")["cells"]
    return next(float(cell["accuracy"]) for cell in cells if cell["seed"] == 0)


def specs(size: Size) -> list[Json]:
    """All cells of the given studies as scripts, one after another, against `ablate run`; extrapolated from few epochs.

    A recipe that several studies share counts once on both sides.

    Raises:
        UsageError: A study has something that the script does not know, or cells with different numbers of epochs.
    """
    overrides = [f"seeds={size.spec_seeds}", f"base.dataset={canonical_json(size.dataset)}"]
    recipes = _recipes([load(path, overrides).document for path in size.specs])
    epochs = recipes[0]["epochs"]
    arrays = write_arrays(size)

    def scripts(recipe: Recipe, count: int) -> float:
        return float(finish(start_script(size, arrays, recipe, 0, count, None))["accuracy"])

    def ablate(count: int) -> float:
        store = new_store(size)
        accuracies = []
        for path in size.specs:
            document = load(path, [*overrides, f"base.epochs={count}"]).document
            accuracies += [cell["accuracy"] for cell in run_ablate(size, document, store)["cells"]]
        return float(statistics.mean(accuracies))

    ways = {f"script {place}": partial(scripts, recipe) for place, recipe in enumerate(recipes)}
    seconds, start, results = an_epoch({**ways, "ablate": ablate}, EPOCHS, size.repeats)
    total = {way: start[way] + epochs * seconds[way] for way in seconds}
    script = size.spec_seeds * sum(total[way] for way in ways)
    accuracy = {"script": statistics.mean(results[way] for way in ways), "ablate": results["ablate"]}
    more = {"seconds": {"script": script, "ablate": total["ablate"]}, "measured_epochs": EPOCHS, "accuracy": accuracy}
    error = 2 * (0.25 / len(size.data().test.labels)) ** 0.5  # of an accuracy on so many images, at most
    agree = abs(accuracy["script"] - accuracy["ablate"]) <= TOLERANCE + error
    name = f"{len(recipes)} recipes × {size.spec_seeds} seeds × {epochs} epochs, extrapolated: script / ablate"
    return [figure(name, script / total["ablate"], "×", "≥ 100" if size.on_gpu else "", **more, results_agree=agree)]


def distinct_recipes(documents: list[Json]) -> list[Recipe]:
    """The recipes of some studies, each once."""
    variants = [variant for document in documents for variant in make_plan(load(document), default()).variants]
    return list({canonical_json(variant.canonical): variant.recipe for variant in variants}.values())


def _recipes(documents: list[Json]) -> list[Recipe]:
    """The distinct recipes of some studies, which the script knows."""
    for document in documents:
        for name, recipe in recipes_of(document):
            try:
                check(recipe)
            except ValueError as error:
                raise UsageError(f"{document['name']}, variant {name!r}: {error}. Leave this study out.") from error
    recipes = distinct_recipes(documents)
    if len({recipe["epochs"] for recipe in recipes}) > 1:
        raise UsageError("the studies have cells with different numbers of epochs: measure them one by one.")
    return recipes
