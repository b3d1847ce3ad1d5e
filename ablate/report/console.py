"""Text and tables for the terminal. Every name and message is hostile until it went through `printable`."""

from collections.abc import Container, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.plain import broken, printable

out = Console()
err = Console(stderr=True)


def text(value: object, style: str = "") -> Text:
    """Text in which rich finds no markup."""
    return Text(printable(str(value)), style=style)


def say(console: Console, message: object, style: str = "", head: str = "") -> None:
    """Prints a message, with a head in red: in a terminal with its lines broken between words, elsewhere as it is."""
    words = f"{head}{printable(str(message))}"
    shown = text(broken(words, console.width) if console.is_terminal else words, style)
    shown.stylize("bold red", 0, len(head))
    console.print(shown, soft_wrap=True)


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
