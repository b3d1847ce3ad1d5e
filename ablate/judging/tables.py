"""Tables as a source of runs: one row a run, one a step, a metric a row, or a column a level."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

from ablate.contracts import CELL_COLUMNS
from ablate.errors import UsageError, did_you_mean
from ablate.judging.naming import STEPS, is_seed, status_of
from ablate.judging.runs import Asked, Curve, Run, Runs, last

from .grids import MISSING, SUFFIXES, Cell, Grid, is_number, number, read, same, strange, summaries
from .table_folders import FILE, read_folder
from .table_forms import one_level_a_column, one_metric_a_row

FLAGS = MISSING | {"true", "false", "yes", "no"}
PLAIN = "Write a number with a point, such as 0.93, or leave the cell empty where a run has none."
RECORDS = frozenset(CELL_COLUMNS[2:]) - {"status", "error"} | {"evaluated_images"}


def table(
    asked: Asked,
    /,
    *,
    step: str | None = None,
    run: str | None = None,
    columns: str | None = None,
    levels: str | None = None,
    names: str | None = None,
    values: str | None = None,
) -> Runs:
    """A table: CSV, TSV, JSON lines or Parquet; from Python, a pandas frame. Of a folder, all tables in it as one.

    One row is a run, or a step of one. A column counts as a setting where it is constant within each run, and as a metric where
    it has numbers.

    Args:
        step: The column that has the steps of a run; unless given, `epoch`, `step` or the like where runs have several rows.
        run: The column that tells runs apart; unless given, runs have one row, or are told apart by their settings.
        columns: What the columns of numbers are levels of, where a table has a column for each method.
        levels: The names of these columns, with a `*` for the level, such as `*_acc` where a method has a column for each metric.
        names: The column with names of metrics, where each row has one metric; needs `values`.
        values: The column with their values.
    """
    grid = _without_records(_grid(asked, run))
    for name in (step, run, names, values):
        if name is not None and name not in grid.columns:
            raise UsageError(f"{grid.source}: there is no column {name!r}. {did_you_mean(name, grid.columns)}".strip())
    if (names is None) != (values is None):
        raise UsageError("`names` and `values` of a table go together: the column of metrics' names, and that of their values.")
    if levels is not None and (columns is None or levels.count("*") != 1):
        raise UsageError("`levels` of a table goes with `columns`, and has one * where the names of columns have the level.")
    if names is not None and values is not None:
        grid = one_metric_a_row(grid, names, values)
    if columns is not None:
        grid = one_level_a_column(grid, asked, columns, levels, step, run)
    _check_metric(grid, asked)
    step, groups = _groups(grid, asked, step, run)
    numbers = [name for name, cells in grid.columns.items() if name != step and is_number(cells)]
    made = (_run(grid, rows, step, numbers) for rows in groups)
    read_as = (f"Rows that differ in {step!r} are steps of one run",) if step else ()
    return Runs(tuple(made), (*grid.notices, *read_as), apart=False)


def _grid(asked: Asked, run: str | None) -> Grid:
    """The table; the tables of a folder as one. Whose factors are named is asked for no others, such as the file."""
    if not isinstance(asked.place, (str, Path)) or not Path(asked.place).is_dir():
        return read(asked.place)
    named = (*asked.factors, *asked.where, asked.seed, run)
    return read_folder(Path(asked.place), with_file=not asked.factors or FILE in named)


def recognises(place: Any) -> bool:
    """Whether it is a pandas frame, or named like a table."""
    return not isinstance(place, (str, Path)) or (Path(place).suffix.lower() in SUFFIXES and Path(place).is_file())


table.recognises = recognises  # type: ignore[attr-defined]


def _without_records(grid: Grid) -> Grid:
    """The cells that a report of ablate has as CSV, without what is recorded of a cell beside its variant, seed and metrics."""
    if not grid.columns.keys() >= RECORDS - {"evaluated_images"}:
        return grid
    kept = {name: cells for name, cells in grid.columns.items() if name not in RECORDS}
    said = "Cells of a report of ablate: variants, seeds, how they ended, and metrics are read"
    return replace(grid, columns=kept, notices=(*grid.notices, said))


def _check_metric(grid: Grid, asked: Asked) -> None:
    """Text among the numbers of the metric is refused: a number that is left out would not be missed by anybody."""
    if asked.metric not in grid.columns:
        return
    wrong = list(strange(grid, asked.metric))
    if wrong:
        shown = ", ".join(f"{cell!r} ({row})" for row, cell in wrong[:3])
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UsageError(
            f"{grid.source}: {asked.metric!r} has text where numbers are expected: {shown}{more}. "
            + (summaries(grid, [asked.metric]) or PLAIN)
        )


def _groups(grid: Grid, asked: Asked, step: str | None, run: str | None) -> tuple[str | None, list[list[int]]]:
    """The rows of each run, and the column of steps where runs have several rows."""
    every = range(len(grid.rows))
    if run is None:
        named = (*asked.factors, *asked.where, asked.seed or next((name for name in grid.columns if is_seed(name)), None))
        known = [name for name in dict.fromkeys(named) if name in grid.columns]
        if not asked.factors:
            known += [n for n, cells in grid.columns.items() if n not in known and n != step and not is_number(cells)]
    else:
        known = [run]
    by_key: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    keys = zip(*(map(repr, grid.columns[name]) for name in known), strict=True) if known else repeat((), len(grid.rows))
    for row, key in enumerate(keys):
        by_key[key].append(row)
    several = sum(len(rows) > 1 for rows in by_key.values())
    if step is None:
        step = _step_of(grid, by_key.values() if known and 2 * several >= len(by_key) else (), known)
        _check_step(grid, by_key.values(), step, known)
    if step is None:
        if run is not None and several:
            raise UsageError(f"{grid.source}: {run!r} is the same in several rows. Say which column has the steps (`step`).")
        return None, [[row] for row in every]
    steps = [_whole(grid, row, step) for row in every]
    groups = [sorted(rows, key=steps.__getitem__) for rows in by_key.values()]
    for rows in groups:
        if len({steps[row] for row in rows}) < len(rows):
            one, other = next((one, other) for one, other in pairwise(rows) if steps[one] == steps[other])
            raise UsageError(_twice(grid, known, step, one, other))
    return step, groups


def _twice(grid: Grid, known: Sequence[str], step: str, one: int, other: int) -> str:
    run = ", ".join(f"{name} {grid.columns[name][one]}" for name in known) or "the only run"
    differ = [n for n, cells in grid.columns.items() if not same(cells[one], cells[other]) and not isinstance(cells[one], float)]
    remedy = f"They differ in {', '.join(differ[:5])}: name it with --factor, --block or --seed." if differ else "Remove one."
    at = f"{step} {grid.columns[step][one]}"
    return f"{grid.source}: {grid.rows[one]} and {grid.rows[other]} both are {at} of one run ({run}). {remedy}"


def _step_of(grid: Grid, groups: Any, known: Sequence[str]) -> str | None:
    """The column that is named like a step and differs within runs of several rows."""
    several = [rows for rows in groups if len(rows) > 1]
    for column in (column for column in _steps(grid) if column not in known):
        cells = grid.columns[column]
        rises = several and all(len({cells[row] for row in rows}) > 1 for rows in several)
        first = {min((cells[row] for row in rows if cells[row] is not None), default=None) for rows in several}
        if rises and (len(several) < 2 or 2 * len(first) <= len(several)):  # runs begin alike
            return column
    return None


def _steps(grid: Grid) -> list[str]:
    """The columns of numbers that are named like steps, those of whole numbers first: beside a step, an epoch may be 10.34."""
    found = [column for name in STEPS for column in grid.columns if column.lower() == name and is_number(grid.columns[column])]
    return sorted(found, key=lambda column: not all(cell is None or cell == cell // 1 for cell in grid.columns[column]))


def _check_step(grid: Grid, groups: Collection[Sequence[int]], step: str | None, known: Sequence[str]) -> None:
    """Rows that differ in a setting are runs of their own, and no steps of one: a name like `epochs` may be of a measurement.

    A column of text may follow from the step, as a stage of training does, or be another in every row; else it is a setting.
    """
    if step is None:
        return
    texts = [n for n, cells in grid.columns.items() if n != step and n not in known and not is_number(cells)]
    for name, cells in ((name, grid.columns[name]) for name in texts):
        run = next((rows for rows in groups if not _constant([cells[row] for row in rows])), None)
        if run is None or {str(cell).lower() for cell in cells} <= FLAGS:
            continue
        pairs = set(zip(map(repr, grid.columns[step]), map(repr, cells), strict=True))
        repeats = min(Counter(map(repr, cells)).values()) > 1
        if repeats and len(pairs) > len({at for at, _ in pairs}):
            of_run = ", ".join(f"{column} {grid.columns[column][run[0]]}" for column in known)
            raise UsageError(
                f"{grid.source}: rows of one run ({of_run}) differ in {name!r}, so nobody can tell whether {step!r} has steps of "
                f"a run. Name {name!r} with --factor, --block or --seed, or choose one of its values with --where. Or say that "
                f'{step!r} has the steps: --source \'{{"use": "table", "step": {json.dumps(step)}}}\'.'
            )


def _whole(grid: Grid, row: int, step: str) -> int:
    found = grid.columns[step][row]
    if isinstance(found, int):
        return found
    found = number(found)
    if found is None or not math.isfinite(found) or int(found) != found:
        raise UsageError(
            f"{grid.source}: {grid.rows[row]} has {grid.columns[step][row]!r} as {step}, and a step is a whole number."
        )
    return int(found)


def _run(grid: Grid, rows: Sequence[int], step: str | None, numbers: Sequence[str]) -> Run:
    first, last = rows[0], rows[-1]
    settings = {}
    for name, cells in grid.columns.items():
        if name != step and (len(rows) == 1 or _constant([cells[row] for row in rows])):
            settings[name] = cells[first]
    metrics = {}
    steps = [0 if step is None else _whole(grid, row, step) for row in rows]
    for name in numbers:
        cells = grid.columns[name]
        points = [(at, value) for at, row in zip(steps, rows, strict=True) if (value := cells[row]) is not None]
        if points:
            metrics[name] = Curve([at for at, _ in points], [float(value) for _, value in points])
    name = grid.rows[first] if len(rows) == 1 else f"{grid.rows[first]} to {grid.rows[last].rpartition(' ')[2]}"
    told_status = _status(settings)
    return Run(name, settings, metrics, *told_status)


def _constant(cells: list[Cell]) -> bool:
    if cells.count(cells[0]) == len(cells) and len(set(map(type, cells))) == 1:  # most are, and this takes no time
        return True
    return all(same(cell, cells[0]) for cell in cells[1:])


def curves(grid: Grid) -> dict[str, Curve]:
    """The metrics of a table that is all of one run: a row a step, or a single row. Of a step that is there twice, the later
    counts.

    Rows without a step go on from the row before, as where training and evaluation of an epoch have a row each.
    """
    step = next(iter(_steps(grid)), None)
    if len(grid.rows) == 1:
        step = None
    steps: list[int] = []
    for row in range(len(grid.rows)):
        numbered = step is not None and grid.columns[step][row] is not None
        steps.append(
            _whole(grid, row, step) if numbered and step else steps[-1] if steps and step else row if len(grid.rows) > 1 else 0
        )
    found = {}
    for name in (name for name, cells in grid.columns.items() if name != step and is_number(cells)):
        numbers = [(at, float(value)) for at, value in zip(steps, grid.columns[name], strict=True) if value is not None]
        found[name] = last(Curve([at for at, _ in numbers], [value for _, value in numbers]))
    return found


def _status(settings: dict[str, Cell]) -> tuple[Any, str]:
    """What a column `status` or `state` says; the error that stands beside it."""
    for name in ("status", "state"):
        found = status_of(settings.get(name))
        if found:
            error = settings.get("error")
            return found, error if isinstance(error, str) else ""
    return "done", ""
