"""A store's rows, read and written: what SQLite or a damaged record says becomes an error in words."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ablate.contracts import Json
from ablate.errors import StoreError
from ablate.writing import REMEDY, storable

from . import database


class Access:
    """A store's file, opened.

    Args:
        path: The file.
        read_only: Whether it is only read where it can be written to, too.
        waiting: Called with a message while another process writes for very long; None for an error in that case.

    Raises:
        StoreError: It cannot be opened, made, or read by this version.
    """

    def __init__(self, path: Path, read_only: bool = False, waiting: Callable[[str], None] | None = None):
        self.path, self._waiting = path, waiting
        self._db = database.connect(path, read_only)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, with the right to write from the start, so that two drivers wait and do not fail."""
        try:
            database.begin(self._db, self.path, self._waiting)
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: the store cannot be written: {error}. What it has is kept. {REMEDY}") from error

    def read(self, query: str, *arguments: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        try:
            return self._db.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: the store cannot be read: {error}. {database.DAMAGED}") from error

    def has(self, table: str) -> bool:
        """Whether there is a table of this name, which is made when something is first written to it."""
        return bool(self.read("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Where rows are made records of."""
        try:
            yield
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
            problem = f"a record is not what ablate writes: {type(error).__name__}: {error}"
            raise StoreError(f"{self.path}: the store cannot be read: {problem}. {database.DAMAGED}") from error

    def shrink(self) -> None:
        """Gives the room of removed rows back to the disk."""
        database.shrink(self._db)


def load(text: str | None) -> Json:
    """JSON as the store has it."""
    return json.loads(text or "{}")


def dump(value: Json) -> str:
    """JSON as the store has it."""
    return storable(json.dumps(value, ensure_ascii=False, allow_nan=False))
