"""Text and tables for the terminal. Every name and message is hostile until it went through `printable`."""

from collections.abc import Container, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.plain import printable

out = Console()
err = Console(stderr=True)


def text(value: object, style: str = "") -> Text:
    """Text in which rich finds no markup."""
    return Text(printable(str(value)), style=style)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], numeric: bool = False, words: Container[str] = ()) -> Table:
    """A plain table; with `numeric`, all columns but the first and those of `words` are aligned to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, heading in enumerate(headings):
        right = numeric and index > 0 and heading not in words
        made.add_column(text(heading), justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    return made


def wide(console: Console) -> Console:
    """A console whose lines are not cut where nobody looks at a window, such as in a file."""
    return console if console.is_terminal else Console(file=console.file, width=max(console.width, 160))
