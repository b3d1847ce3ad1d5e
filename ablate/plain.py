"""Text without styles; it imports hardly anything, so that listing is fast."""

import textwrap
from collections.abc import Sequence

JOINERS = "\u200c\u200d"  # zero-width non-joiner and joiner
LEAST = 40  # characters for the last column of a table that fits a window


def printable(text: str) -> str:
    """Text without control characters, so that no name can move the cursor or set the title of the window.

    What joins two letters of Persian, of Indic scripts or two emoji stays; between others it would only make names look alike.
    """
    if text.isprintable():
        return text
    return "".join(character if _shown(text, place) else "�" for place, character in enumerate(text))


def _shown(text: str, place: int) -> bool:
    character = text[place]
    if character in JOINERS:
        around = text[max(0, place - 1) : place] + text[place + 1 : place + 2]
        return len(around) == 2 and not any(map(str.isascii, around)) and all(map(str.isprintable, around))
    return character.isprintable() or character == "\n"


def one_line(text: str) -> str:
    """Printable text without line breaks and repeated spaces."""
    return printable(" ".join(text.split()))


def shorten(text: str, most: int) -> str:
    """One line of at most so many characters, the last of them an ellipsis where something is left out."""
    line = one_line(text)
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns aligned to the left, a line each."""
    lines = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join("  ".join(map(str.ljust, row, widths)).rstrip() + "\n" for row in lines)


def fitted(rows: Sequence[Sequence[str]], width: int) -> str:
    """Aligned rows whose last column goes on below itself; where that has little room, on lines of its own, and no heading."""
    lines = [[printable(cell) for cell in row] for row in rows]
    start = sum(max(map(len, column)) + 2 for column in list(zip(*lines, strict=True))[:-1])
    if width - start < LEAST:
        return "".join("  ".join(row[:-1]).rstrip() + "\n" + _wrapped(row[-1], width, 4) for row in lines[1:])
    heads = aligned([row[:-1] for row in lines]).splitlines()
    return "".join(head.ljust(start) + _wrapped(row[-1], width, start).lstrip() for head, row in zip(heads, lines, strict=True))


def broken(text: str, width: int) -> str:
    """Text whose lines go on below themselves. A word that is longer than a line, such as an address, stays whole."""
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    rest = line.lstrip(" ")
    indent = " " * (len(line) - len(rest))
    parts = textwrap.wrap(rest, max(width - len(indent), LEAST), break_long_words=False, break_on_hyphens=False)
    return "\n".join(indent + part for part in parts)


def _wrapped(text: str, width: int, indent: int) -> str:
    made = textwrap.fill(text, max(width, indent + 1), initial_indent=" " * indent, subsequent_indent=" " * indent)
    return f"{made}\n"


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
