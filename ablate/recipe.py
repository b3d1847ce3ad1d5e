"""A recipe as a spec has it -> the same recipe with every name checked, every value in its type, and every default filled in."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from .errors import AblateError, Problem, did_you_mean
from .params import Nested, Schema
from .patch import join
from .registry import Loaded, Registry
from .validation import coerce, problems
from .validation import found as quoted

Json = Any
Recipe = dict[str, Json]


@cache
def spec_schema() -> Schema:
    """JSON Schema of a spec, without the parameters of components."""
    schema: Schema = json.loads((files("ablate") / "spec.schema.json").read_text("utf-8"))
    return schema


def fields() -> dict[str, Schema]:
    """Schema of each field of a recipe."""
    properties: dict[str, Schema] = spec_schema()["$defs"]["recipe"]["properties"]
    return properties


def component_fields() -> Iterator[tuple[str, Nested]]:
    """The fields of a recipe that hold components: (name, what they hold)."""
    for name, schema in fields().items():
        if "x-kind" in schema:
            yield name, Nested(schema["x-kind"], schema.get("x-many", False))


Memo = dict[tuple[str, str, str], tuple[Json, list[Problem]]]  # what (path, field, JSON) resolved to


def resolve(registry: Registry, recipe: Mapping[str, Json], path: str, memo: Memo) -> tuple[Recipe, list[Problem]]:
    """The recipe with defaults, and everything that is wrong with it. With problems, the recipe is not to be used.

    Args:
        registry: What is installed.
        recipe: As a spec has it, patches applied.
        path: Where it is in the spec.
        memo: What other variants of the study resolved to; most of their fields are the same.
    """
    shape = {**spec_schema()["$defs"]["recipe"], "properties": dict.fromkeys(fields(), True)}
    found = problems(shape, recipe, path)
    resolved: Recipe = {}
    for name, field in fields().items():
        if name in recipe or "default" in field:
            value = recipe.get(name, field.get("default"))
            key = (path, name, json.dumps(value))
            if key not in memo:
                memo[key] = _resolve_field(registry, name, value, join(path, name))
            resolved[name] = memo[key][0]
            found += memo[key][1]
    return resolved, found


def _resolve_field(registry: Registry, name: str, value: Json, path: str) -> tuple[Json, list[Problem]]:
    """One field of a recipe; names and parameters are looked at where the structure stands."""
    field = fields()[name]
    nested = dict(component_fields()).get(name)
    found = list(_no_components(registry, nested, value, path)) if nested else []
    if not found:
        found = problems({**field, "$defs": spec_schema()["$defs"]}, value, path)
    if found:
        return value, found
    value = coerce(value, field)
    return (_nested(registry, nested, value, path, found) if nested else value), found


def _no_components(registry: Registry, nested: Nested, value: Json, path: str) -> Iterator[Problem]:
    """What is written in place of a component, or in place of a mapping of them."""
    if not nested.many:
        if isinstance(value, str):
            yield _name_alone(registry, nested.kind, value, path)
        return
    example = f'{{"a name": {{"use": "{nested.kind}"}}}}'
    if isinstance(value, (str, list)) or (isinstance(value, Mapping) and isinstance(value.get("use"), str)):
        yield Problem(path, f"found {quoted(value)}, expected components by name", f"Give each a name of its own: {example}.")
    elif isinstance(value, Mapping):
        for name, item in value.items():
            if isinstance(item, str):
                yield _name_alone(registry, nested.kind, item, join(path, name))


def _name_alone(registry: Registry, kind: str, name: str, path: str) -> Problem:
    """A name where a component is expected."""
    try:
        registry.find(kind, name)
    except AblateError as error:
        return Problem(path, f'found {quoted(name)}, expected a component, such as {{"use": "…"}}', str(error))
    return Problem(path, f"found {quoted(name)}, expected a component", f"Write {json.dumps({'use': name})}.")


def _nested(registry: Registry, nested: Nested, value: Json, path: str, found: list[Problem]) -> Json:
    if not nested.many:
        return resolve_component(registry, nested.kind, value, path, found)
    return {
        name: resolve_component(registry, nested.kind, item, join(path, name), found)
        for name, item in value.items()
        if item is not None
    }


def resolve_component(
    registry: Registry, kind: str, spec: Mapping[str, Json], path: str, found: list[Problem]
) -> dict[str, Json]:
    """A component spec with its qualified name and all of its parameters; what is wrong is appended to `found`."""
    if isinstance(spec, str):
        found.append(_name_alone(registry, kind, spec, path))
        return {}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("use"), str):
        found.append(Problem(path, 'expected a component, such as {"use": "…"}', did_you_mean("", registry.names(kind))))
        return dict(spec) if isinstance(spec, Mapping) else {}
    try:
        loaded = registry.load(kind, spec["use"])
    except AblateError as error:
        found.append(Problem(join(path, "use"), str(error)))
        return dict(spec)
    component = loaded.component
    given = {name: value for name, value in spec.items() if name != "use"}
    owner = f"{component.distribution} {component.version}: {kind} {component.name!r}"
    wrong = [
        problem
        for name, parameter in loaded.signature.parameters.items()
        if parameter.nested and name in given
        for problem in _no_components(registry, parameter.nested, given[name], join(path, name))
    ]
    wrong = wrong or problems(loaded.signature.schema(), given, path, owner)
    found += wrong
    resolved = {"use": component.qualified_name}
    for name, parameter in loaded.signature.parameters.items():
        resolved[name] = given.get(name, parameter.default)
        if wrong or resolved[name] is None:
            continue
        resolved[name] = coerce(resolved[name], parameter.schema)
        if parameter.nested:
            resolved[name] = _nested(registry, parameter.nested, resolved[name], join(path, name), found)
        found += _values(loaded, name, resolved[name], join(path, name))
    return resolved


def _values(loaded: Loaded, name: str, value: Json, path: str) -> Iterator[Problem]:
    """What a schema cannot say about a value: the members of a family, and whether a place on disk exists."""
    parameter = loaded.signature.parameters[name]
    if parameter.choices:
        try:
            known = loaded.choices(name)
        except AblateError as error:
            yield Problem(path, str(error))
            return
        if value not in known:
            hint = did_you_mean(value, known)
            if hint.startswith("There is"):
                hint += f" `ablate show {loaded.component.kind} {loaded.component.name}` lists them."
            yield Problem(path, f"{loaded.component.qualified_name} has no {name} {value!r}", hint)
    if parameter.path:
        yield from _place_problems(value, parameter.path.kind, path)


def _place_problems(value: str, kind: str, path: str) -> Iterator[Problem]:
    try:
        place = Path(value).expanduser()
        exists = place.is_dir() if kind == "folder" else place.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long, a folder that may not be searched, an unknown ~user
        yield Problem(path, f"{value!r} cannot be looked at: {error}")
        return
    if not exists:
        yield Problem(path, f"there is no {kind} {value!r}", f"It was looked for at {place.absolute()}.")
    elif not os.access(place, os.R_OK):
        yield Problem(path, f"the {kind} {value!r} cannot be read", "Change its permissions, or give another.")


def lower_is_better(registry: Registry, metric: Mapping[str, Json]) -> bool | None:
    """What a metric's factory says of its direction, by an attribute of this name; None where it does not say."""
    found = registry.load("metric", metric["use"]).says("lower_is_better", metric)
    return None if found is None else bool(found)


