"""Text without styles; it imports nothing, so that listing is fast."""

from collections.abc import Sequence


def printable(text: str) -> str:
    """Text without control characters, so that no name can move the cursor or set the title of the window."""
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)


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


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
