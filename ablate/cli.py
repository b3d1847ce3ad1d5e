"""The `ablate` command. Heavy modules are imported inside the command that needs them."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .errors import AblateError, ExitCode, UsageError

HELP = """Ablation studies for PyTorch image classification: which part of a recipe makes the difference, by how much, how sure.

Exit codes: 0 all is well; 1 a cell failed; 2 wrong usage or a wrong spec; 3 something outside is missing or broken (data, disk,
device, package); 70 an error in ablate itself; 130 interrupted."""

app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="JSON file of a study.", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=JSON", help="Override a part of the spec, such as base.epochs=2."),
]
StoreDir = Annotated[Path | None, typer.Option("--store", metavar="DIR", help="Run store; ABLATE_STORE, or ./ablate-store.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Datasets; ABLATE_DATA_DIR, or the user's cache.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Cells at once; one for each core, or 16 on a GPU, unless given.")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Executor = Annotated[str, typer.Option("--executor", metavar="NAME", help="Where cells run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks and the logs of failed cells.")]


def main() -> None:
    """Entry point: turns what goes wrong into a message and an exit code."""
    debug = "--debug" in sys.argv[1:]
    try:
        app()
    except KeyboardInterrupt:
        _complain("interrupted", ExitCode.INTERRUPTED)
    except AblateError as error:
        if debug:
            raise
        _complain(str(error), error.exit_code)
    except BrokenPipeError:  # such as `ablate list | head`
        sys.stderr.close()
    except Exception as error:
        if debug:
            raise
        message = f"{type(error).__name__}: {error}\nThis is an error in ablate itself: --debug shows where; please report it."
        _complain(message, ExitCode.INTERNAL)


def _complain(message: str, code: ExitCode) -> None:
    from .report.console import err, text

    err.print(text("error: ", "bold red").append_text(text(message)), soft_wrap=True)
    sys.exit(code)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _warn(message: str) -> None:
    from .report.console import err, text

    err.print(text(message, "yellow"), soft_wrap=True)


@app.command()
def run(
    spec: SpecPath,
    overrides: Set = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    jobs: Jobs = None,
    device: Device = "auto",
    executor: Executor = "local",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Try every recipe with two images, and train nothing.")] = False,
    debug: Debug = False,
    as_json: AsJson = False,
) -> None:
    """Train every variant with every seed, store the results, and compare them."""
    from . import driver, places

    options = driver.Options(store, data_dir, jobs, device, executor)
    if dry_run:
        job = driver.prepare(spec, overrides or (), options)
        driver.try_recipes(job, {planned.cell.key for planned in job.cells})
        _show_plan(job, options, as_json)
        return
    from .progress import Display
    from .report.console import err, out, text, wide
    from .report.files import render, write_all
    from .report.terminal import study_view

    display = Display(err)
    with display.shown():
        study, stopped = driver.run_study(spec, overrides or (), options, {"progress": display}, _warn)
    if as_json:
        sys.stdout.write(render(study, "json"))
    else:
        console = wide(out)
        console.print(study_view(study, console.width))
    if debug:
        _show_logs(study, options)
    directory = places.store_dir(store) / "reports" / study.name
    write_all(study, directory)
    err.print(text(f"written to {directory}", "dim"), soft_wrap=True)
    if stopped:
        _complain("interrupted: run the same command again, and it goes on where it stopped", ExitCode.INTERRUPTED)
    failed = int((study.cells["status"] == "failed").sum())
    if failed:
        _complain(f"{failed} of {len(study.cells)} cells failed; --debug shows their logs", ExitCode.FAILED_CELLS)


def _show_logs(study: Any, options: Any) -> None:
    from . import places
    from .report.console import err, text
    from .store import Store

    with Store(places.store_dir(options.store), create=False) as opened:
        for row in study.cells[study.cells["status"] == "failed"].itertuples():
            error, log = opened.logs(row.key)
            err.print(text(f"\n{row.variant}, seed {row.seed}: {error}\n{log or ''}"), soft_wrap=True)


@app.command()
def check(
    spec: SpecPath,
    overrides: Set = None,
    store: StoreDir = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Show what each variant changes, how many cells there are, and how many are stored. Nothing is built or fetched."""
    from . import driver

    options = driver.Options(store, data_dir, device=device, download=False)
    _show_plan(driver.prepare(spec, overrides or (), options), options, as_json)


