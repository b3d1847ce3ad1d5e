"""What a cell's result depends on, as a canonical text and its SHA-256.

Everything that can change the numbers is in it, and nothing else: so identical cells are shared by all studies of a store, and
a cell is never taken for another.
"""

import hashlib
import json
from collections.abc import Mapping

from ablate.contracts import Cell, Environment, Json
from ablate.registry import Loaded, Registry, build
from ablate.registry.inputs import content_of
from ablate.registry.params import Nested
from ablate.registry.sources import packages_of

from .recipe import Recipe, components, nested_components, trainer_component
from .trainer import trainer_of


def canonical_json(value: Json) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def recipe_digest(canonical: Json, device: str, identity: dict[str, Json]) -> str:
    """What all cells of a variant have in common."""
    return sha256(canonical_json({"recipe": canonical, "device": device, "identity": identity}))


def make_cell(recipe: Recipe, digest: str, seed: int, device: str, identity: dict[str, Json]) -> Cell:
    """The cell of a variant and a seed; its key covers `recipe_digest` and the seed."""
    return Cell(sha256(f"{digest}/{seed}"), recipe, seed, device, identity)


def canonical_recipe(registry: Registry, recipe: Recipe) -> Json:
    """The recipe as keys see it: transforms as a list, because their order counts, and content in place of paths."""
    loaded = trainer_component(registry, recipe)
    canonical = _parameters(registry, loaded, recipe) | {name: recipe[name] for name in ("use",) if name in recipe}
    metrics = [n for n, p in loaded.signature.parameters.items() if p.nested and p.nested.many and p.nested.kind == "metric"]
    return canonical | {name: sorted(canonical[name]) for name in metrics}  # in whatever order, they are the same numbers


def _canonical(registry: Registry, nested: Nested, value: Json) -> Json:
    if nested.many:
        return [[name, _canonical(registry, Nested(nested.kind), item)] for name, item in value.items()]
    return {"use": value["use"], **_parameters(registry, registry.load(nested.kind, value["use"]), value)}


def _parameters(registry: Registry, loaded: Loaded, value: Json) -> dict[str, Json]:
    result = {}
    for name, parameter in loaded.signature.parameters.items():
        if parameter.absent and name not in value:
            continue
        item = value[name]
        if item is not None and parameter.nested:
            item = _canonical(registry, parameter.nested, item)
        if item is not None and parameter.path:
            if parameter.path.kind != "file":
                continue  # the data's fingerprint stands for it
            item = content_of(item)
        result[name] = item
    return result


def data_fingerprint(registry: Registry, dataset: Mapping[str, Json], environment: Environment) -> str:
    """What a dataset says of its content, and each dataset that is nested in it."""
    found = [(one, spec) for one, spec in nested_components(registry, "dataset", dataset) if one.component.kind == "dataset"]
    fingerprints = [_fingerprint(registry, loaded, spec, environment) for loaded, spec in found]
    return fingerprints[0] if len(fingerprints) == 1 else sha256(canonical_json(fingerprints))


def _fingerprint(registry: Registry, loaded: Loaded, spec: Mapping[str, Json], environment: Environment) -> str:
    """What one dataset says; where its content is fixed, so is what it says."""
    memory, text = registry.memory, canonical_json(spec)
    fixed = memory is not None and loaded.says("fixed_content", spec) is True
    known = memory.recall(loaded.component) if memory and fixed else None
    if known and text in known["fingerprints"]:
        return str(known["fingerprints"][text])
    made: str = build(registry, "dataset", spec, environment).fingerprint()
    if memory and fixed:
        memory.note(loaded.component, "fingerprints", text, made)
    return made


def recipe_identity(registry: Registry, recipe: Recipe, fingerprint: str, device: str, executor: Json = None) -> dict[str, Json]:
    """What a cell depends on beside its recipe: the data, the versions of the packages that it uses, and what they mean.

    Args:
        registry: What is installed.
        recipe: The resolved recipe.
        fingerprint: What the trainer's `fingerprint` gives.
        device: `cpu` or `cuda`.
        executor: What `executor_identity` gives.
    """
    said = trainer_of(registry, recipe).identity(device)
    packages: dict[str, str] = dict(said.get("packages", {}))
    semantics: dict[str, int] = {}
    for loaded, spec in components(registry, recipe):
        packages |= packages_of(loaded.component.distribution)
        name, number = f"{loaded.component.kind} {loaded.component.qualified_name}", loaded.says("semantics", spec) or 1
        if number > semantics.get(name, 1):
            semantics[name] = number
    identity = {**said, "data": fingerprint, "packages": dict(sorted(packages.items()))}
    more = {"semantics": semantics, "executor": executor}
    return identity | {name: value for name, value in more.items() if value}  # without one, as before there were any


def executor_identity(registry: Registry, executor: Mapping[str, Json]) -> Json:
    """The resolved executor with its packages where its results are its own, so that no other run is served them; else None."""
    used = list(nested_components(registry, "executor", executor))
    if not any(loaded.says("own_results", spec) for loaded, spec in used):
        return None
    packages: dict[str, str] = {}
    for loaded, _ in used:
        packages |= packages_of(loaded.component.distribution)
    return {**executor, "packages": packages}
