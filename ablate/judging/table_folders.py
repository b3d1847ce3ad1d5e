"""Tables of a folder as one: a file a method, or a file a run."""

from dataclasses import replace
from pathlib import Path

from ablate.errors import UsageError

from .grids import Cell, Grid, read

FILE = "file"  # the column with the path of a table below the folder, without its suffix
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def tables_of(folder: Path) -> list[Path]:
    """The tables at any depth below a folder, in the order of their names; what is hidden aside."""
    inside = ((path, path.relative_to(folder).parts) for path in sorted(folder.rglob("*")))
    return [
        path
        for path, parts in inside
        if path.suffix.lower() in SUFFIXES and path.is_file() and not any(part.startswith(".") for part in parts)
    ]


def read_folder(folder: Path, with_file: bool) -> Grid:
    """All rows of all tables, with a column `file` where it is asked for; what only some tables have is missing in the others.

    Raises:
        UsageError: There is no table, or one of them cannot be read.
    """
    paths = tables_of(folder)
    if not paths:
        raise UsageError(f"{folder}: there is no table at any depth: {', '.join(SUFFIXES)}.")
    grids = [read(path) for path in paths]
    names = dict.fromkeys(name for grid in grids for name in grid.columns)
    if with_file and FILE in names:
        raise UsageError(f"{folder}: a table has a column {FILE!r}, which is what its own name is called here. Rename it.")
    columns: dict[str, list[Cell]] = {name: [] for name in [*names, *([FILE] if with_file else [])]}
    rows: list[str] = []
    for path, grid in zip(paths, grids, strict=True):
        place = path.relative_to(folder)
        rows += [f"{place} {row}" for row in grid.rows]
        for name in names:
            columns[name] += grid.columns.get(name, [None] * len(grid.rows))
        if with_file:
            columns[FILE] += [place.with_suffix("").as_posix()] * len(grid.rows)
    notices = dict.fromkeys(f"{path.name}: {notice}" for path, grid in zip(paths, grids, strict=True) for notice in grid.notices)
    return replace(grids[0], source=folder.name, columns=columns, rows=rows, notices=(_said(len(paths), with_file), *notices))


def _said(count: int, with_file: bool) -> str:
    return f"{count} tables read as one" + (f", with their paths as {FILE!r}" if with_file else "")
