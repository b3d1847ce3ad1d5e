"""Commands that say what a study is, before it is run."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ablate.errors import ExitCode, UsageError

from . import completion
from .common import (
    AsJson,
    DataDir,
    Device,
    Jobs,
    Price,
    Set,
    SpecPath,
    StoreDir,
    app,
    complain,
    print_json,
)
from .plan_view import show_plan


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
        show_plan(job, options, as_json, timed, price)


def _show_probe(job: Any, as_json: bool) -> None:
    from dataclasses import asdict

    from ablate.report.console import err, out, say
    from ablate.runner.probing import in_words, probe

    references = job.plan.references
    found = list(probe(job, lambda name: say(err, f"{name} …", "dim")))
    if as_json:
        print_json({"variants": [asdict(one) for one in found]})
    else:
        changes = {info.name: info.changes for info in job.plan.infos()}
        named = {one.variant: one for one in found}
        for one in found:
            reference = named[references[one.variant]]
            say(out, f"{one.variant}{'  (reference, twice)' if one is reference else ''}", "bold")
            for line in changes[one.variant]:
                say(out, f"    {line}")
            say(out, f"    {in_words(one, reference)}")
    if failed := sum(bool(one.error) for one in found):
        complain(f"{failed} of {len(found)} variants failed", ExitCode.FAILED_CELLS)


@app.command()
def power(
    study: Annotated[
        str,
        typer.Argument(
            metavar="SPEC-or-STUDY",
            help="JSON file, or name of a stored study.",
            show_default=False,
            autocompletion=completion.specs_or_studies,
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
    from ablate.report.console import err, say
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
    say(err, message, "dim")
