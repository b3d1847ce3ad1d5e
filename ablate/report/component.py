"""A page about a component, in the terminal."""

import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ablate.plain import with_article
from ablate.registry import Component, Loaded
from ablate.registry.params import Parameter
from ablate.spec.validation import expected

from .console import text


def hook_page(hook: Component, doc: str, heard: Sequence[str]) -> RenderableType:
    """Documentation of a listener, and what it listens to."""
    return Group(
        text(f"{hook.kind} ", "dim").append_text(text(hook.name, "bold")),
        text(f"{hook.distribution} {hook.version}, {hook.target}", "dim"),
        Text(),
        text(doc or "(no documentation)"),
        Text(),
        text(f"It listens to {', '.join(heard)}." if heard else "It listens to nothing."),
    )


def component_page(loaded: Loaded) -> RenderableType:
    """Documentation and parameters of a component."""
    component, signature = loaded.component, loaded.signature
    parts: list[RenderableType] = [
        text(f"{component.kind} ", "dim").append_text(text(component.name, "bold")),
        text(f"{component.distribution} {component.version}, {component.target}", "dim"),
        Text(),
        text(signature.doc or "(no documentation)"),
        Text(),
    ]
    if not signature.parameters:
        return Group(*parts, text("It has no parameters."))
    for parameter in signature.parameters.values():
        default = "required" if parameter.required else f"default {json.dumps(parameter.default, ensure_ascii=False)}"
        members = loaded.choices(parameter.name)
        taken = f"one of {len(members)} names" if parameter.choices else accepted(parameter)
        parts.append(text(parameter.name, "bold").append(f"  {taken}; {default}", "dim"))
        parts.append(Padding(text(parameter.doc), (0, 0, 0, 4)))
        if members:
            parts.append(Padding(text(", ".join(members), "dim"), (0, 0, 0, 4)))
    return Group(*parts)


def accepted(parameter: Parameter) -> str:
    """The values that a parameter takes, in words."""
    if parameter.nested:
        kind = parameter.nested.kind
        return f"an object with a name for each {kind}" if parameter.nested.many else with_article(kind)
    if parameter.choices:
        return f"one of {len(list(parameter.choices.list()))} names"
    return expected(parameter.schema, most=1000)
