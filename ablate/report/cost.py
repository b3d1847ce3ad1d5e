"""What the variants cost beside what they bring: seconds and parameters, and which of them no other beats in both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from ablate.machine import machine_of
from ablate.plain import shorten
from ablate.stats.records import Effect
from ablate.study import Study

from .drawing import Mark, Panel, Picture
from .figures import variant_marks
from .page import Section
from .style import COLORS, GREY, INK
from .tables import NOTHING, decimals, duration, make_table, measured, number, plural

if TYPE_CHECKING:  # matplotlib is there when axes are
    from matplotlib.axes import Axes

EVEN = 1.1  # times the seconds of a cell, up to which another takes the same time as far as a machine tells
BUSY = 1.5  # times another cell's seconds of the same variant, from which on the machine did other things, too
WIDE = 20  # times the smallest value, from which on an axis is logarithmic
MARKERS = ("o", "s", "^", "D", "v", "P")
UNITS = ((7200.0, 3600.0, "hours"), (300.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))

Rows = list[dict[str, Any]]
What = Literal["seconds", "parameters"]


@dataclass(frozen=True)
class Differs:
    """In which costs the variants of a study differ, so that it can be asked what a better result costs."""

    seconds: bool
    parameters: bool

    def __bool__(self) -> bool:
        return self.seconds or self.parameters


def cost(study: Study, summary: pd.DataFrame, effects: Sequence[Effect]) -> Section | None:
    """A row a variant with its verdict and its costs, and where these differ a figure of both."""
    done = study.cells[study.cells["status"] == "done"]
    if done.empty or study.imported:
        return None
    differs = differs_of(study, summary)
    total = done.groupby("variant")["seconds"].sum()
    rates = study.epochs.groupby("variant")["images_per_second"].mean()
    verdicts, digits = {effect.variant: effect.verdict for effect in effects}, decimals(summary["mean"])
    rows = []
    for row in _rows(summary):
        told = [verdicts.get(row["variant"], "reference"), measured(row["mean"], row["sd"], digits)] if differs else []
        costs = [
            NOTHING if pd.isna(row["parameters"]) else f"{int(row['parameters']):,}",
            duration(row["seconds"]),
            duration(total.get(row["variant"], float("nan"))),
            number(float(rates.get(row["variant"], float("nan"))), ",.0f"),
        ]
        rows.append([row["variant"], *told, *costs])
    headings = ["variant", *(["verdict", study.compare.metric] if differs else []), "parameters", "time/cell", "time", "images/s"]
    table = make_table(headings, rows, ["verdict"])
    return Section("Cost", (table,), _picture(study, summary, differs), notes=tuple(_notes(study, done, differs)))


def differs_of(study: Study, summary: pd.DataFrame) -> Differs:
    """What there is to show; nothing where variants are compared within blocks, whose results are on scales of their own."""
    valued = summary[np.isfinite(summary["mean"].astype(float))]
    if len(valued) < 2 or study.compare.blocks:
        return Differs(False, False)
    done = study.cells[(study.cells["status"] == "done") & study.cells["variant"].isin(valued["variant"])]
    seconds = done.groupby("variant")["seconds"]
    slower = seconds.min().max() > EVEN * seconds.max().min()  # every cell of one variant than every cell of another
    return Differs(bool(slower), valued["parameters"].dropna().nunique() > 1)


def machines(study: Study) -> list[str]:
    """Those that the study's cells were trained on, as far as they were noted."""
    return sorted({machine_of(record) for record in study.provenance} - {""})


def front(rows: Sequence[dict[str, Any]], what: What, maximize: bool) -> list[str]:
    """The variants than which no other has a better mean for no more, nor as good a one for less; from the cheapest on."""
    sign = 1 if maximize else -1
    best, found = -np.inf, []
    for row in sorted(rows, key=lambda row: (row[what], -sign * row["mean"])):
        if sign * row["mean"] > best:
            best = sign * row["mean"]
            found.append(row["variant"])
    return found


