"""Commands about what is installed, and about data."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.errors import UsageError, checked

from . import completion
from .common import AsJson, DataDir, Set, app, print_json, warn

if TYPE_CHECKING:
    from rich.console import RenderableType


@app.command("list")
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="KIND", help="Only this kind.", show_default=False, autocompletion=completion.kinds),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", metavar="TEXT", help="Only those with this in their name, package or description.")
    ] = None,
    load: Annotated[bool, typer.Option("--load", help="Import each one, in a process apart, to see whether it works.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what can be used: the components and hooks of all installed packages, and what is wrong with them."""
    from ablate.documents.installed import components_record
    from ablate.plain import aligned, fitted

    told = components_record(kind, search or "", load)
    if as_json:
        print_json(told)
        return
    found = told["components"]
    columns = ("kind", "name", "package", *(["problem"] if any(one["problem"] for one in found) else []), "description")
    rows = [[{**one, "package": f"{one['distribution']} {one['version']}"}[column] for column in columns] for one in found]
    if not found:
        has = f"has {search!r} in its name, package or description" if search else "is installed"
        warn(f"no {kind or 'component'} {has}")
    elif sys.stdout.isatty():
        sys.stdout.write(fitted([columns, *rows], shutil.get_terminal_size().columns))
    else:
        sys.stdout.write(aligned([columns, *rows]))
    for message in told["problems"]:
        warn(message)


@app.command()
def show(
    kind: Annotated[str, typer.Argument(metavar="KIND-or-NAME", show_default=False, autocompletion=completion.kinds)],
    name: Annotated[str | None, typer.Argument(metavar="NAME", show_default=False, autocompletion=completion.components)] = None,
    as_json: AsJson = False,
) -> None:
    """Show a component's parameters, defaults and documentation, or what a hook listens to.

    The kind may be left out: then everything of the name is shown.
    """
    from ablate.documents.installed import component_record, kinds_of
    from ablate.report.console import out

    kinds = [kind] if name else kinds_of(kind)
    name = name or kind
    if not kinds:
        raise UsageError(f"give the name of a component, too: ablate list {kind} says which there are.")
    if as_json and len(kinds) > 1:
        raise UsageError(f"--json is of one component. Give a kind before {name!r}: {' or '.join(kinds)}.")
    for place, one in enumerate(kinds):
        if as_json:
            print_json(component_record(one, name))
        else:
            out.print(*[""] * min(place, 1), _page(one, name), sep="\n")


def _page(kind: str, name: str) -> "RenderableType":
    from ablate.documents.installed import component_record, loaded_with_families
    from ablate.registry import HOOK, default
    from ablate.report.component import component_page, hook_page

    if kind in (HOOK, "hooks"):
        told = component_record(kind, name)
        return hook_page(default().find_hook(name), told["doc"], told["listens_to"])
    return component_page(loaded_with_families(kind, name)[0])


@app.command()
def schema() -> None:
    """Print one JSON Schema for specs with everything that is installed, for editors."""
    from ablate.registry import default
    from ablate.spec.schema import joined

    document, left_out = checked(joined(default()))
    for message in left_out:
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
    from ablate.report.console import out, say
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
        say(out, line)


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
    from ablate.report.console import out, say

    from .new_plugin import write

    for path in write(name, kind, directory):
        say(out, path)
