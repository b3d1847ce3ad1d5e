"""Reports as the commands show or write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import UsageError

from .common import print_text

if TYPE_CHECKING:
    from ablate.report.page import Page


def format_of(given: str, as_json: bool) -> str:
    """The format that is asked for; `--json` is short for one of them.

    Raises:
        UsageError: Another one is asked for, too.
    """
    if as_json and given not in ("terminal", "json"):
        raise UsageError(f"--json and --format {given} ask for two things. Give one of them.")
    return "json" if as_json else given


def show_pages(pages: Sequence["Page"], format_: str, output: Path | None, reports: Path) -> None:
    """Prints pages, or writes them.

    Args:
        pages: One a study.
        format_: As `--format` takes it.
        output: A file, or with `files` a directory; None for the terminal, or standard output.
        reports: Where a directory is made for each study, unless one is given for the only one.

    Raises:
        UsageError: What is for the terminal cannot be written to a file.
    """
    from ablate.report.console import out, text, wide
    from ablate.report.files import FORMATS, TERMINAL, directory_of, render, write, write_all
    from ablate.report.terminal import study_view

    if format_ in TERMINAL and output is None:
        console = wide(out)
        for index, made in enumerate(pages):
            console.print(*[""] * min(index, 1), study_view(made, console.width, format_ == "full"), sep="\n")
    elif format_ == "files":
        target = output or reports
        for made in pages:
            for path in write_all(made, target if output and len(pages) == 1 else directory_of(target, made.study.name)):
                out.print(text(path), soft_wrap=True)
    elif format_ in TERMINAL:
        raise UsageError(f"--output needs a --format: {', '.join(FORMATS)} or files.")
    elif output is None:
        print_text(render(pages, format_))
    else:
        write(output, render(pages, format_))