def _rows(summary: pd.DataFrame) -> Rows:
    return cast("Rows", summary.to_dict("records"))


def _notes(study: Study, done: pd.DataFrame, differs: Differs) -> Iterator[str]:
    total = f"{plural(len(done), 'cell')} took {duration(done['seconds'].sum())} in all, training and evaluation."
    if study.tuning is not None:
        every = study.every_cell[study.every_cell["status"] == "done"].drop_duplicates("key")
        total += f" With those of the tuning, {plural(len(every), 'cell')} took {duration(every['seconds'].sum())}."
    yield total
    if not differs.seconds:
        return
    if len(where := machines(study)) > 1:
        yield (
            f"They ran on {len(where)} different machines ({'; '.join(where)}): times say as much of these as of the variants, "
            "and are not compared."
        )
    if any(record.get("device", "cpu") != "cpu" for record in study.provenance):
        yield "Cells that took turns on a GPU have the time of each other in theirs, and those of different variants tell little."
    spread = done.groupby("variant")["seconds"].agg(lambda seconds: seconds.max() / max(seconds.min(), 1e-9))
    if (busy := spread[spread > BUSY]).size:
        yield (
            f"Cells of {shorten(str(busy.idxmax()), 60)!r} took up to {busy.max():.1f} times as long as others of it: the "
            "machine was not always as free, and times say that too."
        )


def _picture(study: Study, summary: pd.DataFrame, differs: Differs) -> tuple[Picture, ...]:
    """The metric against what it costs, a panel for each cost in which variants differ; times of one machine only."""
    compared: dict[What, bool] = {
        "seconds": differs.seconds and len(machines(study)) < 2,
        "parameters": differs.parameters,
    }
    marks = variant_marks(study, summary)
    symbols = {
        name: Mark(mark.label, mark.color, None, "o" if mark.color == INK else MARKERS[place // len(COLORS) % len(MARKERS)])
        for place, (name, mark) in enumerate(marks.items(), start=-1)
    }
    rows = [row for row in _rows(summary) if np.isfinite(row["mean"])]
    panels = []
    for what, wanted in compared.items():
        known = [row for row in rows if not pd.isna(row[what])]
        if wanted and len(known) > 1:
            panels.append(Panel(partial(_draw, study, what, known, symbols), 4.2, 3.1))
    if not panels:
        return ()
    caption = (
        f"Mean {study.compare.metric} of each variant with its standard deviation, against what a cell costs. The line joins "
        "those than which no other is better in the mean and costs no more; whether a difference is more than chance, the "
        "verdicts say"
    )
    if len(symbols) < len(rows):
        caption += f". In grey: the {len(rows) - len(symbols)} variants that differ least"
    return (Picture("cost", f"{caption}.", tuple(panels), tuple(symbols.values())),)


def _draw(study: Study, what: What, rows: Rows, symbols: dict[str, Mark], axes: "Axes") -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    largest = max(float(row[what]) for row in rows)
    smallest = min(float(row[what]) for row in rows)
    _, unit, name = next(of for of in UNITS if largest >= of[0]) if what == "seconds" else (0.0, 1.0, "")
    best = {row["variant"]: row for row in rows}
    line = [best[variant] for variant in front(rows, what, study.compare.goal == "maximize")]
    axes.plot([row[what] / unit for row in line], [row["mean"] for row in line], color=GREY, linewidth=1, drawstyle="steps-post")
    for row in rows:
        mark = symbols.get(row["variant"], Mark("", GREY, None, "."))
        spread = row["sd"] if np.isfinite(row["sd"]) else None
        axes.errorbar(row[what] / unit, row["mean"], spread, color=mark.color, marker=mark.marker, markersize=5.5, linewidth=1)
    if largest > WIDE * smallest > 0:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    if what == "parameters":
        axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    axes.set_xlabel(f"{name} a cell" if what == "seconds" else "trainable parameters")
    axes.set_ylabel(shorten(study.compare.metric, 40))
    axes.margins(0.08)
    axes.grid()
