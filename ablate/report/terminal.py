"""A study in the terminal."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ablate.stats.summary import in_words, missing

from .console import table, text
from .tables import Table

if TYPE_CHECKING:
    from .page import Page

LEAVES_OUT = ("effect size",)  # for the other formats, which have room
WHOLE = "--format full"
SHOWN = ("runs", "comparison", "tuning", "terms", "attribution", "evaluated")  # keys of sections


def study_view(page: "Page", width: int, whole: bool = False) -> RenderableType:
    """The comparison, and what the design tells beside it, or the whole report, in a window of so many characters."""
    study = page.study
    parts: list[RenderableType] = [text(study.name, "bold")]
    if study.question:
        parts.append(text(study.question, "italic"))
    if whole:
        return Group(*parts, Text(), text(page.analysis.answer, "bold"), *_all_sections(page, width))
    for section in page.sections:
        if section.key in SHOWN:
            parts += [Text(), table_view(section.tables[0].without(LEAVES_OUT), width)]
            parts += [text(note, "dim") for note in section.notes]
            if study.imported:
                parts += [text(f"does not count: {'; '.join(runs)}: {reason}", "yellow") for reason, runs in section.items]
    parts += [Text(), text(page.analysis.answer, "bold")]
    looks = [
        text(f"look at {note}", "yellow") for section in page.sections if section.key == "trainings" for note in section.notes
    ]
    if study.imported:  # what has no value is told above
        return Group(*parts, *looks, *_more(page, WHOLE))
    failed = study.every_cell[study.every_cell["status"] == "failed"]
    for row in failed.itertuples():
        parts.append(text(f"failed: {row.variant}, seed {row.seed}: {row.error}", "red"))
    for reason, cells in in_words(missing(study)).items():
        parts.append(text(f"no value: {'; '.join(cells)}: {reason}", "red"))
    return Group(*parts, *looks, *_more(page, f"ablate report {shlex.quote(study.name)} {WHOLE}"))


def _all_sections(page: "Page", width: int) -> Iterator[RenderableType]:
    """All but figures, which other formats have."""
    for section in page.sections:
        if not (section.tables or section.items or section.notes):
            continue
        yield from (Text(), text(section.title, "bold underline"))
        for made in section.tables:
            yield from (Text(), table_view(made, width))
        for name, lines in section.items:
            yield text(name, "bold")
            yield from (Padding(text(line), (0, 0, 0, 4), expand=False) for line in lines)
        yield from [Text()] * bool(section.tables and section.notes)
        yield from (text(note, "dim") for note in section.notes)


def _more(page: "Page", command: str) -> Iterator[RenderableType]:
    """What the whole report has beside, and how it is shown."""
    if titles := [section.title for section in page.sections if section.tables and section.key not in SHOWN]:
        yield text(f"The report has more: {', '.join(titles)}. `{command}` shows it here.", "dim")


def table_view(shown: Table, width: int) -> RenderableType:
    """A table, or where the window is too narrow for it, each row on lines of its own."""
    needed = sum(max(map(len, column)) + 2 for column in zip(shown.headings, *shown.rows, strict=True))
    if needed <= width + 2:
        return table(shown.headings, shown.rows, numeric=True, words=shown.words)
    return Group(*_blocks(shown))


def _blocks(shown: Table) -> Iterator[RenderableType]:
    """Each row's name on a line of its own with its cells below."""
    for name, *cells in shown.rows:
        yield text(name, "bold")
        filled = [f"{heading} {cell}" for heading, cell in zip(shown.headings[1:], cells, strict=True) if cell]
        yield Padding(text("; ".join(filled)), (0, 0, 0, 4), expand=False)
