"""The command that runs a study."""

from typing import Annotated, Any

import typer

from ablate.errors import ExitCode, UsageError

from .common import (
    AsJson,
    DataDir,
    Debug,
    Devices,
    Executor,
    Jobs,
    Price,
    Set,
    SpecPath,
    StoreDir,
    app,
    complain,
    print_text,
    warn,
)
from .plan_view import show_plan


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
        show_plan(job, options, as_json, timed=True, price=price)
        return
    if price is not None:
        raise UsageError("--price-per-hour says what a run would cost: give it with --dry-run, or to `ablate check --time`.")
    from ablate.report.progress import display
    from ablate.runner.driver import run_study

    with display() as shown:
        study, stopped = run_study(spec, overrides or (), options, {"progress": shown}, warn)
    if stopped and not (study.every_cell["status"] == "done").any():
        complain(
            "interrupted before any result: run the same command again, and it goes on where it stopped", ExitCode.INTERRUPTED
        )
    _show(study, options, as_json, debug)
    if stopped:
        complain("interrupted: run the same command again, and it goes on where it stopped", ExitCode.INTERRUPTED)
    cells = study.every_cell
    failed = int((cells["status"] == "failed").sum())
    if failed:
        complain(f"{failed} of {len(cells)} cells failed; --debug shows their logs", ExitCode.FAILED_CELLS)


def _show(study: Any, options: Any, as_json: bool, debug: bool) -> None:
    """Prints a report, and writes it in all formats."""
    from ablate import places
    from ablate.plain import printable
    from ablate.report.console import err, out, say, wide
    from ablate.report.content import page
    from ablate.report.files import directory_of, render, write_all
    from ablate.report.terminal import study_view

    made = page(study)
    if as_json:
        print_text(render([made], "json"))
    else:
        console = wide(out)
        console.print(study_view(made, console.width))
        if options.placebo:
            _show_placebo(study)
    if debug:
        _show_logs(study, options)
    directory = directory_of(places.store_dir(options.store) / "reports", study.name)
    with err.status(f"writing {printable(str(directory))}"):
        _keep_thumbnails(made, options)
        write_all(made, directory)
    say(err, f"written to {directory}", "dim")


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
