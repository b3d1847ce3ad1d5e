"""Runs a study: plans it, leaves out what the store has, gives the rest to an executor, and tells listeners what happens."""

import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ablate import places
from ablate.contracts import Cell, Result
from ablate.devices import first
from ablate.errors import AblateError, EnvironmentProblem, describe
from ablate.executors import Advanced, CellEnded, CellStarted, EpochEnded, Event, Run, Settings
from ablate.executors.believing import unbelievable
from ablate.registry import build, default
from ablate.registry.hooks import CellInfo, Hooks, hookimpl
from ablate.report.tables import plural
from ablate.spec.trainer import Controls, Extension, trainer_of
from ablate.store import Store
from ablate.store.keeping import Keep
from ablate.study import Study

from . import provenance
from .extending import extensions
from .job import Job, Options, as_known, at_once, executor_of, prepare, save, try_recipes, wanted
from .reusing import with_reused
from .sharing import Sharing, shared
from .signals import stop_on_signals

Claim = Callable[[Cell, Mapping[str, Any]], str]  # as `Store.claim`
HELD_SECONDS = 2.0  # between two looks at cells that another driver trains


def run_study(
    spec: str | Path | Mapping[str, Any],
    overrides: Sequence[str],
    options: Options,
    listeners: Mapping[str, object],
    warn: Callable[[str], None],
) -> tuple[Study, bool]:
    """Plans a study, and trains the cells that the store does not have.

    Args:
        spec: Path of a JSON file, or the document itself.
        overrides: `PATH=JSON` each.
        options: How to run it.
        listeners: Hook implementations, by name, beside those of installed plugins.
        warn: Called with messages for the user.

    Returns:
        The study as the store has it now, and whether it was stopped before its end.

    Raises:
        SpecError: The spec is wrong, or a recipe cannot work; nothing was trained.
        StoreError: The store cannot be written; what it has is kept.
    """
    job = prepare(spec, overrides, options)
    with (
        ExitStack() as executors,
        Store(places.store_dir(options.store), waiting=warn) as store,
        shared(options.remote, store, warn) as sharing,
    ):

        @cache
        def start() -> Run:  # not before a cell is to be trained: what is stored is shown at once
            likely = places.likely_workers(options.jobs, options.device)
            run: Run = executors.enter_context(build(default(), "executor", executor_of(options.executor), likely))
            return run

        if kind := places.network_file_system(store.directory):
            warn(
                f"{store.directory} is on a network file system ({kind}): run studies on it from one machine at a time, "
                "because its locks may not reach others"
            )
        return execute(job, options, store, start, sharing, listeners, warn)


def execute(
    job: Job,
    options: Options,
    store: Store,
    start: Callable[[], Run],
    sharing: Sharing | None,
    listeners: Mapping[str, object],
    warn: Callable[[str], None],
) -> tuple[Study, bool]:
    """Does what a job has left to do in an open store; `start` gives the executor when there is a cell to train."""
    hooks = Hooks(warn)
    hooks.register_installed(job.registry)
    for name, listener in listeners.items():
        hooks.register(listener, name)
    if sharing is not None:
        hooks.register(sharing, "remote")
    hooks.register(StoreWriter(store, job.keep, warn), "store")  # last registered is first called: what is told is stored
    study, before, notices = None, None, list[str]()
    claim = store.claim if sharing is None else sharing.claim
    again = _to_train_again(as_known(job, store), store, options.retrain, warn)
    with stop_on_signals(warn) as stop:
        while True:
            now = as_known(job, store)
            now = with_reused(replace(now, cells=wanted(now.plan, now.cells, study)), store, options.reuse)
            if study is not None and (stop.is_set() or now.members() == before):
                hooks.call("study_end", study=study)
                return study, stop.is_set()
            if sharing is not None:
                sharing.exchange([planned.cell for planned in now.cells])
            pending = _pending(now, store) | (again & {planned.cell.key for planned in now.cells})
            if study is None and (holders := store.holders(list(pending))):
                warn(f"other runs train cells of this study on this store: {'; '.join(holders)}; this run waits for those cells")
            if pending:
                start()  # workers import torch while recipes are tried
            tried = list[str]()
            if study is None or now.plan.search is None:  # settings that are drawn later fail as cells
                tried = try_recipes(now, pending)
            if study is None:
                notices = list(dict.fromkeys([*job.notices(), *tried]))  # the images are decoded now
                for notice in notices:
                    warn(notice)
            extends = extensions(now, pending, store, warn) if options.extend else {}
            save(now, store, warn, notices)
            _round(now, pending, again, extends, options, store, start, claim, hooks, stop, warn)
            again -= pending
            study, before = store.study(job.plan.spec.name), now.members()


