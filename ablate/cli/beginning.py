"""The command that writes a first spec."""

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ablate.errors import UsageError

from .common import app


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The spec that is written.")] = Path("study.json"),
    images: Annotated[
        str | None,
        typer.Option(
            "--images", metavar="WHERE", help="A dataset such as digits, or a folder or table of images.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME", help="A model such as net or resnet18.", show_default=False)
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="NAME",
            help="What is varied, such as optimizer, or PATH=VALUE,VALUE; may be repeated.",
            show_default=False,
        ),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option("--seeds", metavar="N", help="Seeds a variant, such as 5, or 3-12 until it is decided.", show_default=False),
    ] = None,
) -> None:
    """Write the spec of a first study: asks where the images are, for the model, what to vary, and how many seeds."""
    from ablate.registry import default
    from ablate.report.console import err, out, say
    from ablate.report.files import write
    from ablate.runner.job import Options, prepare

    from .first_spec import VARIED, dataset_of, document, laid_out, model_of, offered, seeds_of

    if file.exists():
        raise UsageError(f"{file} exists. Give another name: nothing is overwritten.")
    missing = [
        f"--{name}" for name, given in (("images", images), ("model", model), ("vary", vary), ("seeds", seeds)) if not given
    ]
    if missing and not sys.stdin.isatty():
        raise UsageError(f"there is nobody to ask: give {', '.join(missing)}.")

    def asked(question: str, about: str, usual: str, check: Callable[[str], object]) -> str:
        """Asks until the answer is one."""
        say(err, about, "dim")
        while True:
            try:
                answer = str(typer.prompt(question, default=usual, err=True))
            except typer.Abort:  # Ctrl-C or Ctrl-D
                err.print()
                raise KeyboardInterrupt from None
            try:
                check(answer)
            except UsageError as error:
                say(err, error, "red")
            else:
                return answer

    for given, check in ((images, dataset_of), (model, model_of)):
        if given is not None:
            check(given)  # before anything is asked
    if images is None:
        about = f"A folder, or one of {offered(default().all('dataset'))}."
        images = asked("Where are the images?", about, "digits", dataset_of)
    if model is None:
        about = "net is small and quick; or a model of torchvision, such as resnet18."
        model = asked("Which model?", about, "net", model_of)
    if not vary:
        lines = "\n".join(f"  {name}: {words}" for name, words in VARIED.items())
        about = f"Several with spaces between:\n{lines}\n  PATH=VALUE,VALUE: any setting"
        varied = partial(document, "study", images, model, seeds="1")
        vary = asked("What is to be varied?", about, "optimizer schedule", lambda given: varied(given.split())).split()
    if seeds is None:
        about = "A number, or 3-12 for as many as it takes to decide every comparison."
        seeds = asked("How many seeds?", about, "5", seeds_of)
    name = re.sub("[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "study"
    made = document(name, images, model, vary, seeds)
    prepare(made, (), Options(download=False))  # nothing is written that `check` would refuse
    write(file, laid_out(made) + "\n")
    say(out, f"written to {file}. What it varies, and how many cells that are: ablate check {file}")
