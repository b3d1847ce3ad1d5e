"""What a store has, how large it is, and the removal of what nobody needs: of a study, or of cells that no study names.

Cells belong to all studies that name them. Those that a living driver trains are never touched. Files are found by listing the
store's own folders, never by a name that the database has.
"""

import shutil
import sqlite3
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import DiskProblem, UsageError, did_you_mean
from ablate.writing import REMEDY

from . import database
from .store import Store

FOLDERS = ("weights", "predictions", "checkpoints")  # of files that belong to a cell each
OLD_SECONDS = 86_400  # after which a half-written file, or the checkpoint of a finished cell, is nobody's work any more
_ROWS = """SELECT c.key, c.status, c.owner, length(c.recipe) + length(c.identity) + length(c.provenance) + 300
               + ifnull(length(c.metrics), 0) + ifnull(length(c.log), 0) + ifnull(length(c.error), 0)
               + ifnull((SELECT sum(length(e.record) + 80) FROM epochs e WHERE e.key = c.key), 0) AS bytes
           FROM cells c"""


@dataclass(frozen=True)
class Listed:
    """A study of a store.

    Attributes:
        name: Its name.
        cells: How many different cells it names.
        done: How many of these are finished.
        shared: How many of these another study names, too.
        bytes: Of its cells: their rows, about, and their files.
        updated: When it was last run, in seconds since 1970.
    """

    name: str
    cells: int
    done: int
    shared: int
    bytes: int
    updated: float


@dataclass(frozen=True)
class Amount:
    """A number of things and their size in bytes."""

    count: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Size:
    """How large a store is.

    Attributes:
        database: Of its file, with the log of writes beside it; the count is that of the cells.
        files: By folder: `weights`, `predictions`, `checkpoints`, `reports`.
        unnamed: What `gc` would remove.
    """

    database: Amount
    files: dict[str, Amount]
    unnamed: "Removed"

    @property
    def bytes(self) -> int:
        return self.database.bytes + sum(amount.bytes for amount in self.files.values())


@dataclass(frozen=True)
class Removed:
    """What was removed, or would be.

    Attributes:
        cells: Rows in the database, with an estimate of their size.
        done: How many of these were finished.
        files: By folder.
        shared: Cells that stay because other studies name them.
        running: Cells that stay because a living driver trains them.
    """

    cells: Amount
    done: int
    files: dict[str, Amount]
    shared: int = 0
    running: int = 0

    @property
    def bytes(self) -> int:
        return self.cells.bytes + sum(amount.bytes for amount in self.files.values())

    @property
    def nothing(self) -> bool:
        return not self.cells.count and not any(amount.count for amount in self.files.values())


@dataclass(frozen=True)
class _File:
    """A file or folder of a cell."""

    path: Path
    folder: str
    key: str
    bytes: int
    whole: bool  # not one that is being written, or was when its process was killed
    changed: float  # seconds since 1970


def listed(store: Store) -> list[Listed]:
    """The studies of a store, by name."""
    bytes_of = {row["key"]: row["bytes"] for row in store.access.read(_ROWS)}
    for file in _files(store.directory):
        if file.key in bytes_of:
            bytes_of[file.key] += file.bytes
    done = {row["key"] for row in store.access.read("SELECT key FROM cells WHERE status = 'done'")}
    keys: dict[str, set[str]] = {name: set() for name in store.studies()}
    for row in store.access.read("SELECT DISTINCT study, key FROM study_cells"):
        keys[row["study"]].add(row["key"])
    owners: dict[str, int] = {}
    for key in (key for own in keys.values() for key in own):
        owners[key] = owners.get(key, 0) + 1
    updated = {row["name"]: row["updated"] for row in store.access.read("SELECT name, updated FROM studies")}
    return [
        Listed(
            name,
            len(own),
            len(own & done),
            sum(owners[key] > 1 for key in own),
            sum(bytes_of.get(key, 0) for key in own),
            updated[name],
        )
        for name, own in keys.items()
    ]


def size(store: Store) -> Size:
    """How large a store is, and how much of it no study names."""
    path = database.path_in(store.directory)
    beside = (path, *(path.with_name(f"{path.name}-{name}") for name in ("wal", "shm")))
    cells = store.access.read("SELECT count(*) AS n FROM cells")[0]["n"]
    files = _amounts(_files(store.directory))
    reports = [path for path in (store.directory / "reports").rglob("*") if path.is_file()]
    files["reports"] = Amount(len(reports), sum(map(_bytes, reports)))
    return Size(Amount(cells, sum(map(_bytes, beside))), files, collect(store, dry_run=True))


