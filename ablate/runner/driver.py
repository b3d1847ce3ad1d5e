"""Runs a study: plans it, leaves out what the store has, gives the rest to an executor, and tells listeners what happens."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ablate import places
from ablate.executors import Run
from ablate.registry import build, default
from ablate.registry.hooks import Hooks
from ablate.store import Store
from ablate.study import Study

from .extending import extensions
from .job import Job, Options, as_known, executor_of, prepare, save, try_recipes, wanted
from .recording import StoreWriter
from .reusing import with_reused
from .rounds import Work, keeping, train_round
from .sharing import Sharing, shared
from .signals import stop_on_signals


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
        shared(options.remote, store, warn, job.keep is not None) as sharing,
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
    known = as_known(job, store)
    again = set[str]()
    with stop_on_signals(warn) as stop:
        work = Work(options, store, start, claim, hooks, stop, warn)
        while True:
            now = with_reused(replace(known, cells=wanted(known.plan, known.cells, study)), store, options.reuse)
            if study is not None and (stop.is_set() or now.members() == before):
                hooks.call("study_end", study=study)
                return study, stop.is_set()
            if sharing is not None:
                sharing.exchange([planned.cell for planned in now.cells])
            if study is None:  # what came has no weights
                again = _to_train_again(known, store, options.retrain, warn)
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
            train_round(work, now, pending, again, extends)
            again -= pending
            study, before = store.study(job.plan.spec.name), now.members()
            known = as_known(job, store)


def _to_train_again(job: Job, store: Store, retrain: bool, warn: Callable[[str], None]) -> set[str]:
    """The finished cells whose weights are to be kept and were not, where they are to be trained again; else that is said."""
    if job.keep is None:
        return set()
    store.kept.tidy(store.running())
    done = store.stored(list(keeping(job)))
    without = done - (store.kept.states(done) if job.keep.state else store.kept.digests(done)).keys()
    if without and not retrain:
        warn(
            f"{len(without)} of {len(done)} finished cells have no {'state' if job.keep.state else 'weights'} kept, and are not "
            "trained again for that. With --retrain they are; their results stay"
        )
    return without if retrain else set()


def _pending(job: Job, store: Store) -> set[str]:
    """The keys of the job's cells that the store does not have."""
    keys = {planned.cell.key for planned in job.cells}
    return keys - store.stored(list(keys))
