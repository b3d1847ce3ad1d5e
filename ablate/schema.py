"""One JSON Schema for specs with the components that are installed, for editors."""

from copy import deepcopy
from typing import Any

from .errors import AblateError
from .params import Nested
from .recipe import DEFAULT_TRAINER, spec_schema
from .registry import KINDS, Loaded, Registry

Json = Any


def joined(registry: Registry) -> tuple[Json, list[str]]:
    """The schema, and one message for each component that cannot be loaded and is left out."""
    schema = deepcopy(spec_schema())
    definitions = schema["$defs"]
    problems: list[str] = []
    for kind in KINDS:
        for partial in (False, True):
            definitions[_name(kind, partial)] = _kind_schema(registry, kind, partial, problems)
    definitions["recipe"] = _recipe_schema(definitions[_name("trainer", False)])
    definitions["patch"] = _patch_schema(definitions[_name("trainer", True)])
    schema["properties"]["design"] = {
        **_described(schema["properties"]["design"]),
        "$ref": f"#/$defs/{_name('design', False)}",
    }
    tune = schema["properties"]["tune"]["properties"]
    tune["tuner"] = {**_described(tune["tuner"]), "$ref": f"#/$defs/{_name('tuner', False)}"}
    return schema, list(dict.fromkeys(problems))


def _recipe_schema(trainers: Json) -> Json:
    """A recipe is the spec of a trainer; without `use`, of ablate's own."""
    own = DEFAULT_TRAINER.rpartition(":")[2]
    cases = [
        {**case, "if": {"properties": {"use": case["if"]["properties"]["use"]}}}
        if case["if"]["properties"]["use"]["const"] == own
        else case
        for case in trainers["allOf"]
    ]
    return {**trainers, "required": [], "allOf": cases}


def _patch_schema(trainers: Json) -> Json:
    """A patch has fields of whichever trainer the base names, which a schema cannot look up."""
    properties: dict[str, Json] = {}
    for case in reversed(trainers["allOf"]):
        properties |= case["then"]["properties"]
    properties["use"] = trainers["properties"]["use"]
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _described(field: Json) -> Json:
    return {key: field[key] for key in ("description", "default") if key in field}


def _name(kind: str, partial: bool) -> str:
    return f"{kind}-patch" if partial else f"{kind}-component"


def _reference(nested: Nested, partial: bool) -> Json:
    one = {"$ref": f"#/$defs/{_name(nested.kind, partial)}"}
    return {"type": "object", "additionalProperties": {"anyOf": [one, {"type": "null"}]}} if nested.many else one


def _kind_schema(registry: Registry, kind: str, partial: bool, problems: list[str]) -> Json:
    """Which names there are, and for each name its own parameters; never one choice among all."""
    names, cases = [], []
    for component in registry.all(kind):
        shared = len(registry.components[kind][component.name]) > 1
        name = component.qualified_name if shared else component.name
        try:
            case = _case(registry.load(kind, component.qualified_name), name, partial)
        except AblateError as error:
            problems.append(str(error))
            continue
        names.append(name)
        cases.append(case)
    properties = {"use": {"enum": names, "description": f"Name of an installed {kind}."}}
    return {"type": "object", "required": [] if partial else ["use"], "properties": properties, "allOf": cases}


def _case(loaded: Loaded, name: str, partial: bool) -> Json:
    component, parameters = loaded.component, loaded.signature.parameters
    properties: dict[str, Json] = {"use": True}
    for parameter in parameters.values():
        schema = {**parameter.schema, "description": parameter.doc}
        if parameter.nested:
            schema |= _reference(parameter.nested, partial)
        if parameter.choices:
            schema["enum"] = loaded.choices(parameter.name)
        if not parameter.required:
            schema["default"] = parameter.default
        properties[parameter.name] = {"anyOf": [schema, {"type": "null"}]} if partial else schema
    required = [] if partial else [parameter.name for parameter in parameters.values() if parameter.required]
    condition = {"required": ["use"], "properties": {"use": {"const": name}}}
    then = {"properties": properties, "required": required, "additionalProperties": False}
    return {"title": f"{component.distribution} {component.version}", "if": condition, "then": then}
