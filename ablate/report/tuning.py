"""The part of a report about tuning, and what `ablate check` shows of it."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType

from ablate.spec.patch import show
from ablate.stats.records import Tuned
from ablate.study import Study, Tuning

from .console import indented, text
from .reading import level
from .tables import NOTHING, Table, duration, interval, make_table, measured, number, plural


def tuning_table(study: Study, tuned: Sequence[Tuned], digits: int) -> Table:
    """Every variant with and without tuning, what was chosen, and what the search took."""
    headings = [
        "variant",
        "untuned",
        "tuned",
        "difference",
        f"{level(study)} interval",
        "trials",
        "time (share)",
        "setting",
    ]
    rows = [
        [
            row.variant,
            measured(row.untuned, row.untuned_sd, digits),
            measured(row.tuned, row.tuned_sd, digits),
            number(row.difference, f"+z.{digits}f"),
            interval(row.low, row.high, digits),
            f"{row.trials} ({row.failed} failed)" if row.failed else str(row.trials),
            f"{duration(row.seconds)} ({number(100 * row.share, '.0f')} %)",
            chosen(row, study.tuning),
        ]
        for row in tuned
    ]
    return make_table(headings, rows, ["setting"])


def chosen(row: Tuned, tuning: Tuning | None) -> str:
    """The setting of a variant as a line, or why it has none."""
    if row.setting is not None:
        return setting(row.setting) + (" (untuned)" if row.chosen == 1 else "")
    if tuning is not None and row.trials == tuning.trials:
        return "none: every trial failed"
    return NOTHING


def setting(values: dict[str, Any]) -> str:
    """Such as `optimizer.lr=0.01, batch_size=64`."""
    return ", ".join(f"{path}={show(value)}" for path, value in values.items())


def notes(study: Study, tuning: Tuning) -> tuple[str, ...]:
    """How settings were chosen."""
    best = "largest" if study.compare.goal == "maximize" else "smallest"
    seeds = "one seed" if tuning.seeds == 1 else f"{tuning.seeds} seeds"
    return (
        f"Every variant was tried with {plural(tuning.trials, 'setting')} ({_name(tuning)}), the untuned one first, each trained "
        f"with {seeds} and judged on the validation images. The one with the {best} {study.compare.metric} there was trained "
        "anew, with the seeds of the study; so was the untuned one. Intervals are those of one comparison alone.",
    )


def _name(tuning: Tuning) -> str:
    return str(tuning.tuner["use"]).removeprefix("ablate-core:")


def tuning_view(tuning: Tuning) -> RenderableType:
    """What will be searched, each space once, with the variants that it is for."""
    return Group(*_view(tuning))


def _view(tuning: Tuning) -> Iterator[RenderableType]:
    seeds = plural(tuning.seeds, "seed")
    yield text(f"tuning: {plural(tuning.trials, 'trial')} of {seeds} for each variant ({_name(tuning)})", "bold")
    spaces: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for told in tuning.variants:
        spaces.setdefault(tuple(told.space.items()), []).append(told.variant)
    for space, names in spaces.items():
        if len(spaces) > 1:
            yield indented("; ".join(names))
        for path, domain in space:
            yield indented(f"{path}: {domain}", by=8 if len(spaces) > 1 else 4)
