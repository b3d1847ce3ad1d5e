"""What JSON Schema says about a document, in words for the person who wrote it."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from ablate.contracts import Json
from ablate.errors import MOST, Problem, close_names, did_you_mean
from ablate.registry.params import Schema

from .patch import join

_TYPES = {
    "number": "a number",
    "integer": "a whole number",
    "string": "a string",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
MOST_CHOICES = 12  # that a message lists
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _unique(validator: Any, wanted: bool, instance: Json, schema: Schema) -> Iterator[ValidationError]:
    """`uniqueItems` in time that grows with the list; jsonschema compares all pairs."""
    if wanted and isinstance(instance, list):
        texts = [json.dumps(int(item) if _is_integer(None, item) else item, sort_keys=True) for item in instance]
        seen: set[str] = set()
        for text, item in zip(texts, instance, strict=True):
            if text in seen:
                yield ValidationError(f"{found(item)} is there twice")
                return
            seen.add(text)


def _is_integer(_: Any, instance: Json) -> bool:
    """As JSON Schema means it, 1.0 too; in 64 bits."""
    if isinstance(instance, float):
        return instance.is_integer() and abs(instance) < 2**63
    return isinstance(instance, int) and not isinstance(instance, bool)


_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {"uniqueItems": _unique},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def problems(schema: Schema, document: Json, path: str = "", owner: str = "") -> Iterator[Problem]:
    """Everything in which a document differs from its schema, or the first `MOST` things.

    Args:
        schema: JSON Schema (2020-12).
        document: What was read.
        path: Dotted path of the document in its file.
        owner: Who says so, for the messages; such as `ablate-core 0.1.0: optimizer 'sgd'`.
    """
    errors = sorted(islice(_Validator(schema).iter_errors(document), MOST), key=lambda error: [str(k) for k in error.path])
    for problem in islice((problem for error in errors for problem in _problems(error, path)), MOST):
        yield replace(problem, message=f"{problem.message} ({owner})") if owner else problem


def _problems(error: ValidationError, path: str) -> Iterator[Problem]:
    for key in error.path:
        path = join(path, key)
    schema: Schema = error.schema if isinstance(error.schema, dict) else {}
    instance: Json = error.instance
    if error.validator == "additionalProperties":
        known = schema.get("properties", {})
        for key in instance:
            if key not in known:
                hint, close = did_you_mean(key, known), close_names(key, known)
                yield Problem(join(path, key), "there is no such setting", hint, close=close)
    elif error.validator == "required":
        missing = [key for key in schema["required"] if key not in instance]
        named = [key for key in missing if repr(key) in error.message.split(" is a required")[0]]
        yield Problem(path, f"{', '.join(map(repr, named or missing))} is missing", _given(instance))
    elif error.validator == "uniqueItems":
        yield Problem(path, error.message, "Keep one.")
    elif error.validator == "anyOf" and (meant := _meant(error)):
        for inner in meant:
            yield from _problems(inner, path)
    elif error.validator in ("minProperties", "minItems") and not instance:
        yield Problem(path, "is empty", "Give at least one, or remove it.")
    else:
        yield Problem(path, f"found {found(instance)}, expected {expected(schema)}")


def _meant(error: ValidationError) -> list[ValidationError]:
    """What is wrong with a value of several forms as the only one that has its type; nothing where that cannot be told."""
    options = error.schema["anyOf"] if isinstance(error.schema, dict) else []
    forms: list[str | int] = [index for index, form in enumerate(options) if _of_type(form, error.instance)]
    return [inner for inner in error.context or () if list(inner.schema_path)[:1] == forms[:1]] if len(forms) == 1 else []


def _of_type(form: Schema, instance: Json) -> bool:
    return "type" in form and _Validator({"type": form["type"]}).is_valid(instance)


def _given(instance: Mapping[str, Json]) -> str:
    return f"Given: {_some(instance)}." if instance else ""


def _some(names: Iterable[str]) -> str:
    shown = list(islice(names, 21))
    return ", ".join(shown[:20]) + " …" * (len(shown) > 20)


def found(value: Json) -> str:
    """A value as a message quotes it, cut where it is long."""
    text = json.dumps(value[:80] if isinstance(value, (str, list)) else value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"


def expected(schema: Schema, most: int = MOST_CHOICES) -> str:
    """A schema in words, such as `a number > 0`; of more choices than `most`, the first ones."""
    if "x-expected" in schema:
        return str(schema["x-expected"])
    if "const" in schema:
        return found(schema["const"])
    if "enum" in schema:
        values = [found(value) for value in schema["enum"]]
        return f"one of {', '.join(values[:most])}{f' … ({len(values)} in all)' if len(values) > most else ''}"
    if "anyOf" in schema:
        return " or ".join(expected(option, most) for option in schema["anyOf"])
    if "$ref" in schema and schema["$ref"].endswith("component"):
        return 'a component, such as {"use": "…"}'
    words = _TYPES.get(schema.get("type", ""), "another value")
    bounds = [f"{sign} {found(schema[key])}" for key, sign in _BOUNDS.items() if key in schema]
    if bounds:
        words += " " + " and ".join(bounds)
    if "pattern" in schema:
        words += f" that matches {schema['pattern']}"
    if schema.get("type") == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [None])[0]
        longest = schema.get("maxItems")
        length = "" if longest is None else f" of {'length' if schema.get('minItems') == longest else 'at most'} {longest}"
        words += f"{length} with {expected(items, most)} each" if items else length
    return words


def coerce(value: Json, schema: Schema) -> Json:
    """A valid value in the type that its schema means, so that 1 and 1.0 are one setting and not two."""
    for option in schema.get("anyOf", ()):
        if _Validator(option).is_valid(value):
            return coerce(value, option)
    if isinstance(value, bool):
        return value
    if schema.get("type") == "number" and isinstance(value, int):
        return float(value)
    if schema.get("type") == "integer" and isinstance(value, float):
        return int(value)
    if isinstance(value, list):
        return [coerce(item, option) for item, option in zip(value, _items(schema, len(value)), strict=True)]
    if isinstance(value, Mapping):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties", {})
        return {key: coerce(item, properties.get(key, rest or {})) for key, item in value.items()}
    return value


def _items(schema: Schema, count: int) -> Iterable[Schema]:
    return schema.get("prefixItems") or [schema.get("items", {})] * count