def remove(store: Store, study: str, dry_run: bool = False) -> Removed:
    """Removes a study, and those of its cells that no other study names.

    Raises:
        UsageError: There is no such study, or a living driver trains cells of it.
        StoreError: The store cannot be written.
    """
    if study not in store.studies():
        raise UsageError(f"{store.directory} has no study {study!r}. {did_you_mean(study, store.studies())}".strip())
    with nullcontext() if dry_run else store.access.transaction() as db:
        query = "SELECT key, max(study != ?) AS other FROM study_cells GROUP BY key HAVING min(study != ?) = 0"
        named = {row["key"]: bool(row["other"]) for row in store.access.read(query, study, study)}
        own = {key for key, other in named.items() if not other}
        going, running = _going(store, own)
        if running:
            raise UsageError(f"study {study!r} runs now: {'; '.join(store.holders(sorted(running)))}. End that run first.")
        files = [file for file in _files(store.directory) if file.key in going]
        if db is not None:
            db.execute("DELETE FROM studies WHERE name = ?", (study,))  # what names its cells goes with it
            _delete(db, going, files)
    if not dry_run:
        store.access.shrink()
    return _removed(going.values(), files, shared=len(named) - len(own))


def collect(store: Store, dry_run: bool = False) -> Removed:
    """Removes the cells that no study names, with what belongs to them, and what killed runs left half-written.

    Raises:
        StoreError: The store cannot be written.
    """
    with nullcontext() if dry_run else store.access.transaction() as db:
        files = list(_files(store.directory))  # before the rows are looked at: every file's cell has a row before it has a file
        status = {row["key"]: row["status"] for row in store.access.read("SELECT key, status FROM cells")}
        named = {row["key"] for row in store.access.read("SELECT key FROM study_cells")}
        going, running = _going(store, status.keys() - named)
        old = time.time() - OLD_SECONDS

        def is_left(file: _File) -> bool:
            """Whether nobody needs it: of a cell that goes, or is not there, or left by what wrote it."""
            if file.key in running:
                return False
            if file.key in going or file.key not in status:
                return True
            over = not file.whole or (file.folder == "checkpoints" and status[file.key] == "done")
            return over and file.changed < old

        files = [file for file in files if is_left(file)]
        if db is not None:
            _delete(db, going, files)
    if not dry_run:
        store.access.shrink()
    return _removed(going.values(), files, running=len(running))


def _going(store: Store, keys: Collection[str]) -> tuple[dict[str, sqlite3.Row], set[str]]:
    """The rows of those of these cells that no living driver trains, and the keys of those that one does."""
    rows = {row["key"]: row for row in store.access.read(_ROWS) if row["key"] in keys}
    running = {key for key, row in rows.items() if row["status"] == "running" and store.drivers.alive(row["owner"])}
    return {key: row for key, row in rows.items() if key not in running}, running


def _delete(db: sqlite3.Connection, keys: Iterable[str], files: Iterable[_File]) -> None:
    """Deletes rows, and files while nobody else can take their cells.

    Raises:
        DiskProblem: A file cannot be deleted.
    """
    db.executemany("DELETE FROM cells WHERE key = ?", [(key,) for key in keys])  # and the rows that belong to it
    for file in files:
        try:
            if file.path.is_dir() and not file.path.is_symlink():
                shutil.rmtree(file.path)
            else:
                file.path.unlink(missing_ok=True)
        except OSError as error:
            raise DiskProblem(f"{file.path}: cannot be removed: {error}. {REMEDY}") from error


def _removed(rows: Collection[sqlite3.Row], files: Iterable[_File], shared: int = 0, running: int = 0) -> Removed:
    done = sum(row["status"] == "done" for row in rows)
    return Removed(Amount(len(rows), sum(row["bytes"] for row in rows)), done, _amounts(files), shared, running)


def _files(directory: Path) -> Iterator[_File]:
    """What lies in the folders of a store that have a file, or a folder, for each cell."""
    for folder in FOLDERS:
        for path in sorted((directory / folder).glob("*")):
            key = path.name.removeprefix(".").partition(".")[0]
            inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
            with suppress(FileNotFoundError):  # finished in between
                changed = path.lstat().st_mtime
                yield _File(path, folder, key, sum(map(_bytes, (path, *inside))), path.name[0] != ".", changed)


def _bytes(path: Path) -> int:
    """Of a file itself; of a link not what it leads to, and of a folder nothing."""
    try:
        about = path.lstat()
    except FileNotFoundError:
        return 0
    return 0 if stat.S_ISDIR(about.st_mode) else about.st_size


def _amounts(files: Iterable[_File]) -> dict[str, Amount]:
    found = dict.fromkeys(FOLDERS, Amount())
    for file in files:
        before = found[file.folder]
        found[file.folder] = Amount(before.count + 1, before.bytes + file.bytes)
    return found
