"""Metrics and test images that a study was not planned with, measured on finished cells by their kept weights.

What is measured has a key of its own: of the cell, the metric, the images, and the packages that are used. So nothing is measured
twice, and nothing is taken for a result of the training.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.contracts import TAKEN, Cell, Environment, Json
from ablate.errors import Checking, EnvironmentProblem, Problem, SpecError, UsageError, checked
from ablate.registry import default
from ablate.spec.identity import canonical_recipe, recipe_digest, recipe_identity, sha256
from ablate.spec.inputs import Named, as_named, named, which, with_files
from ablate.spec.recipe import Memo, Recipe, resolve
from ablate.spec.trainer import trainer_of
from ablate.store import Store

from .trained import NOT_KEPT, cells_of, restore

if TYPE_CHECKING:
    from ablate.engine.restoring import Restored

ONLY_PATHS = "other weights than the recipe's own are named by the path of their file here"


@dataclass(frozen=True)
class Asked:
    """What is to be measured.

    Attributes:
        metrics: Specs by the names of the metrics; those of the recipe where empty.
        dataset: Spec of the dataset whose test images count; the recipe's own evaluated images where None.
        name: What the images are called in the names of the columns, `METRIC on NAME`; empty for the metric alone.
    """

    metrics: Mapping[str, Json]
    dataset: Json
    name: str

    def column(self, metric: str) -> str:
        return f"{metric} on {self.name}" if self.name else metric


def evaluate(
    store: Store,
    study: str,
    asked: Asked,
    environment: Environment,
    device: str,
    tell: Callable[[str], None],
    warn: Callable[[str], None],
) -> list[str]:
    """Measures all finished cells of a study whose weights were kept, and stores what is found.

    Returns:
        The names of the columns that the study's cells have for it.

    Raises:
        UsageError: No cell has weights, or a column of this name has something else.
        SpecError: A metric or the dataset is wrong.
        EnvironmentProblem: Data or weights are missing or damaged, or the images are not of the form and the classes that the
            cells were trained on.
    """
    known = store.study(study)
    cells = cells_of(store, dict.fromkeys(known.cells.loc[known.cells["status"] == "done", "key"]))
    if not cells:
        raise UsageError(f"study {study!r} has no finished cell. Run it.")
    kept = store.kept.digests([cell.key for cell in cells])
    if not kept:
        raise UsageError(f"no finished cell of study {study!r} has weights in {store.directory}. {NOT_KEPT}")
    if len(kept) < len(cells):
        warn(f"{len(cells) - len(kept)} of {len(cells)} finished cells have no weights, and are left out. {NOT_KEPT}")
    own = set(known.cells.columns) - {found.name for found in known.evaluations}
    variants = dict(zip(known.cells["key"], known.cells["variant"], strict=True))
    memo: Memo = {}
    columns: dict[str, None] = {}
    for number, cell in enumerate((cell for cell in cells if cell.key in kept), start=1):
        recipes = _recipes(cell, asked, memo)
        for column in recipes:
            if column in own | TAKEN:
                raise UsageError(f"the cells of study {study!r} have a column {column!r} already. Give another --name.")
        found = _measured(store, cell, asked, recipes, environment, device, warn)
        columns |= dict.fromkeys(recipes)
        tell(f"[{number}/{len(kept)}] {variants[cell.key]}, seed {cell.seed}: {found}")
    return list(columns)


def _recipes(cell: Cell, asked: Asked, memo: Memo) -> dict[str, Recipe]:
    """For each column the cell's recipe with this one metric, told on the images that are asked for."""
    registry = default()
    recipe = dict(cell.recipe)
    files = {which(value, cell.seed): value for _, value in named(registry, recipe)}
    if asked.dataset is not None:
        recipe |= {"dataset": asked.dataset, "eval_split": "test", "select": None}
        recipe.pop("split", None)
    made = {}
    for metric, spec in (asked.metrics or recipe["metrics"]).items():
        given = as_named(registry, {**recipe, "metrics": {asked.column(metric): spec}})
        resolved, found = checked(_resolved(given, cell.seed, files, memo))
        if found:
            raise SpecError("ablate evaluate", found)
        made[asked.column(metric)] = with_files(registry, resolved, cell.seed, files)
    return made


