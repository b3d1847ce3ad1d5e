"""A study, a plan and listings in the terminal. Every name and message is hostile until it went through `printable`."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ablate.study import Study, VariantInfo

from . import tables


def printable(text: str) -> str:
    """Text without control characters, so that no name can move the cursor or set the title of the window."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


def text(value: object, style: str = "") -> Text:
    """Text in which rich finds no markup."""
    return Text(printable(str(value)), style=style)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], numeric: bool = False) -> Table:
    """A plain table; with `numeric`, all columns but the first are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        right = numeric and index > 0
        made.add_column(text(heading), justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    return made


def study(study: Study) -> RenderableType:
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


def variants(infos: Sequence[VariantInfo], reference: str, stored: dict[str, tuple[int, int]]) -> RenderableType:
    """What each variant changes of the reference, and how many of its cells are stored."""
    parts: list[RenderableType] = []
    for info in infos:
        done, cells = stored[info.name]
        line = text(info.name, "bold")
        note = "reference, " if info.name == reference else ""
        parts.append(line.append(f"  ({note}{done} of {cells} stored)", "dim"))
        parts += [Padding(text(change), (0, 0, 0, 4)) for change in info.changes]
    return Group(*parts)


def wide(console: Console) -> Console:
    """A console whose lines are not cut where nobody looks at a window, such as in a file."""
    return console if console.is_terminal else Console(file=console.file, width=max(console.width, 160))
