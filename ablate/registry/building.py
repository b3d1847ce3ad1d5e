"""Components as objects: what a spec names, called with what it sets."""

from collections.abc import Mapping
from typing import Any

from .discovery import Registry
from .inputs import path_of
from .params import Nested

Given = Mapping[str, tuple[Any, ...]]  # what the engine gives a factory, by kind


def build(registry: Registry, kind: str, spec: Mapping[str, Any], *engine_arguments: Any, nested: Given | None = None) -> Any:
    """Calls the factory that a resolved component spec names; nested components are built first.

    Args:
        registry: What is installed.
        kind: The component's kind.
        spec: Its spec with all of its parameters.
        engine_arguments: What the engine gives a component of this kind.
        nested: What it gives those of the other kinds in `NESTED`; nothing where a kind is missing. One of the same kind gets
            the same arguments.
    """
    loaded = registry.load(kind, spec["use"])
    given = {**(nested or {}), kind: engine_arguments}
    arguments = {name: value for name, value in spec.items() if name != "use"}
    for name, value in arguments.items():
        parameter = loaded.signature.parameters[name]
        if parameter.nested and value is not None:
            arguments[name] = _build_nested(registry, parameter.nested, value, given)
        elif parameter.path and isinstance(value, Mapping):
            arguments[name] = path_of(value)
    return loaded.factory(*engine_arguments, **arguments)


def _build_nested(registry: Registry, inner: Nested, value: Mapping[str, Any], given: Given) -> Any:
    arguments = given.get(inner.kind, ())
    if not inner.many:
        return build(registry, inner.kind, value, *arguments, nested=given)
    return {n: build(registry, inner.kind, item, *arguments, nested=given) for n, item in value.items() if item is not None}
