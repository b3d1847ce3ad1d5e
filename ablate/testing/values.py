"""Values to try a parameter with, from its schema."""

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator

Schema = Mapping[str, Any]


def valid(schema: Schema, value: Any) -> bool:
    return bool(Draft202012Validator(dict(schema)).is_valid(value))


def edges(schema: Schema) -> list[Any]:
    """Values that the schema allows: at its bounds, each of an enumeration, both booleans, null."""
    return [value for value in _candidates(schema) if valid(schema, value)]


def out_of_range(schema: Schema) -> list[Any]:
    """Values that are close to allowed ones, and not allowed."""
    return [value for value in _candidates(schema) if not valid(schema, value)]


def _candidates(schema: Schema) -> Iterator[Any]:
    for option in schema.get("anyOf", ()):
        yield from _candidates(option)
    yield from schema.get("enum", ())
    match schema.get("type"):
        case "boolean":
            yield from (False, True)
        case "null":
            yield None
        case "integer" | "number":
            step = 1 if schema["type"] == "integer" else 0.5
            for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
                if word in schema:
                    yield from (schema[word], schema[word] - step, schema[word] + step)
        case "array" if "prefixItems" in schema:
            columns = [list(_candidates(item)) for item in schema["prefixItems"]]
            if all(columns):
                yield from (list(row) for row in zip(*columns, strict=False))
        case "array":
            yield from ([value] for value in _candidates(schema["items"]))
