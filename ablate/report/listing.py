"""What is installed, in the terminal: a table of components, and a page about one."""

import json
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ablate.registry import Loaded
from ablate.validation import expected

from .console import table, text

Row = tuple[str, str, str, str, str]  # kind, name, distribution, version, problem


def component_table(rows: Sequence[Row]) -> Table:
    """One line a component; the problems have a column where there is one."""
    has_problems = any(row[4] for row in rows)
    headings = ["kind", "name", "package", *(["problem"] if has_problems else [])]
    return table(
        headings,
        [[kind, name, f"{dist} {version}", *([problem] * has_problems)] for kind, name, dist, version, problem in rows],
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
        kind = f"a {parameter.nested.kind}" if parameter.nested else expected(parameter.schema)
        if parameter.nested and parameter.nested.many:
            kind = f"an object with a name for each {parameter.nested.kind}"
        if parameter.choices:
            kind = f"one of {len(list(parameter.choices.list()))} names"
        parts.append(text(parameter.name, "bold").append(f"  {kind}; {default}", "dim"))
        parts.append(Padding(text(parameter.doc), (0, 0, 0, 4)))
    return Group(*parts)
