"""One JSON Schema for specs with the components that are installed, for editors."""

from collections.abc import Generator, Iterator
from copy import deepcopy

from ablate.contracts import Json
from ablate.errors import AblateError, checked
from ablate.registry import KINDS, Loaded, Registry
from ablate.registry.params import Nested

from .recipe import DEFAULT_TRAINER, spec_schema


def joined(registry: Registry) -> Generator[str, None, Json]:
    """The schema, once it is told of each component that it cannot be loaded and is left out."""
    schema = deepcopy(spec_schema())
    definitions = schema["$defs"]
    for kind in KINDS:
        definitions[_name(kind, False)] = yield from _kind_schema(registry, kind, False)
        definitions[_name(kind, True)], _ = checked(_kind_schema(registry, kind, True))  # which leaves out the same
    definitions["recipe"] = _unless_named(definitions[_name("trainer", False)], DEFAULT_TRAINER)
    schema["allOf"] = list(_patches(definitions))
    schema["properties"]["design"] = {
        **_described(schema["properties"]["design"]),
        "$ref": f"#/$defs/{_name('design', False)}",
    }
    tune = schema["properties"]["tune"]["properties"]
    tune["tuner"] = {**_described(tune["tuner"]), "$ref": f"#/$defs/{_name('tuner', False)}"}
    return schema


def _patches(definitions: Json) -> Iterator[Json]:
    """What the patches of a spec may have, by the trainer that its base names: each trainer has fields of its own."""
    recipe, patch = definitions["recipe"], definitions[_name("trainer", True)]
    for case in recipe["allOf"]:
        trainer = case["if"]["properties"]["use"]["const"]
        definitions[f"patch-{trainer}"] = _unless_named(patch, trainer)
        one = {"additionalProperties": {"$ref": f"#/$defs/patch-{trainer}"}}
        fields = {"factors": {"additionalProperties": one}, "variants": one}
        named = {"required": ["base"]} if "required" in case["if"] else {}  # where no base is written yet, the default is meant
        yield {"if": {**named, "properties": {"base": case["if"]}}, "then": {"properties": fields}}


def _unless_named(trainers: Json, trainer: str) -> Json:
    """The spec of a trainer that may do without `use`, and is then the spec of this one."""
    cases = []
    for case in trainers["allOf"]:
        names = case["if"]["properties"]
        own = names["use"]["const"] in (trainer, trainer.rpartition(":")[2])
        cases.append({**case, "if": {"properties": names}} if own else case)
    return {**trainers, "required": [], "allOf": cases}


def _described(field: Json) -> Json:
    return {key: field[key] for key in ("description", "default") if key in field}


def _name(kind: str, partial: bool) -> str:
    return f"{kind}-patch" if partial else f"{kind}-component"


def _reference(nested: Nested, partial: bool) -> Json:
    one = {"$ref": f"#/$defs/{_name(nested.kind, partial)}"}
    return {"type": "object", "additionalProperties": {"anyOf": [one, {"type": "null"}]}} if nested.many else one


def _kind_schema(registry: Registry, kind: str, partial: bool) -> Generator[str, None, Json]:
    """Which names there are, and for each name its own parameters; never one choice among all."""
    names, cases = [], []
    for component in registry.all(kind):
        shared = len(registry.components[kind][component.name]) > 1
        name = component.qualified_name if shared else component.name
        try:
            case = _case(registry.load(kind, component.qualified_name), name, partial)
        except AblateError as error:
            yield str(error)
            continue
        names.append(name)
        cases.append(case)
    required = [] if partial else ["use"]
    if not names:
        none = {"not": {}, "description": f"No installed package has a {kind}."}
        return {"type": "object", "required": required, "properties": {"use": none}}
    properties = {"use": {"enum": names, "description": f"Name of an installed {kind}."}}
    return {"type": "object", "required": required, "properties": properties, "allOf": cases}


def _in_part(schema: Json) -> Json:
    """What a patch may give of a value; the base has the rest."""
    if isinstance(schema, dict):
        return {key: _in_part(item) for key, item in schema.items() if key != "required"}
    return [_in_part(item) for item in schema] if isinstance(schema, list) else schema


def _case(loaded: Loaded, name: str, partial: bool) -> Json:
    component, parameters = loaded.component, loaded.signature.parameters
    properties: dict[str, Json] = {"use": True}
    for parameter in parameters.values():
        schema = {**parameter.schema, "description": parameter.doc}
        if parameter.nested:
            one = _reference(parameter.nested, partial)
            optional = not parameter.required and parameter.default is None
            schema |= {"anyOf": [one, {"type": "null"}]} if optional else one
        if parameter.choices:
            schema["enum"] = loaded.choices(parameter.name)
        if not parameter.required:
            schema["default"] = parameter.default
        properties[parameter.name] = {"anyOf": [_in_part(schema), {"type": "null"}]} if partial else schema
    required = [] if partial else [parameter.name for parameter in parameters.values() if parameter.required]
    condition = {"required": ["use"], "properties": {"use": {"const": name}}}
    then = {"properties": properties, "required": required, "additionalProperties": False}
    return {"title": f"{component.distribution} {component.version}", "if": condition, "then": then}
