"""How long what is left of a study will take on this machine, before anything of it is trained.

Finished cells of the same recipe on such a machine tell it. Of other recipes a few seconds are trained, as many at once as the
run has, because cells beside others are slower than alone. What nobody can know before is said to be unknown.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from threading import Event as Flag

from ablate import devices
from ablate.contracts import Cell, Estimate
from ablate.errors import AblateError, some_variants
from ablate.executors import CellEnded, Measured, Settings
from ablate.machine import machine_of
from ablate.plan import PlannedCell
from ablate.registry import build, default
from ablate.report.remaining import makespan
from ablate.report.tables import plural
from ablate.spec.identity import canonical_json
from ablate.spec.inputs import unnamed
from ablate.spec.trainer import Pace, trainer_of
from ablate.store import Store

from . import provenance
from .job import Job, Options, at_most, at_once, executor_of, try_recipes, wanted

SECONDS = 3.0  # that a recipe is trained for
MOST_SECONDS = 60.0  # that all of the measuring takes about, however many recipes there are
LOCAL = "ablate-core:local"


@dataclass(frozen=True)
class Length:
    """Seconds of a cell: the least, what is expected, and the most."""

    low: float
    middle: float
    high: float


@dataclass
class Measurement:
    """What measuring has found: paces by recipe, why others have none, and the seconds until the first worker began.

    Before that, the recipes are tried while the workers start, as in a run.
    """

    paces: dict[str, list[Pace]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    start: float = 0.0


def estimate(job: Job, options: Options, store: Store | None) -> Estimate:
    """Says how long a study's cells take that the store does not have; for that it may train some for a few seconds.

    Args:
        job: The study, with what is known of its tuning.
        options: How it is to be run.
        store: What there is already; None for nothing.
    """
    done = store.stored([planned.cell.key for planned in job.cells]) if store else set()
    pending = {planned.cell.key: planned for planned in job.cells if planned.cell.key not in done}
    if not pending:
        return Estimate(0, 0, 0.0, 0.0, 0.0)
    cells = [planned.cell for planned in pending.values()]
    shared = at_once(job, options, cells)
    jobs = shared.jobs
    names = {recipe_text(planned.cell): planned.variant for planned in reversed(pending.values())}
    lengths, measurement = _stored(job, options, store, cells), Measurement()
    sources = [f"finished cells of {_some(lengths, names)} on such a machine"] if lengths else list[str]()
    asked = [cell for cell in cells if recipe_text(cell) not in lengths and trainer_of(job.registry, cell.recipe).pace]
    local = executor_of(options.executor)["use"] == LOCAL
    if asked and local:
        measurement = measured(job, asked, shared)
        lengths |= {recipe: _of_paces(paces) for recipe, paces in measurement.paces.items()}
        sources += _measured_in_words(measurement, names, jobs)
    elif sources:
        sources[0] += ", without the seconds that workers take to start"
    unknown = list(_unknown(job, pending.values(), lengths, measurement, local))
    more = (at_most(job) or len(job.cells)) - len(job.cells)  # cells of trials that nobody knows yet
    if unknown or not lengths:
        return Estimate(len(cells) + more, jobs, sources=tuple(sources), unknown=tuple(unknown))
    others = _others(list(lengths.values()))
    if left := names.keys() - lengths.keys():
        sources.append(f"{plural(len(left), 'other recipe')} taken to be like these")
    if more:
        sources.append("trials taken to be like these, whatever their settings")
    every = [lengths.get(recipe_text(cell), others) for cell in cells] + [others] * more
    begin = measurement.start + max((pace.once for paces in measurement.paces.values() for pace in paces), default=0.0)
    low, middle, high = (
        begin + makespan([], [getattr(length, which) for length in every], jobs) for which in ("low", "middle", "high")
    )
    if job.plan.stopping is None:
        return Estimate(len(every), jobs, middle, low, high, tuple(sources))
    first = {planned.cell.key for planned in wanted(job.plan, job.cells, None)}
    low = begin + makespan([], [lengths.get(recipe_text(cell), others).low for cell in cells if cell.key in first], jobs)
    return Estimate(len(every), jobs, None, low, high, tuple(sources))


def recipe_text(cell: Cell) -> str:
    return canonical_json(unnamed(cell.recipe))  # whose weights a cell begins with changes nothing in how long it takes


def _some(recipes: Mapping[str, object], names: Mapping[str, str]) -> str:
    return some_variants([names[recipe] for recipe in names if recipe in recipes])


def _others(lengths: Sequence[Length]) -> Length:
    """A recipe of which nothing is known but the others."""
    return Length(min(one.low for one in lengths), fmean(one.middle for one in lengths), max(one.high for one in lengths))


def _stored(job: Job, options: Options, store: Store | None, cells: Sequence[Cell]) -> dict[str, Length]:
    """What finished cells of the same recipes say that were trained on such a machine, by recipe."""
    if store is None:
        return {}
    here = machine_of(provenance.collect(devices.first(job.device), executor_of(options.executor)["use"], job.own_results))
    lengths = {}
    alike: dict[str, dict[str, Cell]] = {recipe_text(cell): {} for cell in cells}
    for planned in job.cells:
        if (text := recipe_text(planned.cell)) in alike:
            alike[text].setdefault(canonical_json(planned.cell.recipe), planned.cell)
    for recipe, others in alike.items():
        timed = [one for cell in others.values() for one in store.seconds_of(cell.recipe)]
        took = [seconds for seconds, place in timed if machine_of(place) == here]
        if took:
            lengths[recipe] = Length(min(took), fmean(took), max(took))
    return lengths


def _of_paces(paces: Sequence[Pace]) -> Length:
    return Length(min(p.low for p in paces), fmean(p.seconds for p in paces), max(p.high for p in paces))


def measured(job: Job, cells: Sequence[Cell], shared: devices.Layout) -> Measurement:
    """Trains a cell of each recipe for a few seconds, so many at once; of very many recipes, the first ones."""
    jobs, slots = shared.jobs, shared.slots
    first = {recipe_text(cell): cell for cell in reversed(cells)}
    count = max(1, round(MOST_SECONDS / (2 * SECONDS))) * jobs  # what comes before takes as long as the training
    chosen = [first[recipe] for recipe in reversed(first)][:count]
    rest = [cell for cell in cells if cell not in chosen]
    chosen += rest[: -len(chosen) % jobs]  # none is measured alone where the run has others beside it
    by_key = {cell.key: recipe_text(cell) for cell in chosen}
    measurement, begun = Measurement(start=float("inf")), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="ablate-measure-") as folder,
        build(default(), "executor", {"use": LOCAL}, -(-jobs // slots)) as run,
    ):
        seconds = SECONDS * min(slots, 4)  # cells that take turns have a part of the time each
        settings = Settings(
            jobs, slots, devices.first(job.device), job.environment, Path(folder),
            measure=seconds, devices=shared.devices, places=shared.places, memory=job.memory, imports=job.plan.imports,
        )  # fmt: skip
        with suppress(AblateError):  # a run tries all recipes first; what cannot be tried is told below, by the cell that fails
            try_recipes(job, {cell.key for cell in cells})
        for event in run(settings, lambda: chosen.pop(0) if chosen else None, Flag()):
            if isinstance(event, Measured):
                measurement.paces.setdefault(by_key[event.key], []).append(event.pace)
                measurement.start = min(measurement.start, time.monotonic() - begun - event.pace.spent)
            elif isinstance(event, CellEnded) and event.status == "failed":
                measurement.failed[by_key[event.key]] = event.error or ""
    return measurement


def _measured_in_words(measurement: Measurement, names: Mapping[str, str], jobs: int) -> Iterator[str]:
    if measurement.paces:
        recipe, paces = next(iter(measurement.paces.items()))
        beside = f", {jobs} at once" if jobs > 1 else ""
        yield (
            f"{plural(len(measurement.paces), 'recipe')} trained for a few seconds each{beside}, such as {names[recipe]!r} "
            f"for {paces[0].measured}"
        )


def _unknown(
    job: Job, pending: Iterable[PlannedCell], lengths: Mapping[str, Length], measurement: Measurement, local: bool
) -> Iterator[str]:
    """Why the length of cells cannot be said."""
    reasons: dict[str, dict[str, None]] = {}
    for planned in pending:
        recipe = recipe_text(planned.cell)
        trainer = trainer_of(job.registry, planned.cell.recipe)
        if recipe in lengths:
            continue
        if recipe in measurement.failed:
            reason = f"it cannot be measured: {measurement.failed[recipe]}"
        elif not local:
            reason = "cells that run elsewhere are not measured, and no finished ones tell"
        elif trainer.pace is None:
            reason = "its trainer does not know it before, and no finished cells tell"
            reason += "; the run says it after the first records" if trainer.epochs else ", nor how many records there will be"
        else:
            continue
        reasons.setdefault(reason, {})[planned.variant] = None
    for reason, variants in reasons.items():
        yield f"{some_variants(list(variants))}: {reason}"
