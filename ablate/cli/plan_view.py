"""What a run has to do, as it is shown before it does it."""

from typing import Any

from .common import print_json, warn


def show_plan(job: Any, options: Any, as_json: bool, timed: bool = False, price: float | None = None) -> None:
    from dataclasses import asdict

    from ablate.documents import plan_record
    from ablate.report.console import out, text, wide
    from ablate.report.tuning import tuning_view
    from ablate.report.variants import variants_view

    job, stored, otherwise = _as_stored(job, options)
    found = _estimated(job, options) if timed else None
    infos, tuning = job.plan.infos(), job.plan.tuning
    owners = job.plan.owners()
    counts: dict[str, list[bool]] = {info.name: [] for info in infos}
    for planned in job.cells:
        counts[owners[planned.variant]].append(planned.cell.key in stored)
    notices = job.notices()
    if as_json:
        more = {"time": {**asdict(found), "price_per_hour": price}} if found else {}
        print_json(plan_record(job, stored, notices, otherwise) | more)
        return
    console = wide(out)
    console.print(
        variants_view(infos, job.plan.references.values(), {name: (sum(done), len(done)) for name, done in counts.items()})
    )
    if tuning:
        console.print("", tuning_view(tuning), sep="\n")
    console.print(text("\n" + _counts(job, sum(planned.cell.key in stored for planned in job.cells))))
    if found:
        from ablate.report.power import time_view

        console.print(time_view(found, price))
    for notice in notices:
        warn(notice)
    _say_versions(job.reused, otherwise)


def _counts(job: Any, done: int) -> str:
    """How many cells there are, are stored, and are to be trained."""
    from ablate.report.tables import plural
    from ablate.runner.job import at_most

    total, seeds, tuning, stopping = len(job.cells), len(job.plan.seeds), job.plan.tuning, job.plan.stopping
    if tuning:
        total = at_most(job) or total
        each = f"{tuning.trials} trials of {plural(tuning.seeds, 'seed')}, {plural(seeds, 'seed')} tuned and {seeds} untuned"
        return f"at most {total} cells, for each variant {each}: {done} stored, {total - done} to train"
    count = f"{len(job.plan.infos())} variants × {f'{stopping.least} to ' if stopping else ''}{seeds} seeds"
    return f"{'at most ' if stopping else ''}{total} cells ({count}), {done} stored, {total - done} to train"


def _as_stored(job: Any, options: Any) -> tuple[Any, set[str], list[Any]]:
    """The job as the store knows it, the keys that are stored, and what is stored of other versions."""
    from ablate import places
    from ablate.runner.job import as_known, difference_from_stored
    from ablate.runner.reusing import stored_otherwise, with_reused
    from ablate.store import Store, exists

    directory = places.store_dir(options.store)
    if not exists(directory):
        return as_known(job, None), set(), []
    with Store(directory, create=False) as opened:
        job = with_reused(as_known(job, opened), opened, options.reuse)
        if differs := difference_from_stored(job.plan.spec, opened):
            warn(f"the store has a study {job.plan.spec.name!r} with another spec: {differs}. A run keeps both")
        return job, opened.stored([planned.cell.key for planned in job.cells]), stored_otherwise(job, opened)


def _say_versions(reused: Any, otherwise: Any) -> None:
    """What is taken of other versions, and what more could be."""
    from ablate.report.tables import plural
    from ablate.runner.reusing import in_words

    for told in reused:
        warn(told)
    for count, versions in otherwise:
        options = " ".join(f"--reuse {name}" for name in versions)
        warn(
            f"{plural(count, 'cell')} to train {'is' if count == 1 else 'are'} stored as trained with {in_words(versions)}: "
            f"`ablate run SPEC {options}` takes {'it' if count == 1 else 'them'}, and the report says so"
        )


def _estimated(job: Any, options: Any) -> Any:
    from contextlib import nullcontext

    from ablate import places
    from ablate.report.console import err
    from ablate.runner.estimating import estimate
    from ablate.store import Store, exists

    directory = places.store_dir(options.store)
    stored = Store(directory, create=False) if exists(directory) else nullcontext()
    with stored as opened, err.status("looking how long cells take: recipes without finished ones are trained for a few seconds"):
        return estimate(job, options, opened)
