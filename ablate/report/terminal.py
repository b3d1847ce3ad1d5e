"""A study and a plan in the terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ablate.study import Study, VariantInfo

from . import tables
from .console import table, text


def study_view(study: Study) -> RenderableType:
    """The comparison."""
    kept = tables.columns(study)
    rows = [[row[i] for i in kept] for row in tables.rows(study)]
    parts: list[RenderableType] = [text(study.name, "bold")]
    if study.question:
        parts.append(text(study.question, "italic"))
    parts += [Text(), table([tables.HEADINGS[i] for i in kept], rows, numeric=True), Text()]
    parts.append(text(f"{tables.caption(study)}.", "dim"))
    failed = study.cells[study.cells["status"] == "failed"]
    for row in failed.itertuples():
        parts.append(text(f"failed: {row.variant}, seed {row.seed}: {row.error}", "red"))
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
