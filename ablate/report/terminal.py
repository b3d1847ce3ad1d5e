"""A study and a plan in the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ablate.study import Study, VariantInfo

from . import tables
from .console import table, text


def study_view(study: Study, width: int) -> RenderableType:
    """The comparison, in a window of so many characters."""
    kept = tables.columns(study)
    headings, rows = [tables.HEADINGS[i] for i in kept], [[row[i] for i in kept] for row in tables.rows(study)]
    parts: list[RenderableType] = [text(study.name, "bold")]
    if study.question:
        parts.append(text(study.question, "italic"))
    needed = sum(max(map(len, column)) + 2 for column in zip(headings, *rows, strict=True))
    parts += [Text(), table(headings, rows, numeric=True) if needed <= width + 2 else _blocks(headings, rows), Text()]
    parts.append(text(f"{tables.caption(study)}.", "dim"))
    failed = study.cells[study.cells["status"] == "failed"]
    for row in failed.itertuples():
        parts.append(text(f"failed: {row.variant}, seed {row.seed}: {row.error}", "red"))
    return Group(*parts)


def _blocks(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    """Each variant on a line of its own with its numbers below, for a window that is too narrow for a table."""
    parts: list[RenderableType] = []
    for name, *numbers in rows:
        parts.append(text(name, "bold"))
        line = ", ".join(f"{heading} {number}" for heading, number in zip(headings[1:], numbers, strict=True))
        parts.append(Padding(text(line), (0, 0, 0, 4)))
    return Group(*parts)


def variants_view(infos: Sequence[VariantInfo], reference: str, stored: dict[str, tuple[int, int]]) -> RenderableType:
    """What each variant changes of the reference, and how many of its cells are stored."""
    parts: list[RenderableType] = []
    for info in infos:
        done, cells = stored[info.name]
        line = text(info.name, "bold")
        note = "reference, " if info.name == reference else ""
        parts.append(line.append(f"  ({note}{done} of {cells} stored)", "dim"))
        parts += [Padding(text(change), (0, 0, 0, 4)) for change in info.changes]
    return Group(*parts)