def _show_plan(job: Any, options: Any, as_json: bool) -> None:
    from . import places
    from .report.console import out, wide
    from .report.terminal import variants_view
    from .store import Store

    directory = places.store_dir(options.store)
    stored: set[str] = set()
    if (directory / "store.sqlite").is_file():
        with Store(directory) as opened:
            stored = opened.stored([planned.cell.key for planned in job.cells])
    infos = job.plan.infos()
    counts = {info.name: [p.cell.key in stored for p in job.cells if p.variant == info.name] for info in infos}
    reference = job.plan.compare.reference
    if as_json:
        variants = [{**vars(info), "cells": len(counts[info.name]), "stored": sum(counts[info.name])} for info in infos]
        cells = [{"variant": p.variant, "seed": p.seed, "key": p.cell.key, "stored": p.cell.key in stored} for p in job.cells]
        _print_json({"name": job.plan.spec.name, "reference": reference, "variants": variants, "cells": cells})
        return
    console = wide(out)
    console.print(variants_view(infos, reference, {name: (sum(done), len(done)) for name, done in counts.items()}))
    done, total = sum(p.cell.key in stored for p in job.cells), len(job.cells)
    console.print(
        f"\n{total} cells ({len(infos)} variants × {len(job.plan.seeds)} seeds), {done} stored, {total - done} to train"
    )


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="Only this kind.", show_default=False)] = None,
    load: Annotated[bool, typer.Option("--load", help="Import each one, to see whether it works.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what can be used: the components of all installed packages, and what is wrong with them."""
    from .registry import KINDS, BrokenComponent, default
    from .report.plain import aligned

    if kind is not None and kind not in KINDS:
        raise _no_kind(kind)
    registry = default()
    rows = []
    for component in (c for k in ([kind] if kind else KINDS) for c in registry.all(k)):
        problem = component.problem
        if len(registry.components[component.kind][component.name]) > 1:
            problem = problem or f"several packages have this name: use {component.qualified_name!r}"
        if load:
            try:
                registry.load(component.kind, component.qualified_name)
            except BrokenComponent as error:
                problem = str(error)
        rows.append((component.kind, component.name, component.distribution, component.version, problem))
    if as_json:
        keys = ("kind", "name", "distribution", "version", "problem")
        _print_json({"components": [dict(zip(keys, row, strict=True)) for row in rows], "problems": list(registry.unreadable)})
        return
    lines = [(kind, name, f"{package} {version}", problem) for kind, name, package, version, problem in rows]
    heading = ("kind", "name", "package", "problem" if any(row[-1] for row in rows) else "")
    sys.stdout.write(aligned([heading, *lines]))
    for message in registry.unreadable:
        _warn(message)


def _no_kind(kind: str) -> UsageError:
    from .errors import did_you_mean
    from .registry import KINDS

    return UsageError(f"there is no kind {kind!r}. {did_you_mean(kind, KINDS)}")


@app.command()
def show(
    kind: Annotated[str, typer.Argument(metavar="KIND", show_default=False)],
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show a component's parameters, defaults and documentation."""
    from .registry import KINDS, default
    from .report.console import out
    from .report.page import component_page

    if kind not in KINDS:
        raise _no_kind(kind)
    loaded = default().load(kind, name)
    if as_json:
        component = {key: getattr(loaded.component, key) for key in ("kind", "name", "distribution", "version", "target")}
        _print_json({**component, "doc": loaded.signature.doc, "schema": loaded.signature.schema()})
        return
    out.print(component_page(loaded))


@app.command()
def status(store: StoreDir = None, as_json: AsJson = False) -> None:
    """Show the studies of a store, and how far each is."""
    from . import places
    from .report.console import out, table, wide
    from .store import Store

    with Store(places.store_dir(store), create=False) as opened:
        studies = [opened.study(name) for name in opened.studies()]
    states = ("done", "running", "interrupted", "failed", "missing")
    rows = [[s.name, len(s.cells), *(int((s.cells["status"] == state).sum()) for state in states)] for s in studies]
    headings = ["study", "cells", *states]
    if as_json:
        _print_json([dict(zip(headings, row, strict=True)) for row in rows])
        return
    wide(out).print(table(headings, rows, numeric=True))


@app.command()
def report(
    studies: Annotated[
        list[str],
        typer.Argument(
            metavar="SPEC-or-STUDY...", help="JSON file, or name of a stored study; several are joined.", show_default=False
        ),
    ],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="terminal, html, markdown, latex (tables to include), latex-document, csv, json, or files for all of them, with "
            "the figures as SVG and PDF.",
        ),
    ] = "terminal",
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write here (a directory for files).")] = None,
    store: StoreDir = None,
) -> None:
    """Show or write the results of studies that the store has. Nothing is trained."""
    from . import places
    from .report.console import out, text, wide
    from .report.files import FORMATS, render, write, write_all
    from .report.terminal import study_view
    from .spec import load
    from .store import Store

    directory = places.store_dir(store)
    names = [load(study).name if study.endswith(".json") or Path(study).is_file() else study for study in studies]
    with Store(directory, create=False) as opened:
        loaded = [opened.study(name) for name in dict.fromkeys(names)]
    if format_ == "terminal" and output is None:
        console = wide(out)
        for index, study in enumerate(loaded):
            console.print(*[""] * min(index, 1), study_view(study, console.width), sep="\n")
    elif format_ == "files":
        target = output or directory / "reports"
        for study in loaded:
            for path in write_all(study, target if output and len(loaded) == 1 else target / study.name):
                out.print(text(path), soft_wrap=True)
    elif format_ == "terminal":
        raise UsageError(f"--output needs a --format: {', '.join(FORMATS)} or files.")
    elif output is None:
        sys.stdout.write(render(loaded, format_))
    else:
        write(output, render(loaded, format_))


@app.command()
def diff(
    one: Annotated[
        str, typer.Argument(metavar="CELL-or-STUDY", help="Key of a cell, or its start; or a study.", show_default=False)
    ],
    other: Annotated[str, typer.Argument(metavar="CELL-or-STUDY", help="What it is compared with.", show_default=False)],
    store: StoreDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare two cells or two studies of a store: recipes, environments and results. `cells.csv` of a report has the keys."""
    from dataclasses import asdict

    from . import places
    from .report.console import out, wide
    from .report.diff import diff_view, difference
    from .store import Store

    with Store(places.store_dir(store), create=False) as opened:
        found = difference(opened, one, other)
    if as_json:
        _print_json(asdict(found))
        return
    console = wide(out)
    console.print(diff_view(found, console.width))


@app.command()
def schema() -> None:
    """Print one JSON Schema for specs with everything that is installed, for editors."""
    from .registry import default
    from .schema import joined

    document, problems = joined(default())
    for message in problems:
        _warn(message)
    _print_json(document)


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(metavar="SPEC-or-DATASET", help="JSON file, or name of a dataset.", show_default=False)],
    overrides: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Download and decode data ahead of time."""
    from . import driver, places
    from .records import Environment
    from .registry import default
    from .report.console import out, text

    if what.endswith(".json") or Path(what).is_file():
        lines = driver.fetch(driver.prepare(what, overrides or (), driver.Options(data_dir=data_dir, device="cpu")))
    else:
        loaded = default().load("dataset", what)
        required = [name for name, parameter in loaded.signature.parameters.items() if parameter.required]
        if required:
            raise UsageError(f"dataset {what!r} needs {', '.join(required)}: fetch it with a spec.")
        lines = [driver.describe_data(default(), {"use": what}, Environment(places.data_dir(data_dir)))]
    for line in lines:
        out.print(text(line), soft_wrap=True)


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PART]...", help="All of them unless given.", show_default=False)
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", metavar="JSON", help="The images of the studies.")] = '{"use": "cifar10"}',
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often everything is measured; medians are shown.")] = 3,
    smallest: Annotated[
        bool, typer.Option("--smallest", help="As little as possible, on embedded digits: to see that it works.")
    ] = False,
    data_dir: DataDir = None,
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write all figures as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure this machine: studies against scripts and a hand-written loop, transforms, fixed costs. Takes a while."""
    from . import places
    from .bench import PARTS
    from .bench.run import measure
    from .errors import did_you_mean
    from .report.console import err, out, table, wide
    from .report.files import write
    from .spec import parse

    for name in names or ():
        if name not in PARTS:
            raise UsageError(f"the benchmark has no part {name!r}. {did_you_mean(name, PARTS)}")
    spec = parse(dataset, "--dataset")
    figures = []
    for name, part in measure(names or PARTS, spec, places.data_dir(data_dir), repeats, smallest):
        err.print(f"{name}: done", soft_wrap=True)
        figures += part
    if output is not None:
        write(output, json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        _print_json(figures)
        return
    rows = [[f["figure"], f"{f['value']:.3g} {f['unit']}", f["goal"], _agreement(f)] for f in figures]
    wide(out).print(table(["figure", "measured", "goal", "results"], rows))


def _agreement(figure: dict[str, Any]) -> str:
    return {True: "agree", False: "DISAGREE", None: ""}[figure.get("results_agree")]
