"""Where a setting belongs that stands in a place that does not have it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches

from ablate.contracts import Json
from ablate.errors import AblateError, Problem
from ablate.registry import Registry

from .patch import join, split
from .recipe import spec_schema, trainer_component

_LEVELS = {"factors": 3, "variants": 2}  # how many keys lead to a patch


def explained(registry: Registry, document: Mapping[str, Json], problems: Iterable[Problem]) -> Iterator[Problem]:
    """The problems; where a setting is unknown in its place and known in another, with the place that it belongs to."""
    homes: dict[str, list[list[str]]] = {}
    for problem in problems:
        if problem.close is not None and not homes:
            for home in _homes(registry, document.get("base", {})):
                homes.setdefault(home[-1], []).append(home)
        yield problem if problem.close is None else _explained(problem, homes)


def _homes(registry: Registry, base: Json) -> Iterator[list[str]]:
    """The places of all settings that there are: of the study, of the recipe, and of the recipe's components."""
    for name, schema in spec_schema()["properties"].items():
        yield [name]
        if name in ("compare", "tune"):
            yield from ([name, key] for key in schema["properties"])
    recipe = base if isinstance(base, Mapping) and isinstance(base.get("use", ""), str) else {}
    try:
        parameters = trainer_component(registry, recipe).signature.parameters
    except AblateError:  # what is wrong with the trainer is told where it stands
        return
    yield from (["base", name] for name in parameters)
    for name, parameter in parameters.items():
        spec = recipe.get(name, parameter.default)
        use = spec.get("use") if isinstance(spec, Mapping) and parameter.nested and not parameter.nested.many else None
        if parameter.nested and isinstance(use, str):
            with suppress(AblateError):
                yield from (["base", name, key] for key in registry.load(parameter.nested.kind, use).signature.parameters)


def _explained(problem: Problem, homes: Mapping[str, list[list[str]]]) -> Problem:
    keys = split(problem.path)
    deep = _LEVELS.get(keys[0], 0)
    if deep and keys[deep:] == ["base"]:
        return replace(problem, hint="A level is a patch on the base: write what is in it without `base` around.")
    known = homes.get(keys[-1], [])
    if not known and not problem.close:
        known = [home for name in get_close_matches(keys[-1], homes, n=1, cutoff=0.8) for home in homes[name]]
        hint = "Did you mean {}?"
    else:
        hint = "It belongs there: {}."
    if deep:
        places = [_path([*keys[:deep], *home[1:]]) for home in known if home[0] == "base" and len(home) > 1]
        if known and not places:
            return replace(problem, hint=f"A level changes the recipe, and this is a setting of the study: {_path(known[0])}.")
    else:
        places = [_path(home) for home in known if home != keys]
    return replace(problem, hint=hint.format(" or ".join(places))) if places else problem


def _path(keys: Iterable[str]) -> str:
    path = ""
    for key in keys:
        path = join(path, key)
    return path