def _resolved(given: Recipe, seed: int, files: Collection[Named], memo: Memo) -> Checking[Recipe]:
    """The recipe, which names no other cells than the one that is measured does."""
    resolved = yield from resolve(default(), given, "", memo)
    for place, value in named(default(), resolved):
        if which(value, seed) not in files:
            yield Problem(place, ONLY_PATHS)
    return resolved


def _measured(
    store: Store,
    cell: Cell,
    asked: Asked,
    recipes: Mapping[str, Recipe],
    environment: Environment,
    device: str,
    warn: Callable[[str], None],
) -> str:
    """Measures what is not stored yet, stores it, and says what is there in a line."""
    registry, kind = default(), device.partition(":")[0]
    first = next(iter(recipes.values()))
    data = trainer_of(registry, first).fingerprint(environment)
    keys = {}
    for column, recipe in recipes.items():
        identity = recipe_identity(registry, recipe, data, kind)
        digest = recipe_digest(canonical_recipe(registry, recipe), kind, identity)
        keys[column] = sha256(f"evaluation/{cell.key}/{digest}")
    there = store.evaluations.of_cell(cell.key)
    for column in recipes:
        about = _about(recipes[column])
        if column in there and there[column].about != about:
            raise UsageError(f"the column {column!r} has another metric or other images. Give another --name.")
    missing = {column: recipes[column] for column, key in keys.items() if column not in there or there[column].key != key}
    if not missing:
        return "stored already"
    model = restore(store, cell, device, warn)
    values, images = _values(model, cell, missing, data, environment)
    if all(value is None for value in store.cells(cell.key)[0]["metrics"].values()):
        values = dict.fromkeys(values)  # it diverged, and has no value in any metric
    store.evaluations.add(cell.key, {c: (keys[c], values[c], images, _about(recipes[c])) for c in missing})
    return ", ".join(f"{column} {'no value' if value is None else f'{value:.4f}'}" for column, value in values.items())


def _about(recipe: Recipe) -> Json:
    """What a column stands for, whatever the versions of packages."""
    return {name: recipe.get(name) for name in ("metrics", "dataset", "eval_split", "split")}


def _values(
    model: "Restored", cell: Cell, recipes: Mapping[str, Recipe], fingerprint: str, environment: Environment
) -> tuple[dict[str, float | None], int]:
    """Each column's value, and the number of images.

    Raises:
        UsageError: A metric cannot be built, or fails.
        EnvironmentProblem: As of `evaluate`.
    """
    from ablate.engine import data
    from ablate.engine.build import PartError
    from ablate.engine.prepared import prepare

    registry = default()
    recipe = next(iter(recipes.values()))
    tensors = data.load(registry, recipe, cell.seed, environment, model.device, fingerprint)
    if problems := list(_form_problems(model, tensors)):
        raise EnvironmentProblem(f"dataset {recipe['dataset']['use']!r}: {'; '.join(problems)}")
    shown = tensors.test if recipe["select"] is not None else tensors.evaluation
    part = prepare(shown, model.pipeline, recipe, "eval_transforms", cell.seed)
    specs = {column: one["metrics"][column] for column, one in recipes.items()}
    try:
        found = model.measured(registry, {**recipe, "metrics": specs}, part)
    except PartError as error:
        raise UsageError(f"{error.field}: cannot be measured: {error}") from error
    return {column: found[column] for column in specs}, len(part.labels)


def _form_problems(model: "Restored", tensors: Any) -> Iterator[str]:
    """Where images or classes are not those that a cell was trained on."""
    trained, now = model.form.images, tensors.info
    if (now.channels, now.height, now.width) != (trained.channels, trained.height, trained.width):
        sizes = [f"{info.channels}×{'any size' if info.any_size else f'{info.height}×{info.width}'}" for info in (now, trained)]
        yield f"its images are {sizes[0]}, and the cells were trained on {sizes[1]}: give it such a size and channels"
    if now.targets != trained.targets:
        yield f"its targets are {now.targets!r}, and the cells were trained on {trained.targets!r}"
    if tensors.class_names != model.form.class_names:
        own, others = set(model.form.class_names), set(tensors.class_names)
        names = sorted(own ^ others)[:5] or ["another order"]
        yield f"its {now.classes} classes are not the {trained.classes} that the cells were trained on ({', '.join(names)})"
