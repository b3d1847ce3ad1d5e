"""A study in every format, and all of them as files."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ablate.errors import EnvironmentProblem, UsageError, did_you_mean
from ablate.study import Study

from . import tables
from .figures import learning_curves

FORMATS: Mapping[str, Callable[[Study], str]] = {
    "markdown": tables.markdown,
    "csv": tables.csv,
    "json": lambda study: json.dumps(tables.record(study), indent=2, ensure_ascii=False, allow_nan=False) + "\n",
}


def render(study: Study, name: str) -> str:
    """The study in the format of this name.

    Raises:
        UsageError: There is no such format.
    """
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}. {did_you_mean(name, FORMATS)}")
    return FORMATS[name](study)


def write(path: Path, text: str) -> None:
    """Writes a file, and makes its directory.

    Raises:
        EnvironmentProblem: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be written: {error}.") from error


def write_all(study: Study, directory: Path) -> list[Path]:
    """Writes the summary, every cell, every epoch and the learning curves of a study."""
    files = {
        "summary.md": tables.markdown(study),
        "summary.csv": tables.csv(study),
        "study.json": FORMATS["json"](study),
        "cells.csv": study.cells.to_csv(index=False),
        "epochs.csv": study.epochs.to_csv(index=False),
    }
    for name, text in files.items():
        write(directory / name, text)
    written = [directory / name for name in files]
    if len(study.epochs):
        learning_curves(study, directory / "curves.png")
        written.append(directory / "curves.png")
    return written
