"""One round of a study: an executor is given the cells that are to be trained, and what it tells is handed on.

Executors are other people's code: of every cell that one took it is told what became of it, and no result is believed that is not
its cell's.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ablate.contracts import Cell
from ablate.devices import first
from ablate.errors import AblateError, EnvironmentProblem, describe
from ablate.executors import Advanced, CellEnded, CellStarted, EpochEnded, Event, Run, Settings
from ablate.executors.believing import unbelievable
from ablate.registry import default
from ablate.registry.hooks import CellInfo, Hooks
from ablate.spec.trainer import Controls, Extension, trainer_of
from ablate.store import Store

from . import provenance
from .job import Job, Options, at_once, executor_of
from .recording import forget

Claim = Callable[[Cell, Mapping[str, Any]], str]  # as `Store.claim`


HELD_SECONDS = 2.0  # between two looks at cells that another driver trains


@dataclass(frozen=True)
class Work:
    """What the rounds of a run have in common.

    Attributes:
        options: How it is run.
        store: Where results are.
        start: Gives the executor, which it starts when it is called first.
        claim: Takes a cell for training.
        hooks: Who is told what happens.
        stop: Set when the run is to end.
        warn: Called with messages for the user.
    """

    options: Options
    store: Store
    start: Callable[[], Run]
    claim: Claim
    hooks: Hooks
    stop: threading.Event
    warn: Callable[[str], None]


def train_round(work: Work, job: Job, keys: set[str], again: set[str], extends: Mapping[str, Extension]) -> None:
    """Trains those of the job's cells whose keys are given: the store does not have them, or they are trained `again`."""
    infos = job.infos()
    todo = {planned.cell.key: planned.cell for planned in job.cells}
    pending = [cell for key, cell in todo.items() if key in keys]
    stored = todo.keys() - keys
    for left in work.store.checkpoints.glob("*"):  # by a driver that was killed when it had stored the result
        if left.stem in stored:
            forget(work.store, left.stem)
    work.hooks.call("study_start", study=job.plan.spec.name, cells=[infos[cell.key] for cell in pending], stored=len(stored))
    if pending:
        for event in _events(work, job, pending, again, extends):
            _tell(work, todo, infos, event, extends)


def keeping(job: Job) -> set[str]:
    """The keys of the job's cells whose weights are kept: those of its variants, and not of trials."""
    names = {variant.name for variant in job.plan.variants} if job.keep else set()
    return {planned.cell.key for planned in job.cells if planned.variant in names}


def _events(
    work: Work, job: Job, pending: list[Cell], again: Collection[str], extends: Mapping[str, Extension]
) -> Iterator[Event]:
    """What happens to the pending cells; those that another driver trains are waited for."""
    settings = _settings(work, job, pending, extends)
    used = executor_of(work.options.executor)["use"]
    take = _Queue(pending, again, work.claim, provenance.collect(first(job.device), used, job.own_results))
    cells = {cell.key: cell for cell in pending}
    shown: list[str] = []
    while take.pending and not work.stop.is_set():
        yield from _sitting(work.start(), settings, take, cells, work.stop)
        holders = work.store.holders([cell.key for cell in take.pending])
        processes = [holder.partition(" (")[0] for holder in holders]
        if holders and processes != shown and not work.stop.is_set():
            shown = processes
            work.warn(f"waiting for cells that other runs train on this store: {'; '.join(holders)}")
        if take.pending:
            work.stop.wait(HELD_SECONDS)


def _settings(work: Work, job: Job, pending: Sequence[Cell], extends: Mapping[str, Extension]) -> Settings:
    document, kept = job.plan.spec.document, work.store.kept
    shared, keys = at_once(job, work.options, pending), keeping(job)
    return Settings(
        jobs=shared.jobs,
        slots=shared.slots,
        device=first(job.device),
        devices=shared.devices,
        places=shared.places,
        memory=job.memory,
        imports=job.plan.imports,
        environment=job.environment,
        checkpoints=work.store.checkpoints.absolute(),
        checkpoint_seconds=document.get("checkpoint_seconds", 60.0),
        timeout=document.get("timeout"),
        weights={key: kept.file_of(key).absolute() for key in keys},
        states={key: kept.state_of(key).absolute() for key in keys} if job.keep and job.keep.state else {},
        extends=extends,
    )


def _sitting(run: Run, settings: Settings, take: "_Queue", cells: Mapping[str, Cell], stop: threading.Event) -> Iterator[Event]:
    """What the executor tells; what becomes of every cell that it took is told, whatever the executor does.

    Raises:
        EnvironmentProblem: The executor failed.
    """
    begun = len(take.taken)
    ended: set[str] = set()
    try:
        for event in run(settings, take, stop):
            if isinstance(event, CellEnded):
                ended.add(event.key)
            yield _believed(event, cells)
    except AblateError:
        raise
    except Exception as error:  # executors are other people's code
        message = f"the executor failed: {describe(error)}. What was finished is stored; the same command goes on."
        raise EnvironmentProblem(message) from error
    for key in take.taken[begun:]:
        if key not in ended:
            status: Literal["failed", "interrupted"] = "interrupted" if stop.is_set() else "failed"
            yield CellEnded(key, status, None, "the executor did not say what became of it" if status == "failed" else None)


def _believed(event: Event, cells: Mapping[str, Cell]) -> Event:
    """The event; a result that is not one of its cell is a failure. Executors are other people's code."""
    if not isinstance(event, CellEnded) or event.result is None or event.key not in cells:
        return event
    wrong = unbelievable(cells[event.key], event.result)
    return event if wrong is None else CellEnded(event.key, "failed", None, f"its result is not stored: {wrong}", event.log)


class _Queue:
    """Hands out the cells of a study that nobody trains or has trained, and those that are trained again."""

    def __init__(self, pending: list[Cell], again: Collection[str], claim: Claim, where: dict[str, Any]):
        self.pending, self._again, self._claim, self._where = list(pending), again, claim, where
        self.taken: list[str] = []  # keys
        self._next_look = 0.0

    def __call__(self) -> Cell | None:
        if time.monotonic() < self._next_look:
            return None
        for cell in list(self.pending):
            state = "claimed" if cell.key in self._again else self._claim(cell, self._where)
            if state != "held":
                self.pending.remove(cell)
            if state == "claimed":
                self.taken.append(cell.key)
                return cell
        self._next_look = time.monotonic() + HELD_SECONDS
        return None


def _tell(
    work: Work, cells: Mapping[str, Cell], infos: Mapping[str, CellInfo], event: Event, extends: Mapping[str, Extension]
) -> None:
    info, hooks = infos[event.key], work.hooks
    match event:
        case CellStarted():
            saved = trainer_of(default(), cells[event.key].recipe).reached(Controls(work.store.state_of(event.key)), event.key)
            if saved is None and event.key in extends:
                saved = extends[event.key].epochs, 0
            hooks.call("cell_start", cell=info, resumed=saved)
        case EpochEnded(record=record):
            hooks.call("epoch_end", cell=info, record=record)
        case Advanced(epochs=epochs):
            hooks.call("cell_progress", cell=info, epochs=epochs)
        case CellEnded(status=status, result=result, error=error, log=log):
            hooks.call("cell_end", cell=info, status=status, result=result, error=error, log=log)
