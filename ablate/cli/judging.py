"""The command that judges runs which exist already."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ablate.errors import ExitCode, UsageError

from . import completion
from .common import AsJson, Output, app, complain
from .showing import format_of, show_pages

if TYPE_CHECKING:
    from ablate.judging.reading import Reading
    from ablate.report.page import Page
    from ablate.study import Study


@app.command()
def judge(
    place: Annotated[
        str,
        typer.Argument(
            metavar="RUNS", help="A table, a folder or store of a tracker, or a server's address.", show_default=False
        ),
    ],
    metric: Annotated[str | None, typer.Option("--metric", help="What is judged; the only metric unless given.")] = None,
    factors: Annotated[
        list[str] | None,
        typer.Option("--factor", metavar="NAME", help="A setting to compare; may be repeated; what differs unless given."),
    ] = None,
    blocks: Annotated[
        list[str] | None,
        typer.Option("--block", metavar="NAME", help="A setting, such as the dataset, in whose every value to compare."),
    ] = None,
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="NAME", help="The setting with the seed; one of that name unless given.")
    ] = None,
    repetitions: Annotated[
        bool, typer.Option("--repetitions", help="Runs of a variant are repetitions, though no setting has their seed.")
    ] = False,
    goal: Annotated[
        Literal["maximize", "minimize"] | None, typer.Option("--goal", help="Which way is better; by its name unless given.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="STEP", help="The step that counts, or last; the last, if all have the same, unless given."),
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="VARIANT", help="What the others are compared with.")
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="NAME", help="A setting that does not matter, or belongs to a level; * for any part."),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="NAME=VALUE",
            help="Only runs with this setting, or NAME!=VALUE; may be repeated, for more values or settings.",
        ),
    ] = None,
    margin: Annotated[float | None, typer.Option("--margin", help="Differences within ± this are of no importance.")] = None,
    alpha: Annotated[float, typer.Option("--alpha", help="Error rate of the verdicts.")] = 0.05,
    paired: Annotated[bool, typer.Option("--paired", help="Compare runs of one seed with each other.")] = False,
    correction: Annotated[
        Literal["holm", "benjamini_hochberg"], typer.Option("--correction", help="For the number of comparisons.")
    ] = "holm",
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help='What reads the runs; with parameters, as JSON: {"use": NAME, …}.',
            autocompletion=completion.sources,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What the report calls it.")] = None,
    question: Annotated[str, typer.Option("--question", help="What it asks, for the report.")] = "",
    format_: Annotated[
        str,
        typer.Option("--format", help="terminal, full, html, markdown, latex, latex-document, csv, json, or files for all."),
    ] = "terminal",
    output: Output = None,
    power: Annotated[bool, typer.Option("--power", help="Say too what more seeds would show.")] = False,
    spec: Annotated[
        Path | None,
        typer.Option("--spec", metavar="FILE", help="Write the spec of the study that would decide it, with fresh seeds."),
    ] = None,
    differences: Annotated[
        list[float] | None, typer.Option("--difference", help="For --spec: a difference to find; may be repeated.")
    ] = None,
    as_json: AsJson = False,
    fail_on: Annotated[
        Literal["worse"] | None,
        typer.Option("--fail-on", help="Exit with 4 where a variant is worse than the reference, or cannot be judged."),
    ] = None,
) -> None:
    """Judge runs that exist already, of anybody's code: from a table, a tracker or a sweep to verdicts. Nothing is trained.

    Shows first how the runs were read: variants, seeds, and what does not count. What cannot be compared is refused.
    """
    from ablate.judging import Judgement, Wanted, read, study_of
    from ablate.report.content import page

    wanted = Wanted(
        metric=metric,
        factors=tuple(factors or ()),
        seed=seed,
        goal=goal,
        at=_step(at),
        reference=reference,
        ignore=tuple(ignore or ()),
        where=tuple(where or ()),
        repetitions=repetitions,
        blocks=tuple(blocks or ()),
    )
    judgement = Judgement(margin, alpha, paired, correction)
    if spec is not None and spec.exists():
        raise UsageError(f"{spec} exists. Give another name for the spec.")
    reading = read(place, wanted, _component(source))
    if spec is not None and reading.roles.blocks:
        raise UsageError("--spec: over blocks, more blocks would decide it, and a spec can only ask for more seeds.")
    study = study_of(reading, name, question, judgement)
    made = page(study)
    show_pages([made], format_of(format_, as_json), output, Path("reports"))
    if power:
        _show_power(study)
    if spec is not None:
        _write_spec(spec, study, reading, differences or ())
    if fail_on:
        _fail_on(made)


def _step(at: str | None) -> int | Literal["last"] | None:
    if at is None or at == "last":
        return at  # type: ignore[return-value]
    if not at.isdigit():
        raise UsageError(f"--at {at}: expected the number of a step, or last.")
    return int(at)


def _component(source: str | None) -> Any:
    from ablate.spec.strict import parse

    return parse(source, "--source") if source and source.lstrip().startswith("{") else source


def _show_power(study: "Study") -> None:
    from ablate.report.console import out
    from ablate.report.power import power_view
    from ablate.runner.power import power_of

    found = power_of(study)
    out.print()
    out.print(power_view(found.noise, found.power, found.detectable, found.needed))


def _write_spec(path: Path, study: "Study", reading: "Reading", differences: Any) -> None:
    from ablate.judging.deciding import PROGRAM, deciding_spec, partial
    from ablate.report.console import err, say
    from ablate.report.files import write

    document = deciding_spec(study, reading, differences)
    write(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    seeds = document["seeds"]
    message = (
        f"written to {path}: {seeds['min']} to {seeds['max']} seeds a variant that no run had, from {seeds['first']} on, until "
        "every comparison is decided."
    )
    if reading.spec is None:
        message += f" It starts {PROGRAM}, which stands for your program: correct `argv`, then run `ablate check {path} --probe`."
        if some := partial(reading):
            message += f" A level that has no {', '.join(some[:5])} is given that of another: look whether the program minds."
    say(err, message, "dim")


def _fail_on(made: "Page") -> None:
    """Ends with an exit code of its own; a comparison that tells nothing must not pass for one that found nothing."""
    over = made.analysis.blocks
    found = made.analysis.effects if over is None else over.comparisons
    worse = [one.variant for one in found if "worse" in (one.verdict, one.where_it_trains)]
    untold = [one.variant for one in found if one.p_adjusted != one.p_adjusted]
    if worse:
        reference = made.study.compare.reference if over is None else over.reference
        complain(f"worse than {reference}: {', '.join(worse[:5])}", ExitCode.WORSE)
    if untold:
        complain(f"cannot be judged, because runs are missing: {', '.join(untold[:5])}", ExitCode.WORSE)
