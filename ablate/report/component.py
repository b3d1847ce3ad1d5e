"""A page about a component, in the terminal."""

import json
import re
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ablate.plain import with_article
from ablate.registry import Component, Loaded
from ablate.registry.params import Parameter
from ablate.spec.validation import expected

from .console import text

LAID_OUT = re.compile(r"^(\s|[-*>|`])", re.MULTILINE)


def hook_page(hook: Component, doc: str, heard: Sequence[str]) -> RenderableType:
    """Documentation of a listener, and what it listens to."""
    return Group(
        text(f"{hook.kind} ", "dim").append_text(text(hook.name, "bold")),
        text(f"{hook.distribution} {hook.version}, {hook.target}", "dim"),
        Text(),
        text(_paragraphs(doc)),
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
        text(_paragraphs(signature.doc)),
        Text(),
    ]
    if not signature.parameters:
        return Group(*parts, text("It has no parameters."))
    for parameter in signature.parameters.values():
        default = "required" if parameter.required else f"default {json.dumps(parameter.default, ensure_ascii=False)}"
        members = loaded.choices(parameter.name)
        taken = f"one of {len(members)} names" if parameter.choices else accepted(parameter)
        head = Table.grid(padding=(0, 2, 0, 0))
        head.add_row(text(parameter.name, "bold"), text(f"{taken}; {default}", "dim"))
        parts.append(head)
        parts.append(Padding(text(parameter.doc), (0, 0, 0, 4)))
        if members:
            parts.append(Padding(text(", ".join(members), "dim"), (0, 0, 0, 4)))
    return Group(*parts)


def _paragraphs(doc: str) -> str:
    """Documentation with a line for each paragraph, as the window breaks it; what is laid out, such as a list, stays as it is."""
    parts = doc.split("\n\n")
    return "\n\n".join(part if LAID_OUT.search(part) else " ".join(part.split()) for part in parts) or "(no documentation)"


def accepted(parameter: Parameter) -> str:
    """The values that a parameter takes, in words."""
    if parameter.nested:
        kind = parameter.nested.kind
        return f"an object with a name for each {kind}" if parameter.nested.many else with_article(kind)
    if parameter.choices:
        return f"one of {len(list(parameter.choices.list()))} names"
    return expected(parameter.schema, most=1000)