def _round(
    job: Job,
    keys: set[str],
    again: set[str],
    extends: Mapping[str, Extension],
    options: Options,
    store: Store,
    start: Callable[[], Run],
    claim: Claim,
    hooks: Hooks,
    stop: threading.Event,
    warn: Callable[[str], None],
) -> None:
    """Trains those of the job's cells whose keys are given: the store does not have them, or they are trained `again`."""
    infos = job.infos()
    todo = {planned.cell.key: planned.cell for planned in job.cells}
    pending = [cell for key, cell in todo.items() if key in keys]
    stored = todo.keys() - keys
    for left in store.checkpoints.glob("*"):  # by a driver that was killed when it had stored the result
        if left.stem in stored:
            _forget(store, left.stem)
    hooks.call("study_start", study=job.plan.spec.name, cells=[infos[cell.key] for cell in pending], stored=len(stored))
    if pending:
        for event in _events(job, options, store, start(), pending, again, claim, extends, stop, warn):
            _tell(hooks, todo, infos, event, store, extends)


def _keeping(job: Job) -> set[str]:
    """The keys of the job's cells whose weights are kept: those of its variants, and not of trials."""
    names = {variant.name for variant in job.plan.variants} if job.keep else set()
    return {planned.cell.key for planned in job.cells if planned.variant in names}


def _to_train_again(job: Job, store: Store, retrain: bool, warn: Callable[[str], None]) -> set[str]:
    """The finished cells whose weights are to be kept and were not, where they are to be trained again; else that is said."""
    if job.keep is None:
        return set()
    store.kept.tidy(store.running())
    done = store.stored(list(_keeping(job)))
    without = done - (store.kept.states(done) if job.keep.state else store.kept.digests(done)).keys()
    if without and not retrain:
        warn(
            f"{len(without)} of {len(done)} finished cells have no {'state' if job.keep.state else 'weights'} kept, and are not "
            "trained again for that. "
            "With --retrain they are; their results stay"
        )
    return without if retrain else set()


def _pending(job: Job, store: Store) -> set[str]:
    """The keys of the job's cells that the store does not have."""
    keys = {planned.cell.key for planned in job.cells}
    return keys - store.stored(list(keys))


