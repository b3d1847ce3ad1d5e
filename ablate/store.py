"""The run store: one SQLite file with every cell that was ever trained, and the studies that share them.

Several drivers may use one store at once. Each holds a lock file while it lives, and the cells that it trains carry its name; so
a cell is never trained twice, and those of a driver that was killed are free again at once. All statements that write are in
immediate transactions, and a commit is on disk before the next cell is taken.
"""

import json
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .errors import StoreError, UsageError, did_you_mean
from .records import Cell, Factor, Result
from .study import Compare, Stopping, Study, VariantInfo

Json = Any
VERSION = 1
BUSY_SECONDS = 30  # of waiting for another process to write, before something is said
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


class Store:
    """A store directory, opened; use it as a context manager.

    Args:
        directory: Where the store is, or is to be.
        create: Whether to make it where there is none.
        waiting: Called with a message while another process writes for very long, such as one that was stopped; unless given,
            that is an error.

    Raises:
        StoreError: It cannot be opened, made, or read by this version.
    """

    def __init__(self, directory: Path, create: bool = True, waiting: Callable[[str], None] | None = None):
        self.directory, self._waiting = directory, waiting
        self.owner = f"{os.getpid()}@{socket.gethostname()}-{uuid.uuid4().hex}"
        self._lock: FileLock | None = None
        path = directory / "store.sqlite"
        if not create and not path.is_file():
            raise StoreError(f"there is no store in {directory}. Give one with --store or ABLATE_STORE, or run a study first.")
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
            self._db.row_factory = sqlite3.Row
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: cannot be opened as a store: {error}") from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA foreign_keys = ON")
        if self._version() == 0:
            with self._transaction():
                if self._version() == 0:  # no other process has made it meanwhile
                    for statement in _SCHEMA.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version = {VERSION}")
        if (version := self._version()) != VERSION:
            raise StoreError(
                f"{self.directory}: the store has format {version}, and this version of ablate reads {VERSION}. "
                "Use the version of ablate that made it, or another store."
            )

    def _version(self) -> int:
        version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        return version

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        if self._lock:
            self._lock.release()
            Path(self._lock.lock_file).unlink(missing_ok=True)

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, with the right to write from the start, so that two drivers wait and do not fail."""
        try:
            self._begin()
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.directory}: the store cannot be written: {error}. What it has is kept; "
                "make room or repair the place, and run the same command again."
            ) from error

    def _begin(self) -> None:
        """Gets the right to write. SQLite's own waiting makes those who wait longest ask least often, and some for a minute."""
        self._db.execute("PRAGMA busy_timeout = 0")
        begun = said = time.monotonic()
        try:
            while not self._begun():
                now = time.monotonic()
                if now - said > BUSY_SECONDS:
                    said = now
                    self._say_that_it_waits()
                time.sleep(max(0.002, 0.02 / (1 + 10 * (now - begun))))
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_SECONDS)}")

    def _begun(self) -> bool:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return False
            raise
        return True

    def _say_that_it_waits(self) -> None:
        if self._waiting is None:
            raise StoreError(
                f"{self.directory}: another process writes to the store and does not end; if it is stopped, let it go on."
            )
        self._waiting(f"waiting for another process that writes to {self.directory}; if it is stopped, let it go on")

    # Studies

    def save_study(self, name: str, spec: Json, plan: Mapping[str, Json], members: Sequence[tuple[str, int, str]]) -> None:
        """Stores a study's spec, its plan, and its cells as (variant, seed, key); an older study of this name is replaced."""
        with self._transaction() as db:
            db.execute("DELETE FROM studies WHERE name = ?", (name,))
            db.execute("INSERT INTO studies VALUES (?, ?, ?, ?)", (name, _dump(spec), _dump(plan), time.time()))
            rows = [(name, position, *member) for position, member in enumerate(members)]
            db.executemany("INSERT INTO study_cells VALUES (?, ?, ?, ?, ?)", rows)

    def studies(self) -> list[str]:
        return [row["name"] for row in self._read("SELECT name FROM studies ORDER BY name")]

    def study(self, name: str) -> Study:
        """A study with what is known of its cells.

        Raises:
            UsageError: The store has no study of this name.
        """
        rows = self._read("SELECT plan FROM studies WHERE name = ?", name)
        if not rows:
            raise UsageError(f"{self.directory} has no study {name!r}. {did_you_mean(name, self.studies())}".strip())
        plan = json.loads(rows[0]["plan"])
        cells, epochs, provenance = self._frames(name, plan["metrics"])
        return Study(
            name=name,
            question=plan["question"],
            compare=Compare(**plan["compare"]),
            variants=tuple(VariantInfo(v["name"], v["levels"], tuple(v["changes"])) for v in plan["variants"]),
            cells=cells,
            epochs=epochs,
            published=plan["published"],
            provenance=provenance,
            factors=tuple(Factor(f["name"], f["base"], tuple(f["others"])) for f in plan.get("factors", ())),
            design=plan.get("design"),
            stopping=Stopping(**plan["stopping"]) if plan.get("stopping") else None,
        )

    def _frames(self, name: str, metrics: Sequence[str]) -> tuple[Any, Any, tuple[dict[str, Json], ...]]:
        import pandas as pd

        rows = self._read(
            """SELECT m.variant, m.seed, m.key, c.status, c.owner, c.error, c.seconds, c.parameters, c.weights_sha256, c.metrics,
                      c.provenance
               FROM study_cells m LEFT JOIN cells c ON c.key = m.key WHERE m.study = ? ORDER BY m.position""",
            name,
        )
        columns = ["variant", "seed", "key", "status", "error", "seconds", "parameters", "weights_sha256"]
        cells = pd.DataFrame([{**{c: row[c] for c in columns}, "status": self._status(row)} for row in rows], columns=columns)
        for metric in metrics:
            values = [(json.loads(row["metrics"]) if row["metrics"] else {}).get(metric) for row in rows]
            cells[metric] = pd.array(values, dtype="Float64").to_numpy("float64", na_value=float("nan"))
        records = self._read(
            """SELECT m.variant, m.seed, e.record FROM study_cells m JOIN epochs e ON e.key = m.key
               WHERE m.study = ? ORDER BY m.position, e.epoch""",
            name,
        )
        epochs = pd.DataFrame([{"variant": r["variant"], "seed": r["seed"], **json.loads(r["record"])} for r in records])
        if epochs.empty:
            epochs = pd.DataFrame(
                columns=["variant", "seed", "epoch", "train_loss", "lr", "seconds", "images_per_second", *metrics]
            )
        distinct = dict.fromkeys(row["provenance"] for row in rows if row["status"] == "done")
        return cells, epochs, tuple(json.loads(text) for text in distinct)

    def _status(self, row: sqlite3.Row) -> str:
        if row["status"] == "running" and not self._alive(row["owner"]):
            return "interrupted"
        return row["status"] or "missing"

    # Cells

    def stored(self, keys: Sequence[str]) -> set[str]:
        """Which of these cells are done."""
        return {key for key in dict.fromkeys(keys) if self._read("SELECT 1 FROM cells WHERE key = ? AND status = 'done'", key)}

    def claim(self, cell: Cell, provenance: Mapping[str, Json]) -> str:
        """Takes a cell for training.

        Returns:
            `claimed`; or `done` or `held` where it is done already, or another living driver trains it.
        """
        self._hold_lock()
        with self._transaction() as db:
            row = db.execute("SELECT status, owner, attempt FROM cells WHERE key = ?", (cell.key,)).fetchone()
            if row and row["status"] == "done":
                return "done"
            if row and row["status"] == "running" and self._alive(row["owner"]):
                return "held"
            attempt = row["attempt"] + 1 if row else 1
            db.execute(
                """INSERT INTO cells (key, recipe, seed, device, identity, status, owner, attempt, started, provenance)
                   VALUES (?, ?, ?, ?, ?, 'running', ?, ?, ?, ?)
                   ON CONFLICT (key) DO UPDATE SET status = 'running', owner = excluded.owner, attempt = excluded.attempt,
                       started = excluded.started, error = NULL, log = NULL, provenance = excluded.provenance""",
                (
                    cell.key,
                    _dump(cell.recipe),
                    cell.seed,
                    cell.device,
                    _dump(cell.identity),
                    self.owner,
                    attempt,
                    time.time(),
                    _dump(provenance),
                ),
            )
        return "claimed"

    def record_epoch(self, key: str, record: Mapping[str, Json]) -> None:
        with self._transaction() as db:
            db.execute(
                """INSERT OR REPLACE INTO epochs SELECT ?, ?, ?
                   WHERE EXISTS (SELECT 1 FROM cells WHERE key = ? AND owner = ? AND status = 'running')""",
                (key, record["epoch"], _dump(record), key, self.owner),
            )

    def finish(self, key: str, result: Result) -> bool:
        """Records a result; False where the cell is not this driver's any more, and nothing was recorded."""
        with self._transaction() as db:
            cursor = db.execute(
                """UPDATE cells SET status = 'done', owner = NULL, finished = ?, metrics = ?, weights_sha256 = ?, parameters = ?,
                       seconds = ? WHERE key = ? AND owner = ? AND status = 'running'""",
                (
                    time.time(),
                    _dump(result.metrics),
                    result.weights_sha256,
                    result.parameters,
                    result.seconds,
                    key,
                    self.owner,
                ),
            )
            if cursor.rowcount:
                db.execute("DELETE FROM epochs WHERE key = ?", (key,))
                rows = [(key, record["epoch"], _dump(record)) for record in result.epochs]
                db.executemany("INSERT INTO epochs VALUES (?, ?, ?)", rows)
            return bool(cursor.rowcount)

    def fail(self, key: str, status: str, error: str | None, log: str | None) -> None:
        """Records that a cell of this driver failed, or was interrupted."""
        with self._transaction() as db:
            db.execute(
                """UPDATE cells SET status = ?, owner = NULL, finished = ?, error = ?, log = ?
                   WHERE key = ? AND owner = ? AND status = 'running'""",
                (status, time.time(), _text(error), _text(log), key, self.owner),
            )

    def holders(self, keys: Sequence[str]) -> list[str]:
        """The other drivers that train some of these cells, as `PROCESS@HOST`."""
        rows = [row for key in keys for row in self._read("SELECT owner FROM cells WHERE key = ? AND status = 'running'", key)]
        return sorted({row["owner"].rpartition("-")[0] for row in rows if row["owner"] != self.owner})

    def spec(self, study: str) -> Json:
        """The spec of a study that the store has."""
        return json.loads(self._read("SELECT spec FROM studies WHERE name = ?", study)[0]["spec"])

    def cells(self, prefix: str) -> list[dict[str, Json]]:
        """The first few cells, by key, whose keys begin so, with all that is known of them but epochs and logs."""
        rows = self._read(
            """SELECT key, recipe, seed, device, identity, status, metrics, seconds, parameters, weights_sha256, provenance
               FROM cells WHERE substr(key, 1, length(?)) = ? ORDER BY key LIMIT 4""",
            prefix,
            prefix,
        )
        parsed = ("recipe", "identity", "metrics", "provenance")
        return [{**dict(row), **{name: json.loads(row[name] or "{}") for name in parsed}} for row in rows]

    def logs(self, key: str) -> tuple[str | None, str | None]:
        """Error and log of a cell that failed."""
        rows = self._read("SELECT error, log FROM cells WHERE key = ?", key)
        return (rows[0]["error"], rows[0]["log"]) if rows else (None, None)

    def _read(self, query: str, *arguments: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self.directory}: the store cannot be read: {error}") from error

    # Drivers

    def _lock_of(self, owner: str) -> FileLock:
        return FileLock(self.directory / "drivers" / f"{owner}.lock")

    def _hold_lock(self) -> None:
        """The operating system drops the lock with the process, however it ends."""
        if self._lock is None:
            try:
                (self.directory / "drivers").mkdir(exist_ok=True)
                self._lock = self._lock_of(self.owner)
                self._lock.acquire()
                if type(self._lock) is not FileLock:  # it has become one that outlives its process
                    raise NotImplementedError("the file system has no locks")
            except (OSError, NotImplementedError) as error:
                raise StoreError(f"{self.directory}: the store cannot be locked: {error}. Put it on a local disk.") from error

    def _alive(self, owner: str | None) -> bool:
        """Whether the driver of this name still runs."""
        if owner is None or owner == self.owner:
            return owner is not None
        lock = self._lock_of(owner)
        if not Path(lock.lock_file).exists():
            return False
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True


def _text(value: str | None) -> str | None:
    """Text that UTF-8 can have: messages of components may hold lone surrogates."""
    return value and value.encode("utf-8", "backslashreplace").decode("utf-8")


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
