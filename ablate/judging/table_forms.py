"""Tables in other shapes than a row a run: a metric a row, or a column a level."""

from collections.abc import Sequence
from dataclasses import replace

from ablate.errors import UsageError, did_you_mean
from ablate.judging.naming import is_seed
from ablate.judging.runs import Asked

from .grids import Cell, Grid, is_number, summaries


def one_metric_a_row(grid: Grid, names: str, values: str) -> Grid:
    """A column a metric, out of rows that say the same but for its name and value."""
    others = [name for name in grid.columns if name not in (names, values)]
    rows: dict[tuple[str, ...], dict[str, int]] = {}
    metrics: dict[str, None] = {}
    for row in range(len(grid.rows)):
        key, metric = tuple(repr(grid.columns[name][row]) for name in others), str(grid.columns[names][row])
        own = rows.setdefault(key, {})
        if metric in own:
            raise UsageError(
                f"{grid.source}: {grid.rows[own[metric]]} and {grid.rows[row]} both have {metric!r} of one run. Remove one."
            )
        own[metric] = row
        metrics.setdefault(metric)
    clash = next((metric for metric in metrics if metric in others), None)
    if clash is not None:
        raise UsageError(f"{grid.source}: {clash!r} is the name of a metric and of a column. Rename one.")
    firsts = [next(iter(own.values())) for own in rows.values()]
    made = {name: [grid.columns[name][row] for row in firsts] for name in others}
    for metric in metrics:
        made[metric] = [grid.columns[values][own[metric]] if metric in own else None for own in rows.values()]
    return replace(grid, columns=made, rows=[grid.rows[row] for row in firsts])


def one_level_a_column(grid: Grid, asked: Asked, factor: str, pattern: str | None, step: str | None, run: str | None) -> Grid:
    """A row a run, out of a table that has a column for each level: those of numbers, or those whose names fit a pattern."""
    known = {*asked.factors, *asked.where, asked.seed, step, run}
    numbers = [n for n, cells in grid.columns.items() if n not in known and not is_seed(n) and is_number(cells)]
    levels = {column: level for column in numbers if (level := _level(column, pattern)) is not None}
    metric = asked.metric or "value"
    if len(levels) < 2:
        raise UsageError(_no_levels(grid, factor, pattern, numbers))
    others = [name for name in grid.columns if name not in numbers]
    if factor in others or metric in others:
        raise UsageError(
            f"{grid.source}: there is a column {factor if factor in others else metric!r} already. Choose another name."
        )
    count = len(grid.rows)
    made: dict[str, list[Cell]] = {name: grid.columns[name] * len(levels) for name in others}
    made[factor] = [level for level in levels.values() for _ in range(count)]
    made[metric] = [cell for column in levels for cell in grid.columns[column]]
    rows = [f"{row}, {column}" for column in levels for row in grid.rows]
    rest = [name for name in numbers if name not in levels]
    said = (f"Columns of numbers that are no {pattern} are left out: {', '.join(rest)}",) if rest else ()
    return replace(grid, columns=made, rows=rows, notices=(*grid.notices, *said))


def _level(column: str, pattern: str | None) -> str | None:
    """What the * of a pattern stands for in the name of a column; without a pattern, the name."""
    if pattern is None:
        return column
    before, _, after = pattern.partition("*")
    fits = column.startswith(before) and column.endswith(after) and len(column) > len(before) + len(after)
    return column[len(before) : len(column) - len(after)] if fits else None


def _no_levels(grid: Grid, factor: str, pattern: str | None, numbers: Sequence[str]) -> str:
    if pattern is None:
        told = f"{grid.source}: fewer than two columns have numbers, so they are no levels of {factor!r}."
        return f"{told} {summaries(grid, grid.columns)}".strip()
    return f"{grid.source}: fewer than two columns of numbers are {pattern}. {did_you_mean('', numbers)}".strip()
