"""A recipe as a spec has it -> the same recipe with every name checked, every value in its type, and every default filled in."""

import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from ablate.contracts import Json
from ablate.errors import AblateError, Checking, Problem, checked, close_names, did_you_mean
from ablate.registry import Loaded, Registry
from ablate.registry.inputs import complete
from ablate.registry.params import Nested, Parameter, Schema

from .patch import join
from .validation import coerce, problems
from .validation import found as quoted

Recipe = dict[str, Json]
DEFAULT_TRAINER = "ablate-core:image_classification"  # of a recipe that names none


@cache
def spec_schema() -> Schema:
    """JSON Schema of a spec, without the parameters of components."""
    schema: Schema = json.loads((files("ablate") / "spec.schema.json").read_text("utf-8"))
    return schema


def trainer_component(registry: Registry, recipe: Mapping[str, Json]) -> Loaded:
    """The trainer that a recipe names by `use`, or the one that ablate brings.

    Raises:
        AblateError: There is none of this name, or it cannot be used.
    """
    return registry.load("trainer", recipe.get("use", DEFAULT_TRAINER))


Memo = dict[tuple[str, str, str, str], tuple[Json, list[Problem]]]  # what (trainer, path, field, JSON) resolved to


def resolve(registry: Registry, recipe: Mapping[str, Json], path: str, memo: Memo) -> Checking[Recipe]:
    """The recipe with defaults, once everything is told that is wrong with it.

    Where ablate's own trainer trains it, it has no `use`, as before there were others.

    Args:
        registry: What is installed.
        recipe: As a spec has it, patches applied.
        path: Where it is in the spec.
        memo: What other variants of the study resolved to; most of their fields are the same.
    """
    if not isinstance(recipe.get("use", ""), str):
        yield Problem(join(path, "use"), f"found {quoted(recipe['use'])}, expected the name of a trainer")
        return {}
    try:
        loaded = trainer_component(registry, recipe)
    except AblateError as error:
        yield Problem(join(path, "use"), str(error))
        return {}
    parameters, name_of_trainer = loaded.signature.parameters, loaded.component.qualified_name
    shape = {**loaded.signature.schema(), "properties": dict.fromkeys(("use", *parameters), True)}
    yield from problems(shape, recipe, path)
    resolved: Recipe = {} if name_of_trainer == DEFAULT_TRAINER else {"use": name_of_trainer}
    for name, parameter in parameters.items():
        if name in recipe or not parameter.required:
            value = recipe.get(name, parameter.default)
            key = (name_of_trainer, path, name, json.dumps(value))
            if key not in memo:
                memo[key] = checked(_resolve_field(registry, loaded, name, value, join(path, name)))
            value, found = memo[key]
            yield from found
            if not parameter.left_out(value):
                resolved[name] = value
    return resolved


def _resolve_field(registry: Registry, loaded: Loaded, name: str, value: Json, path: str) -> Checking[Json]:
    """One field of a recipe; names and parameters are looked at where the structure stands."""
    parameter = loaded.signature.parameters[name]
    nested = parameter.nested
    if value is None and not parameter.required and parameter.default is None:
        return None
    wrong = list(_no_components(registry, nested, value, path)) if nested else []
    wrong = wrong or list(problems(field_schema(parameter), value, path))
    if wrong:
        yield from wrong
    elif nested:
        value = yield from _nested(registry, nested, value, path)
    else:
        value = coerce(value, parameter.schema)
        yield from _values(loaded, name, value, path)
    return value


def field_schema(parameter: Parameter) -> Schema:
    """What the value of a trainer's parameter has to be; where it holds components, without what their kind asks for."""
    if not parameter.nested:
        return parameter.schema
    definition = "components" if parameter.nested.many else "component"
    return {"$ref": f"#/$defs/{definition}", "$defs": spec_schema()["$defs"]}


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


def _nested(registry: Registry, nested: Nested, value: Json, path: str) -> Checking[Json]:
    if not nested.many:
        return (yield from resolve_component(registry, nested.kind, value, path))
    resolved = {}
    for name, item in value.items():
        if item is not None:
            resolved[name] = yield from resolve_component(registry, nested.kind, item, join(path, name))
    return resolved


def resolve_component(registry: Registry, kind: str, spec: Mapping[str, Json], path: str) -> Checking[dict[str, Json]]:
    """A component spec with its qualified name and all of its parameters, once everything is told that is wrong with it."""
    if isinstance(spec, str):
        yield _name_alone(registry, kind, spec, path)
        return {}
    if not isinstance(spec, Mapping) or not isinstance(spec.get("use"), str):
        yield Problem(path, 'expected a component, such as {"use": "…"}', did_you_mean("", registry.names(kind)))
        return dict(spec) if isinstance(spec, Mapping) else {}
    try:
        loaded = registry.load(kind, spec["use"])
    except AblateError as error:
        yield Problem(join(path, "use"), str(error))
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
    wrong = wrong or list(problems(loaded.signature.schema(), given, path, owner))
    yield from wrong
    resolved = {"use": component.qualified_name}
    for name, parameter in loaded.signature.parameters.items():
        value = given.get(name, parameter.default)
        if not wrong and value is not None:
            value = coerce(value, parameter.schema)
            if parameter.nested:
                value = yield from _nested(registry, parameter.nested, value, join(path, name))
            if parameter.path and isinstance(value, Mapping):
                value = complete(value)
            yield from _values(loaded, name, value, join(path, name))
        if not parameter.left_out(value):
            resolved[name] = value
    return resolved


def _values(loaded: Loaded, name: str, value: Json, path: str) -> Iterator[Problem]:
    """What a schema cannot say about a value: the members of a family, and whether a place on disk exists."""
    parameter = loaded.signature.parameters[name]
    if parameter.choices:
        try:
            known = loaded.has(name, value)
        except AblateError as error:
            yield Problem(path, str(error))
            return
        if not known:
            choices = loaded.choices(name)
            hint = did_you_mean(value, choices)
            if choices and not close_names(value, choices):
                hint += f" `ablate show {loaded.component.kind} {loaded.component.name}` lists them."
            yield Problem(path, f"{loaded.component.qualified_name} has no {name} {value!r}", hint)
    if parameter.path and isinstance(value, str):
        yield from _place_problems(value, parameter.path.kind, path)


def _place_problems(value: str, kind: str, path: str) -> Iterator[Problem]:
    try:
        place = Path(value).expanduser()
        exists = (place.is_dir() and "folder" in kind) or (place.is_file() and "file" in kind)
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
    """Every component of a resolved recipe with its spec, nested ones included; a trainer where the recipe names one."""
    loaded = trainer_component(registry, recipe)
    if "use" in recipe:
        yield loaded, recipe
    yield from _held(registry, loaded, recipe)


def nested_components(registry: Registry, kind: str, spec: Mapping[str, Json]) -> Iterator[tuple[Loaded, Mapping[str, Json]]]:
    """A component of a resolved recipe with its spec, and those that are nested in it."""
    loaded = registry.load(kind, spec["use"])
    yield loaded, spec
    yield from _held(registry, loaded, spec)


def _held(registry: Registry, loaded: Loaded, spec: Mapping[str, Json]) -> Iterator[tuple[Loaded, Mapping[str, Json]]]:
    """The components that are nested in one."""
    for name, parameter in loaded.signature.parameters.items():
        if parameter.nested and spec.get(name) is not None:
            for inner in spec[name].values() if parameter.nested.many else [spec[name]]:
                yield from nested_components(registry, parameter.nested.kind, inner)
