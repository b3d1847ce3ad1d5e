"""What the commands share: the application, options, messages."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ablate.errors import ExitCode
from ablate.version import JSON_VERSION

from . import completion, output

HELP = (
    "Ablation studies: which part of a recipe makes the difference, by how much, how sure.\n\n"
    "Exit codes: 0 all is well; 1 a cell failed; 2 wrong usage or a wrong spec; 3 something outside is missing or broken (data, "
    "disk, device, package); 4 `judge --fail-on` found what it names; 70 an error in ablate itself; 130 interrupted."
)

app = typer.Typer(help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        from ablate.version import __version__

        sys.stdout.write(f"ablate {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before a command."""


SpecPath = Annotated[
    Path, typer.Argument(metavar="SPEC", help="JSON file of a study.", show_default=False, autocompletion=completion.specs)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=JSON", help="Override a part of the spec, such as base.epochs=2."),
]
StoreDir = Annotated[Path | None, typer.Option("--store", metavar="DIR", help="Run store; ABLATE_STORE, or ./ablate-store.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Datasets; ABLATE_DATA_DIR, or the user's cache.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Cells at once; one for each core, or 16 on each GPU, unless given.")
]
Price = Annotated[
    float | None,
    typer.Option("--price-per-hour", min=0, metavar="MONEY", help="Say what the time costs at this price of the machine."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Devices = Annotated[
    str, typer.Option("--device", help="auto, cpu, cuda for all GPUs, or those that cuda:0,2 names; mps and xpu are untried.")
]
Executor = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="NAME",
        help='Where cells run; with parameters, as JSON: {"use": NAME, …}.',
        autocompletion=completion.executors,
    ),
]
Output = Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write here (a directory for files).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks and the logs of failed cells.")]


def complain(message: str, code: ExitCode) -> NoReturn:
    """Ends the process with a message."""
    from ablate.report.console import err, say

    say(err, message, head="error: ")
    sys.exit(code)


def print_text(text: str) -> None:
    """What programs read too, such as a report as CSV."""
    output.for_programs()
    sys.stdout.write(text)


def print_json(document: Mapping[str, Any], versioned: bool = True) -> None:
    """Prints a document, with the version of its form."""
    print_text(as_text(document, versioned))


def as_text(document: Mapping[str, Any], versioned: bool = True) -> str:
    told = {"version": JSON_VERSION, **document} if versioned else document
    return json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def warn(message: str) -> None:
    from ablate.report.console import err, say

    say(err, message, "yellow")
