"""Directives that write the reference pages out of the code, so that they cannot fall behind it.

`command-reference` is the typer application, `spec-reference` the schema of specs, `component-reference` the
registry, `json-reference` the schemas of what is printed for programs.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.cli import get_docs_for_click

from ablate.cli import app
from ablate.documents.schemas import names
from ablate.documents.schemas import schema as document_schema
from ablate.registry import KINDS, default
from ablate.registry.params import Parameter, Schema
from ablate.report.component import accepted
from ablate.spec.recipe import DEFAULT_TRAINER, spec_schema
from ablate.spec.validation import expected

CORE = "ablate-core"


def commands() -> str:
    """Every command with its arguments and options, as typer documents them."""
    group = typer.main.get_command(app)
    text = get_docs_for_click(obj=group, ctx=typer.Context(group, info_name="ablate"), name="ablate")
    return text.partition("\n## ")[2].join(["## ", ""])  # what comes before is the list of the sections


def spec_keys() -> str:
    """Every key of a spec; of its recipe, where ablate's own trainer trains it; and of those that have a fixed set of them."""
    schema = spec_schema()
    closed = {key: part for key, part in schema["properties"].items() if part.get("additionalProperties") is False}
    own = default().load("trainer", DEFAULT_TRAINER).signature
    parts = {
        "The spec": _key_rows(schema),
        "`base`": map(_field_row, own.parameters.values()),
        **{f"`{key}`": _key_rows(part) for key, part in closed.items()},
    }
    return "\n".join(f"## {title}\n\n{_table('key', rows)}" for title, rows in parts.items())


def _key_rows(part: Schema) -> Iterator[list[str]]:
    for key, schema in part["properties"].items():
        required = "required" if key in part.get("required", ()) else _json(schema.get("default"), "default" in schema)
        yield [f"`{key}`", _value(key, schema), required, schema.get("description", "")]


def _field_row(parameter: Parameter) -> list[str]:
    """A field of a recipe; components lead to those that there are."""
    row = _parameter(parameter)
    if nested := parameter.nested:
        plural = _plural(nested.kind).lower()
        row[1] = f"[{plural if nested.many else nested.kind}](components.md#{plural}){' by name' * nested.many}"
    return row


def _value(key: str, schema: Schema) -> str:
    """What a key of a spec may be, in words."""
    reference = schema.get("$ref", "").rpartition("/")[2]
    if reference == "slug":
        return expected(spec_schema()["$defs"]["slug"])
    if reference == "component":  # whose kind the key names
        return f"[{key}](components.md#{_plural(key).lower()})"
    return f"a {reference}" if reference in ("recipe", "space") else expected(schema)


def components() -> str:
    """Every built-in component with its parameters."""
    sections = []
    for kind in KINDS:
        found = [component for component in default().all(kind) if component.distribution == CORE]
        sections.append(f"## {_plural(kind)}\n")
        sections += [_component(kind, component.qualified_name) for component in found]
        if not found:
            sections.append(
                f"None comes along; [what you can ablate](what-you-can-ablate.md) has {_plural(kind).lower()} to copy.\n"
            )
    return "\n".join(sections)


def _plural(kind: str) -> str:
    return KINDS[kind].removeprefix("ablate.").capitalize()


def _component(kind: str, name: str) -> str:
    loaded = default().load(kind, name)
    signature = loaded.signature
    rows = [_parameter(parameter) for parameter in signature.parameters.values()]
    table = _table("parameter", rows) if rows else "It has no parameters.\n"
    return f"### {kind} `{loaded.component.name}`\n\n{signature.doc}\n\n{table}"


def _parameter(parameter: Parameter) -> list[str]:
    required = "required" if parameter.required else _json(parameter.default, True)
    return [f"`{parameter.name}`", accepted(parameter), required, parameter.doc]


def _json(value: Any, given: bool) -> str:
    return f"`{json.dumps(value, ensure_ascii=False)}`" if given else ""


def _table(heading: str, rows: Iterable[list[str]]) -> str:
    lines = [[heading, "value", "unless given", "meaning"], ["---"] * 4, *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |\n" for line in lines)


def documents() -> str:
    """Every document that a command prints for programs, field by field."""
    return "\n".join(_document(name, document_schema(name)) for name in names())


def _document(name: str, made: Schema) -> str:
    rows = [["field", "value", "meaning"], ["---"] * 3, *_fields(made, "")]
    return f"## `{name}`\n\n{made['description']}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _fields(made: Schema, before: str) -> Iterator[list[str]]:
    for key, part in made.get("properties", {}).items():
        yield [f"`{before}{key}`", _kind_of(part), part.get("description", "").replace("|", "&#124;")]
        for inner in (part, *part.get("anyOf", ())):
            yield from _fields(inner.get("items") or {}, f"{before}{key}[].")
            yield from _fields(inner, f"{before}{key}.")


def _kind_of(part: Schema) -> str:
    """The values of a field, in a word or two."""
    if "anyOf" in part:
        return " or ".join(dict.fromkeys(map(_kind_of, part["anyOf"])))
    if "const" in part:
        return str(part["const"])
    if "enum" in part:
        return ", ".join(f"`{json.dumps(value)}`" for value in part["enum"])
    kind = part.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(kind)
    return f"{kind} of {_kind_of(part['items'])}s" if part.get("items") else kind


REFERENCES = {
    "command-reference": commands,
    "spec-reference": spec_keys,
    "component-reference": components,
    "json-reference": documents,
}


class Reference(SphinxDirective):
    """A directive whose content is what one of the functions above writes."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(REFERENCES[self.name](), allow_section_headings=True)


def setup(sphinx: Sphinx) -> Mapping[str, bool]:
    for name in REFERENCES:
        sphinx.add_directive(name, Reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
