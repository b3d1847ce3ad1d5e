"""What was read -> a `Study`, which statistics and reports take as they are."""

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ablate.contracts import CELL_COLUMNS, TAKEN, Factor
from ablate.study import Compare, Imported, Study, VariantInfo

from .cells import Cell
from .reading import Reading, value_of
from .runs import Run


@dataclass(frozen=True)
class Judgement:
    """How a comparison is judged, fixed by the user.

    Attributes:
        margin: Differences within ± this are of no importance.
        alpha: Error rate of the verdicts.
        paired: Whether runs of one seed are compared with each other.
        correction: How p-values are corrected for the number of comparisons.
    """

    margin: float | None = None
    alpha: float = 0.05
    paired: bool = False
    correction: Literal["holm", "benjamini_hochberg"] = "holm"


def study_of(reading: Reading, name: str | None, question: str, judgement: Judgement) -> Study:
    """The runs as a study, called after the place unless it has a name; a metric whose name a frame has gets another one."""
    name = name or Path(reading.place.rstrip("/")).stem or "runs"
    metric = reading.metric if reading.metric not in TAKEN - {"train_loss"} else f"{reading.metric} (metric)"
    names = list(reading.variants)
    variants = tuple(
        VariantInfo(variant, dict(levels), _changes(reading, variant)) for variant, levels in reading.variants.items()
    )
    order = sorted(variants, key=lambda variant: variant.name != reading.reference)
    rows = [_row(names[cell.variant], cell, metric, reading) for cell in reading.cells]
    return Study(
        name=name,
        question=question,
        compare=Compare(
            metric,
            reading.at,
            reading.reference,
            judgement.margin,
            judgement.alpha,
            reading.goal,
            judgement.paired,
            judgement.correction,
            blocks=reading.roles.blocks,
        ),
        variants=tuple(order),
        cells=pd.DataFrame(rows, columns=[*CELL_COLUMNS, metric]),
        epochs=_epochs(names, metric, reading),
        factors=_factors(reading),
        imported=Imported(reading.source, reading.place, reading.read, _left_out(names, reading)),
    )


def _row(variant: str, cell: Cell, metric: str, reading: Reading) -> dict[str, Any]:
    row = dict.fromkeys(CELL_COLUMNS)
    ended = cell.run.status == "done"
    row |= {"variant": variant, "seed": cell.seed, "key": cell.run.name, "status": cell.run.status}
    row |= {"error": None if ended else cell.run.why or "nothing is known of why", "seconds": math.nan, "parameters": math.nan}
    return row | {metric: value_of(cell.run, reading.metric, reading.at)}


def _epochs(names: list[str], metric: str, reading: Reading) -> pd.DataFrame:
    """The curves; and of a run that ended without a value, a row that says why."""
    columns: dict[str, list[Any]] = {"variant": [], "seed": [], "epoch": [], metric: [], "missing": []}
    steps = any(len(cell.run.metrics[reading.metric].steps) > 1 for cell in reading.cells if reading.metric in cell.run.metrics)
    for cell in reading.cells:
        curve = cell.run.metrics.get(reading.metric)
        at, values = (list(curve.steps), list(curve.values)) if curve and steps else ([], [])
        why: list[dict[str, str] | None] = [None] * len(at)
        if cell.run.status == "done" and not math.isfinite(value_of(cell.run, reading.metric, reading.at)):
            gap = reading.at if isinstance(reading.at, int) else (curve.steps[-1] if curve and curve.steps else 0)
            place = bisect_left(at, gap)
            gone = slice(place, bisect_right(at, gap))
            at[gone], values[gone], why[gone] = [gap], [math.nan], [{metric: _why(cell.run, reading)}]
        own: tuple[list[Any], ...] = [names[cell.variant]] * len(at), [cell.seed] * len(at), at, values, why
        for column, entries in zip(columns.values(), own, strict=True):
            column.extend(entries)
    frame = pd.DataFrame(columns)
    return frame.astype({metric: float}) if len(frame) else frame.astype(object)


def _why(run: Run, reading: Reading) -> str:
    curve = run.metrics.get(reading.metric)
    if curve is None or not curve.values:
        remarks = [str(run.settings[name]) for name in reading.roles.remarks if run.settings.get(name)]
        return ": ".join([f"{run.name} has none", *remarks])
    if isinstance(reading.at, int) and reading.at not in curve.steps:
        return f"{run.name} has none at step {reading.at}; its last is {curve.steps[-1]}"
    return f"in {run.name} it is not finite"


def _factors(reading: Reading) -> tuple[Factor, ...]:
    """Levels in the order of the runs, the reference's first; those of one factor are its levels."""
    base = reading.variants[reading.reference]
    levels = {name: dict.fromkeys(own[name] for own in reading.variants.values()) for name in reading.roles.factors}
    return tuple(
        Factor(name, base[name], tuple(level for level in found if level != base[name])) for name, found in levels.items()
    )


def _changes(reading: Reading, variant: str) -> tuple[str, ...]:
    """What differs from the reference, with what goes with it."""
    if variant == reading.reference:
        return ()
    own, base = reading.variants[variant], reading.variants[reading.reference]
    changes = [f"{name}: {base[name]} → {own[name]}" for name in own if own[name] != base[name]]
    for factor, names in reading.roles.goes_with.items():
        if own[factor] != base[factor]:
            values = [
                {reading.roles.values[factor][i]: value for i, value in enumerate(reading.roles.values[name])} for name in names
            ]
            pairs = [(name, found[base[factor]], found[own[factor]]) for name, found in zip(names, values, strict=True)]
            changes += [f"{name}: {before} → {after}" for name, before, after in pairs if before != after]
    return tuple(changes)


def _left_out(names: list[str], reading: Reading) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Every run that has no value, by the reason."""
    found: dict[str, list[str]] = {reason: list(runs) for reason, runs in reading.left_out.items()}
    words = {"failed": "failed", "running": "not finished", "interrupted": "interrupted"}
    for cell in reading.cells:
        where = f"{names[cell.variant]}, seed {cell.seed} ({cell.run.name})"
        if cell.run.status != "done":
            found.setdefault(f"{words[cell.run.status]}{f': {cell.run.why}' if cell.run.why else ''}", []).append(where)
        elif not math.isfinite(value_of(cell.run, reading.metric, reading.at)):
            remarks = [str(cell.run.settings[name]) for name in reading.roles.remarks if cell.run.settings.get(name)]
            found.setdefault(": ".join([f"no value of {reading.metric}", *remarks]), []).append(where)
    return tuple((reason, tuple(runs)) for reason, runs in found.items())
