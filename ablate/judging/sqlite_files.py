"""SQLite files that trackers write, which are opened for reading only."""

import sqlite3
from contextlib import closing
from pathlib import Path

HEADER = b"SQLite format 3"


def is_sqlite(path: Path) -> bool:
    """Whether a file begins as one of SQLite does."""
    with path.open("rb") as file:
        return file.read(len(HEADER)) == HEADER


def opened(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def tables(path: Path) -> set[str]:
    """The names of a file's tables; none of one that is damaged."""
    try:
        with closing(opened(path)) as db:
            return {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:
        return set()
