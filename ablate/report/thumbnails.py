"""Small pictures in a report, as data of the page."""

import base64
from dataclasses import dataclass
from pathlib import Path

SIDE = 64  # pixels, the most
LARGEST = 30_000  # bytes
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Thumbnail:
    """A picture that a page shows where its file is there.

    Attributes:
        file: A PNG.
        label: What it is of.
        lines: What is said of it.
    """

    file: Path
    label: str
    lines: tuple[str, ...]


def address(thumbnail: Thumbnail) -> str | None:
    """The picture as an address that has it whole; None where there is none, or what there is is no small PNG."""
    try:
        with thumbnail.file.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError:
        return None
    if not data.startswith(PNG) or len(data) > LARGEST:
        return None
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
