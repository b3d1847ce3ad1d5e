"""Commands about what is installed, and about data."""

import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.errors import UsageError

from . import completion
from .common import AsJson, DataDir, Set, app, print_json, warn

if TYPE_CHECKING:
    from ablate.registry import Component


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="Only this kind.", show_default=False, autocompletion=completion.kinds),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Only those with this in their name, package or description.")
    ] = None,
    load: Annotated[bool, typer.Option("--load", help="Import each one, in a process apart, to see whether it works.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what can be used: the components and hooks of all installed packages, and what is wrong with them."""
    from ablate.plain import aligned
    from ablate.registry import HOOK, KINDS, Component, default
    from ablate.registry.descriptions import description

    kind = HOOK if kind == "hooks" else kind
    if kind is not None and kind not in (*KINDS, HOOK):
        raise _no_kind(kind)
    registry = default()
    rows = []
    components = [
        component
        for k in ([kind] if kind else [*KINDS, HOOK])
        for component in registry.all(k)
        if _has(search or "", component.name, component.distribution, description(component))
    ]
    broken: Mapping[Component, str] = {}
    if load:
        from ablate.registry.loading import problems

        broken = problems(components)
    for component in components:
        problem = broken.get(component) or component.problem
        if len(registry.components.get(component.kind, {}).get(component.name, ())) > 1:
            problem = problem or f"several packages have this name: use {component.qualified_name!r}"
        rows.append((component.kind, component.name, component.distribution, component.version, problem, description(component)))
    if as_json:
        keys = ("kind", "name", "distribution", "version", "problem", "description")
        print_json({"components": [dict(zip(keys, row, strict=True)) for row in rows], "problems": list(registry.unreadable)})
        return
    told = any(row[4] for row in rows)  # problems come before descriptions, which are long
    lines = [(row[0], row[1], f"{row[2]} {row[3]}", *([row[4]] if told else []), row[5]) for row in rows]
    heading = ("kind", "name", "package", *(["problem"] if told else []), "description")
    sys.stdout.write(aligned([heading, *lines]))
    for message in registry.unreadable:
        warn(message)


def _has(searched: str, *texts: str) -> bool:
    return any(searched.casefold() in text.casefold() for text in texts)


def _no_kind(kind: str) -> UsageError:
    from ablate.errors import did_you_mean
    from ablate.registry import HOOK, KINDS

    return UsageError(f"there is no kind {kind!r}. {did_you_mean(kind, (*KINDS, HOOK), limit=20)}")


@app.command()
def show(
    kind: Annotated[str, typer.Argument(metavar="KIND", show_default=False, autocompletion=completion.kinds)],
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, autocompletion=completion.components)],
    as_json: AsJson = False,
) -> None:
    """Show a component's parameters, defaults and documentation, or what a hook listens to."""
    from ablate.registry import HOOK, KINDS, default, import_target
    from ablate.registry.remembered import Memory
    from ablate.report.component import component_page, hook_page
    from ablate.report.console import out

    if kind in (HOOK, "hooks"):
        from ablate.registry.hooks import listened_to

        hook = default().find_hook(name)
        listener = import_target(hook)
        heard = listened_to(listener)
        if as_json:
            print_json({**_described(hook), "doc": inspect.getdoc(listener) or "", "listens_to": heard})
        else:
            out.print(hook_page(hook, inspect.getdoc(listener) or "", heard))
        return
    if kind not in KINDS:
        raise _no_kind(kind)
    registry = default()
    registry.memory = Memory()
    loaded = registry.load(kind, name)
    families = {name: loaded.choices(name) for name, parameter in loaded.signature.parameters.items() if parameter.choices}
    registry.memory.save()
    if as_json:
        signature = {"doc": loaded.signature.doc, "schema": loaded.signature.schema()}
        print_json({**_described(loaded.component), **signature, "families": families})
        return
    out.print(component_page(loaded))


def _described(component: "Component") -> dict[str, str]:
    told = {key: getattr(component, key) for key in ("kind", "name", "distribution", "target")}
    return {**told, "distribution_version": component.version}  # `version` is that of the document


@app.command()
def schema() -> None:
    """Print one JSON Schema for specs with everything that is installed, for editors."""
    from ablate.registry import default
    from ablate.spec.schema import joined

    document, problems = joined(default())
    for message in problems:
        warn(message)
    print_json(document, versioned=False)


@app.command()
def fetch(
    what: Annotated[
        str,
        typer.Argument(
            metavar="SPEC-or-DATASET",
            help="JSON file, or name of a dataset.",
            show_default=False,
            autocompletion=completion.specs_or_datasets,
        ),
    ],
    overrides: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Download and decode data ahead of time."""
    from ablate import places
    from ablate.contracts import Environment
    from ablate.registry import default
    from ablate.report.console import out, text
    from ablate.runner.job import plan_of
    from ablate.spec import is_file
    from ablate.spec.identity import canonical_json
    from ablate.trainers.image_classification import fetched

    environment = Environment(places.data_dir(data_dir))
    if is_file(what):
        variants = plan_of(what, overrides or ()).variants
        found = {canonical_json(variant.trainer.data): variant.trainer.fetch for variant in variants}
        ready = [fetch(environment) if fetch else "nothing to fetch" for fetch in found.values()]
    else:
        loaded = default().load("dataset", what)
        required = [name for name, parameter in loaded.signature.parameters.items() if parameter.required]
        if required:
            raise UsageError(f"dataset {what!r} needs {', '.join(required)}: fetch it with a spec.")
        ready = [fetched(default(), {"use": what}, environment)]
    for line in ready:
        out.print(text(line), soft_wrap=True)


@app.command("new-plugin")
def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the package, such as ablate-lion.", show_default=False)],
    kind: Annotated[
        str,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="What it gives, such as optimizer.",
            show_default=False,
            autocompletion=completion.kinds,
        ),
    ],
    directory: Annotated[Path, typer.Option("--directory", metavar="DIR", help="Where its folder is made.")] = Path("."),
) -> None:
    """Write a plugin that can be installed and passes its tests: a small example of its kind to begin with."""
    from ablate.report.console import out, text

    from .new_plugin import write

    for path in write(name, kind, directory):
        out.print(text(path), soft_wrap=True)