def components(registry: Registry, recipe: Recipe) -> Iterator[tuple[Loaded, Mapping[str, Json]]]:
    """Every component of a resolved recipe with its spec, nested ones included."""
    for name, nested in component_fields():
        for spec in recipe[name].values() if nested.many else [recipe[name]]:
            yield from nested_components(registry, nested.kind, spec)


def nested_components(registry: Registry, kind: str, spec: Mapping[str, Json]) -> Iterator[tuple[Loaded, Mapping[str, Json]]]:
    """A component of a resolved recipe with its spec, and those that are nested in it."""
    loaded = registry.load(kind, spec["use"])
    yield loaded, spec
    for name, parameter in loaded.signature.parameters.items():
        if parameter.nested and spec[name] is not None:
            for inner in spec[name].values() if parameter.nested.many else [spec[name]]:
                yield from nested_components(registry, parameter.nested.kind, inner)


def size_notes(recipe: Recipe, images: int | None) -> Iterator[Problem]:
    """Sizes that do not do what their names say with so many training images; None where their number is not known."""
    if images is not None:
        size, batches = recipe["batch_size"], -(-images // recipe["batch_size"])
        if size > images:
            message = f"{size:,} is more than the {images:,} training images: an epoch is one batch of them all"
            yield Problem("batch_size", message)
        elif recipe["accumulate"] > batches:
            message = f"{recipe['accumulate']:,} is more than the {batches:,} batches of an epoch, which has one optimizer step"
            yield Problem("accumulate", message)
    if recipe["eval_every"] > recipe["epochs"]:
        message = f"{recipe['eval_every']:,} is more than the {recipe['epochs']:,} epochs: only the last one is evaluated"
        yield Problem("eval_every", message)


def device_problems(recipe: Recipe, device: str) -> Iterator[Problem]:
    """What a device cannot compute.

    Args:
        recipe: Resolved.
        device: Its type, `cpu` or `cuda`.
    """
    if recipe["precision"] == "tf32" and device == "cpu":
        yield Problem("precision", "tf32 is a form of numbers that GPUs have, and this is a CPU", 'Use "float32", or a GPU.')
