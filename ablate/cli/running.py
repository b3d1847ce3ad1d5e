"""Commands that plan and run studies."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ablate.errors import ExitCode, UsageError

from . import completion
from .common import (
    AsJson,
    DataDir,
    Debug,
    Device,
    Devices,
    Executor,
    Jobs,
    Price,
    Set,
    SpecPath,
    StoreDir,
    app,
    complain,
    print_json,
    print_text,
    warn,
)


@app.command()
def run(
    spec: SpecPath,
    overrides: Set = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    jobs: Jobs = None,
    device: Devices = "auto",
    memory: Annotated[
        str | None, typer.Option("--memory", metavar="SIZE", help="What the run takes of each GPU at most, such as 6GB.")
    ] = None,
    executor: Executor = "local",
    placebo: Annotated[
        bool, typer.Option("--placebo", help="Train the reference in place of every variant: what differs then is chance.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try every recipe with two images, and train nothing.")] = False,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="weights|state[:GB]",
            help="Keep the trained weights of every cell, or its whole state too; with the room for those of the whole store, "
            "10 GB unless given.",
        ),
    ] = None,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Train finished cells again whose weights were not kept; their results stay.")
    ] = False,
    extend: Annotated[
        bool,
        typer.Option("--extend", help="Go on from finished cells with fewer epochs whose state was kept (--keep state)."),
    ] = False,
    price: Price = None,
    reuse: Annotated[
        list[str] | None,
        typer.Option(
            "--reuse",
            metavar="PACKAGE",
            help="Take stored cells that were trained with another version of this package; may be repeated. The report says so.",
        ),
    ] = None,
    remote: Annotated[
        str | None,
        typer.Option(
            "--remote",
            metavar="URL",
            help="Take finished cells from here before training, and give them after: a folder, or a URL such as s3://lab/ablate.",
        ),
    ] = None,
    debug: Debug = False,
    as_json: AsJson = False,
) -> None:
    """Train every variant with every seed, store the results, and compare them."""
    from ablate import places
    from ablate.runner.job import Options, prepare, try_recipes

    options = Options(
        store,
        data_dir,
        jobs,
        device,
        _executor(executor),
        placebo=placebo,
        keep=keep,
        extend=extend,
        retrain=retrain,
        reuse=reuse or (),
        remote=remote,
        memory=memory,
    )
    if dry_run:
        job = prepare(spec, overrides or (), options)
        for notice in try_recipes(job, {planned.cell.key for planned in job.cells}):
            warn(notice)
        _show_plan(job, options, as_json, timed=True, price=price)
        return
    if price is not None:
        raise UsageError("--price-per-hour says what a run would cost: give it with --dry-run, or to `ablate check --time`.")
    from ablate.report.console import err, out, text, wide
    from ablate.report.content import page
    from ablate.report.files import directory_of, render, write_all
    from ablate.report.progress import display
    from ablate.report.terminal import study_view
    from ablate.runner.driver import run_study

    with display() as shown:
        study, stopped = run_study(spec, overrides or (), options, {"progress": shown}, warn)
    if stopped and not (study.every_cell["status"] == "done").any():
        complain(
            "interrupted before any result: run the same command again, and it goes on where it stopped", ExitCode.INTERRUPTED
        )
    made = page(study)
    if as_json:
        print_text(render([made], "json"))
    else:
        console = wide(out)
        console.print(study_view(made, console.width))
        if placebo:
            _show_placebo(study)
    if debug:
        _show_logs(study, options)
    _keep_thumbnails(made, options)
    directory = directory_of(places.store_dir(store) / "reports", study.name)
    write_all(made, directory)
    err.print(text(f"written to {directory}", "dim"), soft_wrap=True)
    if stopped:
        complain("interrupted: run the same command again, and it goes on where it stopped", ExitCode.INTERRUPTED)
    cells = study.every_cell
    failed = int((cells["status"] == "failed").sum())
    if failed:
        complain(f"{failed} of {len(cells)} cells failed; --debug shows their logs", ExitCode.FAILED_CELLS)


def _keep_thumbnails(made: Any, options: Any) -> None:
    from ablate import places
    from ablate.contracts import Environment
    from ablate.runner.thumbnails import keep_thumbnails
    from ablate.store import Store

    with Store(places.store_dir(options.store), create=False) as opened:
        keep_thumbnails(
            made.study, made.analysis.per_image, opened, Environment(places.data_dir(options.data_dir), download=False)
        )


def _executor(text: str) -> dict[str, Any]:
    """A component from its name or its JSON."""
    from ablate.spec.strict import parse

    component = parse(text, "--executor") if text.lstrip().startswith("{") else {"use": text}
    return dict(component)


def _show_placebo(study: Any) -> None:
    from ablate.report.console import out
    from ablate.report.power import placebo_view
    from ablate.stats.placebo import false_positive_rate
    from ablate.stats.summary import table, values

    names = [study.compare.reference, *(v.name for v in study.variants if v.name != study.compare.reference)]
    numbers = values(study)
    results = [list(table(numbers[numbers["variant"] == name], [name])[0]) for name in names]
    size = len(study.cells) // len(names)
    if len(names) < 2 or size < 2:
        return  # one variant, or one seed: nothing is judged
    padded = [value for own in results for value in [*own, *[float("nan")] * size][:size]]
    out.print(placebo_view(false_positive_rate(padded, len(names), size, study.compare)))


def _show_logs(study: Any, options: Any) -> None:
    from ablate import places
    from ablate.report.console import err, text
    from ablate.store import Store

    with Store(places.store_dir(options.store), create=False) as opened:
        for row in study.every_cell[study.every_cell["status"] == "failed"].itertuples():
            error, log = opened.logs(row.key)
            err.print(text(f"\n{row.variant}, seed {row.seed}: {error}\n{log or ''}"), soft_wrap=True)


@app.command()
def check(
    spec: SpecPath,
    overrides: Set = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    probed: Annotated[
        bool,
        typer.Option("--probe", help="Run each variant up to its first record, to see what reaches the run. Nothing is stored."),
    ] = False,
    timed: Annotated[
        bool,
        typer.Option("--time", help="Say how long a run takes here, from finished cells or from a few seconds of each recipe."),
    ] = False,
    jobs: Jobs = None,
    price: Price = None,
    as_json: AsJson = False,
) -> None:
    """Show what each variant changes, how many cells there are, and how many are stored. Nothing is built or fetched."""
    from ablate.runner.job import Options, prepare

    if (price is not None or jobs is not None) and not timed:
        raise UsageError("--jobs and --price-per-hour belong to --time, which says how long a run takes and what it costs.")
    options = Options(store, data_dir, jobs, device, download=False)
    job = prepare(spec, overrides or (), options)
    if probed:
        _show_probe(job, as_json)
    else:
        _show_plan(job, options, as_json, timed, price)


def _show_probe(job: Any, as_json: bool) -> None:
    from dataclasses import asdict

    from ablate.report.console import err, out, text
    from ablate.runner.probing import in_words, probe

    references = job.plan.references
    found = list(probe(job, lambda name: err.print(text(f"{name} …", "dim"), soft_wrap=True)))
    if as_json:
        print_json({"variants": [asdict(one) for one in found]})
    else:
        changes = {info.name: info.changes for info in job.plan.infos()}
        for one in found:
            reference = references[one.variant]
            out.print(text(f"{one.variant}{'  (reference, twice)' if one.variant == reference else ''}", "bold"), soft_wrap=True)
            for line in changes[one.variant]:
                out.print(text(f"    {line}"), soft_wrap=True)
            out.print(text(f"    {in_words(one, reference)}"), soft_wrap=True)
    if failed := sum(bool(one.error) for one in found):
        complain(f"{failed} of {len(found)} variants failed", ExitCode.FAILED_CELLS)


def _show_plan(job: Any, options: Any, as_json: bool, timed: bool = False, price: float | None = None) -> None:
    from dataclasses import asdict

    from ablate.documents import plan_record
    from ablate.report.console import out, text, wide
    from ablate.report.tables import plural
    from ablate.report.tuning import tuning_view
    from ablate.report.variants import variants_view
    from ablate.runner.job import at_most

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
    done, total, seeds = sum(p.cell.key in stored for p in job.cells), len(job.cells), len(job.plan.seeds)
    if tuning:
        console.print("", tuning_view(tuning), sep="\n")
        total = at_most(job) or total
        each = f"{tuning.trials} trials of {plural(tuning.seeds, 'seed')}, {plural(seeds, 'seed')} tuned and {seeds} untuned"
        console.print(text(f"\nat most {total} cells, for each variant {each}: {done} stored, {total - done} to train"))
    else:
        console.print(text(f"\n{total} cells ({len(infos)} variants × {seeds} seeds), {done} stored, {total - done} to train"))
    if found:
        from ablate.report.power import time_view

        console.print(time_view(found, price))
    for notice in notices:
        warn(notice)
    _say_versions(job.reused, otherwise)


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
            f"ablate run {options} takes {'it' if count == 1 else 'them'}, and the report says so"
        )


def _estimated(job: Any, options: Any) -> Any:
    from ablate import places
    from ablate.runner.estimating import estimate
    from ablate.store import Store, exists

    directory = places.store_dir(options.store)
    if not exists(directory):
        return estimate(job, options, None)
    with Store(directory, create=False) as opened:
        return estimate(job, options, opened)


@app.command()
def power(
    study: Annotated[
        str,
        typer.Argument(
            metavar="SPEC-or-STUDY",
            help="JSON file, or name of a stored study.",
            show_default=False,
            autocompletion=completion.specs,
        ),
    ],
    seeds: Annotated[list[int] | None, typer.Option("--seeds", min=2, help="Seeds a variant; may be repeated.")] = None,
    differences: Annotated[
        list[float] | None, typer.Option("--difference", help="A difference to find; may be repeated.")
    ] = None,
    sd: Annotated[float | None, typer.Option("--sd", help="Standard deviation between seeds, where there is no pilot.")] = None,
    probability: Annotated[float, typer.Option("--power", min=0.01, max=0.999, help="Probability of finding it.")] = 0.8,
    follow_up: Annotated[
        Path | None,
        typer.Option("--follow-up", metavar="FILE", help="Write a spec that asks anew, with fresh seeds, what is undecided."),
    ] = None,
    overrides: Set = None,
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Say what a study can show: the smallest difference for a number of seeds, and the seeds for a difference.

    The noise comes from a stored study, which is the pilot, or from --sd.
    """
    if follow_up is not None:
        _write_follow_up(follow_up, study, overrides or (), store, differences or (), probability)
        return
    from dataclasses import asdict

    from ablate.report.console import out
    from ablate.report.data import finite
    from ablate.report.power import power_view
    from ablate.runner import power as planning

    found = planning.power(study, overrides or (), store, sd, seeds or (), differences or (), probability)
    if as_json:
        print_json(finite(asdict(found)))
        return
    out.print(power_view(found.noise, found.power, found.detectable, found.needed))


def _write_follow_up(path: Path, study: str, overrides: Any, store: Any, differences: Any, probability: float) -> None:
    from ablate.report.console import err, text
    from ablate.report.files import write
    from ablate.runner import power as planning

    if path.is_file():
        raise UsageError(f"{path} exists. Give another name: a follow-up is a study of its own.")
    found = planning.follow_up(study, overrides, store, differences, probability)
    write(path, json.dumps(found.document, indent=2, ensure_ascii=False) + "\n")
    seeds = found.document["seeds"]
    message = (
        f"written to {path}: {seeds['min']} to {seeds['max']} seeds a variant that study {study!r} has not had, from "
        f"{seeds['first']} on, until every comparison is decided. Its error rate is its own: report both studies."
    )
    err.print(text(message, "dim"), soft_wrap=True)
