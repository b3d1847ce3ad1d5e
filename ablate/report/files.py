"""Studies in every format, and all of them as files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ablate.errors import DiskProblem, UsageError, did_you_mean
from ablate.writing import REMEDY, replaced, storable

from . import data, drawing, latex, web
from .markdown import markdown
from .page import Page

TERMINAL = ("terminal", "full")  # the verdicts, and the whole report
FORMATS: Mapping[str, Callable[[Sequence[Page]], str]] = {
    "markdown": markdown,
    "latex": latex.fragment,
    "latex-document": latex.document,
    "html": web.html,
    "csv": data.as_csv,
    "json": data.as_json,
}


def render(pages: Sequence[Page], name: str) -> str:
    """Reports in the format of this name.

    Raises:
        UsageError: There is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}. {did_you_mean(name, [*TERMINAL, *FORMATS, 'files'])}")
    return storable(FORMATS[name](pages))


def directory_of(parent: Path, study: str) -> Path:
    """Where the report of a study belongs.

    Raises:
        UsageError: The store names a study as no folder can be named, such as `../x`.
    """
    if study in ("", ".", "..") or Path(study).name != study or "\0" in study:
        raise UsageError(f"study {study!r}: its name is not one that a folder can have. Give --output.")
    return parent / study


def write(path: Path, content: str | bytes) -> None:
    """Writes a file, and makes its directory.

    Raises:
        DiskProblem: It cannot be written; an older one is as it was.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8")
    try:
        if path.exists() and not path.is_file():  # such as /dev/stdout
            path.write_bytes(data)
            return
        with replaced(path.resolve()) as temporary:  # where a link leads to
            temporary.write_bytes(data)
    except OSError as error:
        raise DiskProblem(f"{path}: cannot be written: {error}. {REMEDY}") from error


def write_all(page: Page, directory: Path) -> list[Path]:
    """Writes the report of a study in every format, its figures, every cell and every epoch.

    Raises:
        DiskProblem: A file cannot be written.
    """
    contents: dict[str, str | bytes] = {
        "report.html": web.html([page]),
        "report.tex": latex.document([page]),
        "tables.tex": latex.fragment([page]),
        "summary.md": markdown([page], "figures"),
        "summary.csv": data.as_csv([page]),
        "study.json": data.as_json([page]),
        "cells.csv": data.frame_csv(page.study.cells),
        "epochs.csv": data.frame_csv(page.study.epochs),
    }
    if len(effects := data.effects_of_design(page.analysis)):
        contents["effects.csv"] = data.frame_csv(effects)
    if page.analysis.per_image and page.analysis.per_image.classes:
        contents["classes.csv"] = data.frame_csv(pd.DataFrame(map(asdict, page.analysis.per_image.classes)))
    if len(over := data.blocks(page)):
        contents["blocks.csv"] = data.frame_csv(over)
    if page.study.tuning is not None:
        contents["trials.csv"] = data.frame_csv(data.trials(page.study.tuning))
    for picture in (picture for section in page.sections for picture in section.pictures):
        contents |= {f"figures/{name}": content for name, content in drawing.files(picture).items()}
        if picture.name == "curves":
            contents["curves.png"] = drawing.png(picture)
    for name, content in contents.items():
        write(directory / name, storable(content) if isinstance(content, str) else content)
    return [directory / name for name in contents]