def _events(
    job: Job,
    options: Options,
    store: Store,
    run: Run,
    pending: list[Cell],
    again: set[str],
    claim: Claim,
    extends: Mapping[str, Extension],
    stop: threading.Event,
    warn: Callable[[str], None],
) -> Iterator[Event]:
    """What happens to the pending cells; those that another driver trains are waited for."""
    document = job.plan.spec.document
    shared = at_once(job, options, pending)
    settings = Settings(
        jobs=shared.jobs,
        slots=shared.slots,
        device=first(job.device),
        devices=shared.devices,
        places=shared.places,
        memory=job.memory,
        environment=job.environment,
        checkpoints=store.checkpoints.absolute(),
        checkpoint_seconds=document.get("checkpoint_seconds", 60.0),
        timeout=document.get("timeout"),
        weights={key: store.kept.file_of(key).absolute() for key in _keeping(job)},
        states={key: store.kept.state_of(key).absolute() for key in _keeping(job)} if job.keep and job.keep.state else {},
        extends=extends,
    )
    take = _Queue(
        pending, again, claim, provenance.collect(first(job.device), executor_of(options.executor)["use"], job.own_results)
    )
    cells = {cell.key: cell for cell in pending}
    told: list[str] = []
    while take.pending and not stop.is_set():
        yield from _sitting(run, settings, take, cells, stop)
        holders = store.holders([cell.key for cell in take.pending])
        processes = [holder.partition(" (")[0] for holder in holders]
        if holders and processes != told and not stop.is_set():
            told = processes
            warn(f"waiting for cells that other runs train on this store: {'; '.join(holders)}")
        if take.pending:
            stop.wait(HELD_SECONDS)


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
    hooks: Hooks,
    cells: Mapping[str, Cell],
    infos: Mapping[str, CellInfo],
    event: Event,
    store: Store,
    extends: Mapping[str, Extension],
) -> None:
    info = infos[event.key]
    match event:
        case CellStarted():
            saved = trainer_of(default(), cells[event.key].recipe).reached(Controls(store.state_of(event.key)), event.key)
            if saved is None and event.key in extends:
                saved = extends[event.key].epochs, 0
            hooks.call("cell_start", cell=info, resumed=saved)
        case EpochEnded(record=record):
            hooks.call("epoch_end", cell=info, record=record)
        case Advanced(epochs=epochs):
            hooks.call("cell_progress", cell=info, epochs=epochs)
        case CellEnded(status=status, result=result, error=error, log=log):
            hooks.call("cell_end", cell=info, status=status, result=result, error=error, log=log)


class StoreWriter:
    """The listener that writes results to the store, and removes weights for which there is no room any more."""

    def __init__(self, store: Store, keep: Keep | None, warn: Callable[[str], None]):
        self._store, self._keep, self._warn = store, keep, warn
        self._gone: list[tuple[int, int]] = []  # cells that lost their weights, and the bytes of these

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        self._store.record_epoch(cell.key, record)

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None, log: str | None) -> None:
        if result is None:
            self._store.fail(cell.key, status, error, log)
            return
        try:
            stored = self._store.finish(cell.key, result)
        except (TypeError, ValueError) as problem:  # such as NaN, from an executor that is not ours
            self._store.fail(cell.key, "failed", f"its result cannot be stored: {problem}", log)
            return
        if result.kept_sha256 is not None:
            self._look_at_weights(cell, result, stored)
        if stored or result.kept_sha256 is not None:
            _forget(self._store, cell.key)

    def _look_at_weights(self, cell: CellInfo, result: Result, stored: bool) -> None:
        """Says where weights were not kept, and makes room for those that were."""
        kept = self._store.kept
        named = f"{cell.variants[0]}, seed {cell.seed}"
        if stored and cell.key not in kept.digests([cell.key]):
            self._warn(f"{named}: its weights are not kept: they were written where this machine does not see them")
        if not stored and not kept.add_again(cell.key, result):
            self._warn(
                f"{named}: trained again, it has other weights than those of its stored result, or they were written where this "
                "machine does not see them: they are not kept, and the result stays as it is"
            )
        if self._keep:
            self._gone.append(kept.make_room(self._keep.gigabytes))

    @hookimpl
    def study_end(self) -> None:
        """Says what had to go, once a run."""
        cells, size = (sum(gone) for gone in zip((0, 0), *self._gone, strict=True))
        if self._keep and cells:
            self._warn(
                f"the kept weights have room of {self._keep.gigabytes:g} GB: those of {plural(cells, 'cell')} "
                f"({size / 1e9:.3g} GB) were removed, of cells that no study has first, then those used longest ago. "
                "--keep weights:GB gives more room"
            )
        over, inputs = self._store.kept.overfull(self._keep.gigabytes) if self._keep else (0, 0)
        if self._keep and over:
            self._warn(
                f"the kept weights take {over / 1e9:.3g} GB more than their room of {self._keep.gigabytes:g} GB: those that "
                f"studies of this store use ({inputs / 1e9:.3g} GB) stay as long as these studies do"
            )


def _forget(store: Store, key: str) -> None:
    """Removes what a training has saved to go on."""
    state = Controls(store.state_of(key))
    state.checkpoint.unlink(missing_ok=True)
    if state.folder.is_dir():
        shutil.rmtree(state.folder)
