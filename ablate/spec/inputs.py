"""The cells whose weights a recipe names: where they stand in it, and their files put in.

Nothing within a dataset is looked at, which is made before a cell is known.
"""

from collections.abc import Callable, Mapping

from ablate.contracts import Json
from ablate.registry import Loaded, Registry
from ablate.registry.inputs import SAME

from .patch import join
from .recipe import Recipe, trainer_component

Named = tuple[str, str, int]  # study, variant, seed
PLANNED = {"cell", "key", "sha256", "path"}  # what stands for a file in the recipe of a cell that is to be trained


def named(registry: Registry, recipe: Recipe) -> list[tuple[str, Json]]:
    """The place of each cell that a recipe names in place of a file, as a dotted path, and what stands there."""
    found: list[tuple[str, Json]] = []

    def note(value: Json, path: str) -> Json:
        found.append((path, value))
        return value

    _changed(registry, trainer_component(registry, recipe), recipe, "", note)
    return found


def with_files(registry: Registry, recipe: Recipe, seed: int, files: Mapping[Named, Json]) -> Recipe:
    """The recipe of a cell: with the file of each cell that it names."""

    def file(value: Json, _: str) -> Json:
        return files[which(value, seed)]

    return _changed(registry, trainer_component(registry, recipe), recipe, "", file)


def with_paths(registry: Registry, recipe: Recipe, path_of: Callable[[str], str | None]) -> Recipe:
    """The recipe of a stored cell with the paths of files that are here, by the keys of their cells."""

    def here(value: Json, _: str) -> Json:
        path = path_of(str(value.get("key")))
        return placeless(value) | ({"path": path} if path is not None else {})

    return _changed(registry, trainer_component(registry, recipe), recipe, "", here)


def as_named(registry: Registry, recipe: Recipe) -> Recipe:
    """The recipe of a cell as a spec would have it: with the names of cells alone."""
    return _changed(registry, trainer_component(registry, recipe), recipe, "", lambda value, _: {"cell": value["cell"]})


def which(value: Json, seed: int) -> Named:
    """The cell that is named for a cell of this seed."""
    cell = value["cell"]
    return cell["study"], cell["variant"], seed if cell["seed"] == SAME else cell["seed"]


def placeless(value: Json) -> Json:
    """A recipe, or a part of one, as a store has it: without the paths of cells' weights, so that a store can be moved."""
    if isinstance(value, dict):
        return {key: placeless(item) for key, item in value.items() if key != "path" or value.keys() != PLANNED}
    return [placeless(item) for item in value] if isinstance(value, list) else value


def unnamed(value: Json) -> Json:
    """A recipe without which cells' weights it uses: what all seeds of a variant have in common."""
    if isinstance(value, dict):
        return {"cell": None} if value.keys() == PLANNED else {key: unnamed(item) for key, item in value.items()}
    return [unnamed(item) for item in value] if isinstance(value, list) else value


def _changed(
    registry: Registry, loaded: Loaded, spec: Mapping[str, Json], path: str, change: Callable[[Json, str], Json]
) -> dict[str, Json]:
    made = dict(spec)
    for name, parameter in loaded.signature.parameters.items():
        value, place = spec.get(name), join(path, name)
        if not isinstance(value, Mapping):
            continue
        if parameter.path:
            made[name] = change(value, place)
        elif parameter.nested and parameter.nested.kind != "dataset":
            parts = {join(place, key): item for key, item in value.items()} if parameter.nested.many else {place: value}
            kind = parameter.nested.kind
            inner = [_changed(registry, registry.load(kind, one["use"]), one, where, change) for where, one in parts.items()]
            made[name] = dict(zip(value, inner, strict=True)) if parameter.nested.many else inner[0]
    return made
