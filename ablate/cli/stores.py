"""Commands that look after a store: `ablate store …`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .common import AsJson, StoreDir, app, print_json, warn

if TYPE_CHECKING:
    from ablate.store import Store
    from ablate.store.exchanging import Taken
    from ablate.store.sources import Source
    from ablate.store.tidying import Amount, Removed

stores = typer.Typer(help="Look after a store: list, measure, remove, export, import, merge.", no_args_is_help=True)
app.add_typer(stores, name="store")

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Name of a stored study.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")]


@stores.command("list")
def list_(store: StoreDir = None, as_json: AsJson = False) -> None:
    """List the studies of a store: cells, those shared with other studies, size, and when each was last run."""
    import time

    from ablate import documents, places
    from ablate.report.console import out, table, wide
    from ablate.report.tables import room
    from ablate.store import Store
    from ablate.store.tidying import listed

    if as_json:
        print_json(documents.store_list(store))
        return
    with Store(places.store_dir(store), create=False) as opened:
        found = listed(opened)
    rows = [
        [one.name, one.cells, one.done, one.shared, room(one.bytes), time.strftime("%Y-%m-%d %H:%M", time.localtime(one.updated))]
        for one in found
    ]
    wide(out).print(table(["study", "cells", "done", "shared", "size", "last run"], rows, numeric=True))


@stores.command()
def size(store: StoreDir = None, as_json: AsJson = False) -> None:
    """Say how large a store is, part by part, and how much of it no study names."""
    from ablate import documents, places
    from ablate.report.console import out, say, table, wide
    from ablate.report.tables import room
    from ablate.store import Store
    from ablate.store.tidying import size as measured

    if as_json:
        print_json(documents.store_size(store))
        return
    with Store(places.store_dir(store), create=False) as opened:
        found = measured(opened)
    rows: list[list[Any]] = [["database", f"{found.database.count:,} cells", room(found.database.bytes)]]
    rows += [[name, f"{amount.count:,} files", room(amount.bytes)] for name, amount in found.files.items()]
    wide(out).print(table(["part", "holds", "size"], [*rows, ["all", "", room(found.bytes)]], numeric=True))
    if found.unnamed.nothing:
        return
    say(out, f"\nNo study names {_in_words(found.unnamed)}: `ablate store gc` removes that.")


@stores.command()
def remove(study: StudyName, dry_run: DryRun = False, store: StoreDir = None) -> None:
    """Remove a study, and those of its cells that no other study names. Its report in `reports` stays."""
    from ablate import places
    from ablate.report.console import out, say
    from ablate.store import Store
    from ablate.store.tidying import remove as take_away

    with Store(places.store_dir(store), create=False) as opened:
        found = take_away(opened, study, dry_run)
    stay = f"; kept {_are(found.shared)} that other studies name or use" if found.shared else ""
    say(out, f"{_verb(dry_run)} study {study!r} with {_in_words(found)}{stay}")


@stores.command()
def gc(dry_run: DryRun = False, store: StoreDir = None) -> None:
    """Remove what no study names: cells with their weights, predictions, logs and checkpoints; and what killed runs left."""
    from ablate import places
    from ablate.report.console import out, say
    from ablate.store import Store
    from ablate.store.tidying import collect

    with Store(places.store_dir(store), create=False) as opened:
        found = collect(opened, dry_run)
    stay = f"; kept {_are(found.running)} that a run trains now" if found.running else ""
    what = "nothing to remove" if found.nothing else f"{_verb(dry_run)} {_in_words(found)}"
    say(out, f"{what}{stay}")


@stores.command()
def export(
    study: StudyName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.", show_default=False)],
    store: StoreDir = None,
) -> None:
    """Write a study with its finished cells, their predictions and kept weights, to one file that `import` takes."""
    from ablate import places
    from ablate.report.console import out, say
    from ablate.report.tables import plural, room
    from ablate.store import Store
    from ablate.store.archives import export as write

    with Store(places.store_dir(store), create=False) as opened:
        cells = write(opened, study, file)
    say(out, f"written to {file}: {plural(cells, 'finished cell')}, {room(file.stat().st_size)}")


@stores.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `export` wrote.", show_default=False)],
    store: StoreDir = None,
) -> None:
    """Take a study and its cells from a file. Every part is checked first, and nothing of the store is overwritten."""
    from ablate import places
    from ablate.store import Store
    from ablate.store.archives import opened as read

    with read(file) as source, Store(places.store_dir(store)) as opened:
        _take(opened, source)


@stores.command()
def merge(
    other: Annotated[Path, typer.Argument(metavar="OTHER_STORE", help="Directory of a store.", show_default=False)],
    store: StoreDir = None,
) -> None:
    """Take all studies and finished cells of another store. Nothing of either is overwritten."""
    from ablate import places
    from ablate.errors import UsageError
    from ablate.store import Store, exists
    from ablate.store.sources import source_of

    directory = places.store_dir(store)
    if other.resolve() == directory.resolve():
        raise UsageError(f"{other} is this store itself. Give another one.")
    if not exists(other):
        raise UsageError(f"{other}: there is no store. Give the directory of one, which has a file store.sqlite.")
    with Store(other, create=False) as theirs, Store(directory) as opened:
        _take(opened, source_of(theirs))


def _take(opened: "Store", source: "Source") -> None:
    from ablate.report.console import out, say
    from ablate.store.exchanging import take_over

    taken = take_over(opened, source)
    for line in _taken_words(taken):
        say(out, line)
    for line in taken_warnings(taken):
        warn(line)


def _taken_words(taken: "Taken") -> Iterator[str]:
    """What became of a source, a sentence each."""
    from ablate.report.tables import plural

    new = [plural(taken.cells, "new cell")]
    new += [f"{name} of {count:,}" for name, count in (("weights", taken.weights), ("predictions", taken.predictions)) if count]
    yield f"{', '.join(new)}; {plural(taken.known, 'cell')} known before"
    for name, here in taken.studies:
        yield f"study {name!r} is " + ("new here" if name == here else f"called {here!r} here, where another study has its name")
    if taken.running:
        yield f"{plural(taken.running, 'cell')} left to the run that trains them here"


def taken_warnings(taken: "Taken") -> Iterator[str]:
    """What the user has to know, a sentence each."""
    from ablate.report.tables import plural
    from ablate.store.exchanging import MOST

    if taken.others:
        more = f"; and {len(taken.others) - MOST} more" if len(taken.others) > MOST else ""
        told = "; ".join(taken.others[:MOST])
        yield f"of {plural(len(taken.others), 'cell')} this store has another result, which stays as it is: {told}{more}"
    if taken.unproven:
        yield (
            f"the keys of {plural(taken.unproven, 'cell')} could not be made again from their recipes, because other versions, "
            "components or files are here than where they were trained: take them only from where you trust"
        )


def _verb(dry_run: bool) -> str:
    return "would remove" if dry_run else "removed"


def _in_words(found: "Removed") -> str:
    """How many things, and how large."""
    from ablate.report.tables import plural, room

    cells = f"{plural(found.cells.count, 'cell')} ({found.done} finished)" if found.cells.count else "no cell"
    files = [_amount(name, amount) for name, amount in found.files.items() if amount.count]
    return f"{', '.join([cells, *files])}: {room(found.bytes)}"


def _are(cells: int) -> str:
    """As in `is 1 cell`."""
    from ablate.report.tables import plural

    return f"{'is' if cells == 1 else 'are'} {plural(cells, 'cell')}"


def _amount(name: str, amount: "Amount") -> str:
    return f"{name} of {amount.count:,}"
