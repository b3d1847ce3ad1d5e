"""Commands that show what a store has."""

from typing import TYPE_CHECKING, Annotated

import typer

from . import completion
from .common import AsJson, Output, StoreDir, app, print_json, warn
from .showing import format_of, show_pages

if TYPE_CHECKING:
    from ablate.spec import Spec
    from ablate.store import Store


@app.command()
def status(store: StoreDir = None, as_json: AsJson = False) -> None:
    """Show the studies of a store, and how far each is."""
    from ablate.documents import status as status_of
    from ablate.report.console import out, wide
    from ablate.report.tables import make_table
    from ablate.report.terminal import table_view
    from ablate.store.following import STATES

    found = status_of(store)
    if as_json:
        print_json(found)
        return
    headings = ["study", "cells", *STATES]
    rows = [[str(row[name]) for name in headings] for row in found["studies"]]
    console = wide(out)
    console.print(table_view(make_table(headings, rows), console.width))


@app.command()
def report(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC-or-STUDY",
            help="JSON file, or name of a stored study; several are joined.",
            show_default=False,
            autocompletion=completion.specs,
        ),
    ],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="terminal, full (all of it in the terminal), html, markdown, latex (tables to include), latex-document, csv, "
            "json, or files for all of them, with the figures as SVG and PDF.",
        ),
    ] = "terminal",
    output: Output = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Show or write the results of studies that the store has. Nothing is trained."""
    from ablate import places
    from ablate.report.content import page
    from ablate.spec import is_file, load
    from ablate.store import Store

    directory = places.store_dir(store)
    specs = {study: load(study) for study in studies if is_file(study)}
    with Store(directory, create=False) as opened:
        names = [_stored(specs[study], opened) if study in specs else study for study in studies]
        pages = [page(opened.study(name)) for name in dict.fromkeys(names)]
    show_pages(pages, format_of(format_, as_json), output, directory / "reports")


def _stored(spec: "Spec", store: "Store") -> str:
    """What the study of a spec is called in the store, where one of another spec may have its name."""
    from ablate.runner.job import difference_from_stored
    from ablate.store import version

    differs = difference_from_stored(spec, store)
    if not differs:
        return spec.name
    own = version(spec.name, spec.document)
    if own in store.studies():
        return own
    warn(f"the study {spec.name!r} of the store was run with another spec than {spec.source}: {differs}")
    return spec.name


@app.command()
def diff(
    one: Annotated[
        str, typer.Argument(metavar="CELL-or-STUDY", help="Key of a cell, or its start; or a study.", show_default=False)
    ],
    other: Annotated[str, typer.Argument(metavar="CELL-or-STUDY", help="What it is compared with.", show_default=False)],
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare two cells or two studies of a store: recipes, environments and results. `cells.csv` of a report has the keys."""
    from dataclasses import asdict

    from ablate import places
    from ablate.report.console import out, wide
    from ablate.report.diff import diff_view, difference
    from ablate.store import Store

    with Store(places.store_dir(store), create=False) as opened:
        found = difference(opened, one, other)
    if as_json:
        print_json(asdict(found))
        return
    console = wide(out)
    console.print(diff_view(found, console.width))
