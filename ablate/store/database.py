"""The store's file: what its tables are, and how it is opened without harm to what it is not.

A change of the tables counts `VERSION` up, and brings a function that turns the version before into it, in a transaction. A table
that stands beside them leaves it as it is, because no version looks at tables that it does not know: such a one is made when
something is first written to it (`keeping.py`).
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ablate.errors import StoreError
from ablate.writing import REMEDY

VERSION = 1
LARGEST = 200_000_000  # bytes of one value
BUSY_SECONDS = 30  # of waiting for another process to write, before that is an error, or is said again
SAY_SECONDS = 1  # of waiting, before it is said for the first time
LET_IT_GO_ON = "If it is stopped, let it go on."
DAMAGED = "It is damaged, and was not changed: put a copy in its place, or give another store with --store or ABLATE_STORE."
_SCHEMA = """
CREATE TABLE cells (
    key TEXT PRIMARY KEY, recipe TEXT NOT NULL, seed INTEGER NOT NULL, device TEXT NOT NULL, identity TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'done', 'failed', 'interrupted')),
    owner TEXT, attempt INTEGER NOT NULL, started REAL NOT NULL, finished REAL,
    metrics TEXT, weights_sha256 TEXT, parameters INTEGER, seconds REAL, error TEXT, log TEXT, provenance TEXT NOT NULL
) STRICT;
CREATE TABLE epochs (
    key TEXT NOT NULL REFERENCES cells (key) ON DELETE CASCADE, epoch INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (key, epoch)
) STRICT, WITHOUT ROWID;
CREATE TABLE studies (name TEXT PRIMARY KEY, spec TEXT NOT NULL, plan TEXT NOT NULL, updated REAL NOT NULL) STRICT;
CREATE TABLE study_cells (
    study TEXT NOT NULL REFERENCES studies (name) ON DELETE CASCADE,
    position INTEGER NOT NULL, variant TEXT NOT NULL, seed INTEGER NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (study, position)
) STRICT;
"""


def path_in(directory: Path) -> Path:
    """The file of the store in this directory."""
    return directory / "store.sqlite"


def connect(path: Path, read_only: bool = False) -> sqlite3.Connection:
    """Opens a store, or begins one where there is none. One on a place that cannot be written to can be read.

    Args:
        path: Its file.
        read_only: Whether it is only read where it can be written to, too.

    Raises:
        StoreError: It cannot be opened, made, or read by this version; what was there is as it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unchanged, readable = not writable(path), read_only or not writable(path)
        place = _unchanged(path) if unchanged else f"{path.resolve().as_uri()}?mode=ro" if read_only else path
        db = sqlite3.connect(place, isolation_level=None, timeout=BUSY_SECONDS, uri=readable)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{path}: cannot be opened as a store: {error}. {REMEDY}") from error
    try:
        _prepare(db, path, readable)
    except sqlite3.Error as error:
        db.close()
        remedy = REMEDY if isinstance(error, sqlite3.OperationalError) else DAMAGED
        raise StoreError(f"{path}: cannot be opened as a store: {error}. {remedy}") from error
    except StoreError:
        db.close()
        raise
    db.row_factory = sqlite3.Row
    return db


def writable(path: Path) -> bool:
    """Whether a store can be changed, as far as its place tells; one that is not there yet can be made."""
    return not path.is_file() or (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))


def _unchanged(path: Path) -> str:
    """The URI of a store that is only read. Where a log of writes lies beside it, its driver's notes of it have to be there too,
    or SQLite refuses; without one, nobody writes, and SQLite needs to be told so because it can make neither."""
    return f"{path.resolve().as_uri()}?mode=ro" + ("" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1")


def _prepare(db: sqlite3.Connection, path: Path, read_only: bool) -> None:
    new = _is_new(db, path)
    if not read_only:
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)
    if not new:
        return
    if read_only:  # by whoever was quicker than the run that makes it
        raise StoreError(f"{path}: nothing is stored in it yet. Run a study first, or wait for the one that begins.")
    db.execute("BEGIN IMMEDIATE")
    try:
        if _is_new(db, path):  # else another driver was quicker
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _is_new(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is still empty. Nothing may be written before this has found that it is a store, and whole."""
    damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise sqlite3.DatabaseError(damage)
    version = db.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if not {"cells", "studies"} <= tables and (tables or version):
        raise StoreError(f"{path}: belongs to another application. Give another place with --store or ABLATE_STORE.")
    if tables and version != VERSION:
        raise StoreError(
            f"{path}: the store has format {version}, and this version of ablate reads {VERSION}. "
            "Use the version of ablate that made it, or give another place with --store or ABLATE_STORE."
        )
    for kind, name in db.execute("SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"):
        raise StoreError(f"{path}: has a {kind}, {name!r}, which no store has. Do not use it, whoever it is from.")
    return not tables


def shrink(db: sqlite3.Connection) -> None:
    """Gives the room of removed rows back to the disk; where another process is at work, or there is no room for a copy, the file
    keeps its size, and new rows use the room."""
    if db.execute("PRAGMA freelist_count").fetchone()[0]:
        with suppress(sqlite3.OperationalError):
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def begin(db: sqlite3.Connection, path: Path, waiting: Callable[[str], None] | None) -> None:
    """Gets the right to write. SQLite's own waiting makes those who wait longest ask least often, and some for a minute.

    Args:
        db: The store.
        path: Its file.
        waiting: Told that it takes long; None for an error in that case.

    Raises:
        StoreError: Another process does not stop writing, and there is nobody to be told.
    """
    db.execute("PRAGMA busy_timeout = 0")
    begun = time.monotonic()
    next_word = begun + (SAY_SECONDS if waiting else BUSY_SECONDS)
    try:
        while not _begun(db):
            now = time.monotonic()
            if now > next_word:
                next_word = now + BUSY_SECONDS
                if waiting is None:
                    raise StoreError(f"{path}: another process writes to the store, and does not end. {LET_IT_GO_ON}")
                waiting(f"waiting for another process that writes to {path}. {LET_IT_GO_ON}")
            time.sleep(max(0.002, 0.02 / (1 + 10 * (now - begun))))
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_SECONDS)}")


def _begun(db: sqlite3.Connection) -> bool:
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        raise
    return True
