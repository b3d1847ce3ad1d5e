"""The run store: one SQLite file with every cell that was ever trained, and the studies that share them.

Several drivers may use one store at once. Each holds a lock file while it lives, and the cells that it trains carry its name; so
a cell is never trained twice, and those of a driver that was killed are free again at once. All statements that write are in
immediate transactions, and a commit is on disk before the next cell is taken.
"""

import hashlib
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

from filelock import FileLock

from ablate import names
from ablate.contracts import EPOCH_NUMBERS, Cell, Factor, Result, believed
from ablate.errors import StoreError, UsageError, did_you_mean
from ablate.spec.inputs import placeless
from ablate.study import Compare, Evaluated, Input, Stopping, Study, Tuning, VariantInfo
from ablate.writing import REMEDY

from . import database, following, locks
from .keeping import Access, Evaluations, Kept

Json = Any


def exists(directory: Path) -> bool:
    """Whether there is a store, and not only the empty file of a run that ended before it had begun one."""
    path = database.path_in(directory)
    return path.is_file() and path.stat().st_size > 0


class Store:
    """A store directory, opened; use it as a context manager.

    Args:
        directory: Where the store is, or is to be.
        create: Whether to make it where there is none.
        waiting: Called with a message while another process writes for very long, such as one that was stopped; unless given,
            that is an error.
        read_only: Whether it can only be read, by this one; others may write meanwhile.

    Raises:
        StoreError: It cannot be opened, made, or read by this version.
    """

    def __init__(
        self,
        directory: Path,
        create: bool = True,
        waiting: Callable[[str], None] | None = None,
        read_only: bool = False,
    ):
        self.directory, self._waiting = directory, waiting
        self.owner = f"{os.getpid()}@{socket.gethostname()}-{uuid.uuid4().hex}"
        self._lock: FileLock | None = None
        if not create and not exists(directory):
            raise StoreError(f"there is no store in {directory}. Give one with --store or ABLATE_STORE, or run a study first.")
        self._path = database.path_in(directory)
        self._db = database.connect(self._path, read_only)
        self.kept = Kept(directory, self._transaction, self._read)
        self.evaluations = Evaluations(self._transaction, self._read)
        self.access = Access(self._transaction, self._read, self._alive, lambda: database.shrink(self._db), _dump)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()
        if self._lock:
            locks.drop(self._lock)

    @property
    def writable(self) -> bool:
        """Whether it can be changed; one on a disk that is only read cannot."""
        return database.writable(self._path)

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def state_of(self, key: str) -> Path:
        """Where a training saves what it needs to go on."""
        return self.checkpoints / f"{key}.safetensors"

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, with the right to write from the start, so that two drivers wait and do not fail."""
        try:
            database.begin(self._db, self._path, self._tell_waiting if self._waiting else None)
            try:
                yield self._db
                self._db.execute("COMMIT")
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: the store cannot be written: {error}. What it has is kept. {REMEDY}") from error

    # Studies

    def save_study(self, name: str, spec: Json, plan: Mapping[str, Json], members: Sequence[tuple[str, int, str]]) -> str | None:
        """Stores a study's spec, its plan, and its cells as (variant, seed, key).

        Returns:
            What a study of this name with another spec and with results is called from now on; None where there was none.
        """
        with self._transaction() as db:
            earlier = self._keep_earlier(db, name, spec)
            db.execute("DELETE FROM studies WHERE name IN (?, ?)", (name, version(name, spec)))
            db.execute("INSERT INTO studies VALUES (?, ?, ?, ?)", (name, _dump(spec), _dump(plan), time.time()))
            rows = [(name, position, *member) for position, member in enumerate(members)]
            db.executemany("INSERT INTO study_cells VALUES (?, ?, ?, ?, ?)", rows)
        return earlier

    def _keep_earlier(self, db: sqlite3.Connection, name: str, spec: Json) -> str | None:
        """Gives the study of this name one that has the digest of its spec, which no spec can have as its name."""
        row = db.execute("SELECT spec FROM studies WHERE name = ?", (name,)).fetchone()
        if row is None or row["spec"] == _dump(spec) or not self.has_results(name):
            return None
        earlier = version(name, _load(row["spec"]))
        db.execute("DELETE FROM studies WHERE name = ?", (earlier,))
        db.execute("INSERT INTO studies SELECT ?, spec, plan, updated FROM studies WHERE name = ?", (earlier, name))
        db.execute("UPDATE study_cells SET study = ? WHERE study = ?", (earlier, name))
        return earlier

    def studies(self) -> list[str]:
        found = [row["name"] for row in self._read("SELECT name FROM studies ORDER BY name")]
        with self._decoding():
            names.checked(found)
        return found

    def study(self, name: str) -> Study:
        """A study with what is known of its cells.

        Raises:
            UsageError: The store has no study of this name.
        """
        rows = self._read("SELECT plan FROM studies WHERE name = ?", name)
        if not rows:
            raise UsageError(f"{self.directory} has no study {name!r}. {did_you_mean(name, self.studies())}".strip())
        with self._decoding():
            return self._study(name, rows)

    def _study(self, name: str, rows: Sequence[sqlite3.Row]) -> Study:
        plan = _load(rows[0]["plan"])
        names.checked([name, *names.of_plan(plan)])
        cells, epochs, provenance = self._frames(name, plan["metrics"])
        later = self._evaluated(name, cells)
        tuning = None
        if plan.get("tuning"):
            own = [frame["variant"].isin([variant["name"] for variant in plan["variants"]]) for frame in (cells, epochs)]
            tuning = Tuning.from_record(plan["tuning"], cells[~own[0]], epochs[~own[1]])
            cells, epochs = (frame[rows].reset_index(drop=True) for frame, rows in zip((cells, epochs), own, strict=True))
        return Study(
            name=name,
            question=plan["question"],
            compare=Compare(**{**plan["compare"], "blocks": tuple(plan["compare"].get("blocks", ()))}),
            variants=tuple(VariantInfo(v["name"], v["levels"], tuple(v["changes"])) for v in plan["variants"]),
            cells=cells,
            epochs=epochs,
            published=plan["published"],
            provenance=provenance,
            factors=tuple(Factor(f["name"], f["base"], tuple(f["others"])) for f in plan.get("factors", ())),
            design=plan.get("design"),
            stopping=Stopping(**plan["stopping"]) if plan.get("stopping") else None,
            tuning=tuning,
            notices=tuple(plan.get("notices", ())),
            reused=tuple(plan.get("reused", ())),
            split=plan.get("split"),
            evaluations=later,
            predictions=self.kept.predictions_of if self._is_of_images(name) else None,
            thumbnails=self.kept.thumbnails_of(name) if self._is_of_images(name) else None,
            inputs=tuple(Input(**one) for one in plan.get("inputs", ())),
        )

    def _is_of_images(self, study: str) -> bool:
        """Whether ablate's own trainer trains cells of a study: their recipes have no `use`."""
        query = """SELECT 1 FROM study_cells m JOIN cells c ON c.key = m.key
                   WHERE m.study = ? AND json_extract(c.recipe, '$.use') IS NULL LIMIT 1"""
        return bool(self._read(query, study))

    def _evaluated(self, name: str, cells: Any) -> tuple[Evaluated, ...]:
        """Adds to the cells a column for what was measured of them afterwards, and says what each of these columns is of."""
        found = self.evaluations.of_study(name)
        told: dict[str, Evaluated] = {}
        for cell, column, one in found:
            if column not in told:
                names.checked([column])
                cells[column] = float("nan")
                told[column] = Evaluated(column, one.images, one.about)
            cells.loc[cells["key"] == cell, column] = float("nan") if one.value is None else one.value
        return tuple(told.values())

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
        places = [_load(row["provenance"]) for row in rows]
        cells["evaluated_images"] = [float(place.pop("evaluated_images", None) or "nan") for place in places]
        records = self._read(
            """SELECT m.variant, m.seed, e.record FROM study_cells m JOIN epochs e ON e.key = m.key
               WHERE m.study = ? ORDER BY m.position, e.epoch""",
            name,
        )
        by_cell: dict[tuple[str, int], list[Json]] = {(row["variant"], row["seed"]): [] for row in rows}
        for r in records:
            by_cell[r["variant"], r["seed"]].append(_load(r["record"]))
        names.checked([*(row["variant"] for row in rows), *(key for own in by_cell.values() for record in own for key in record)])
        told = [believed(by_cell[row["variant"], row["seed"]], _load(row["metrics"])) for row in rows]
        for metric in metrics:
            values = [found.get(metric) for _, found in told]
            cells[metric] = pd.array(values, dtype="Float64").to_numpy("float64", na_value=float("nan"))
        epochs = pd.DataFrame(
            [{"variant": r["variant"], "seed": r["seed"], **e} for r, (own, _) in zip(rows, told, strict=True) for e in own]
        )
        for column in ("variant", "seed", *EPOCH_NUMBERS, *metrics):  # trainers tell what they have
            if column not in epochs:
                epochs[column] = float("nan") if len(epochs) else None
        distinct = dict.fromkeys(_dump(place) for place, row in zip(places, rows, strict=True) if row["status"] == "done")
        return cells, epochs, tuple(_load(text) for text in distinct)

    def _status(self, row: sqlite3.Row) -> str:
        if row["status"] == "running" and not self._alive(row["owner"]):
            return "interrupted"
        return row["status"] or "missing"

    # Cells

    def stored(self, keys: Sequence[str]) -> set[str]:
        """Which of these cells are done."""
        query = "SELECT key FROM cells WHERE status = 'done' AND key IN (SELECT value FROM json_each(?))"
        return {row["key"] for row in self._read(query, json.dumps(list(keys)))}

    def ended(self, keys: Sequence[str]) -> dict[str, Result | None]:
        """What became of those of these cells that have ended: their results, and None for those that failed."""
        found: dict[str, Result | None] = {}
        for key in dict.fromkeys(keys):
            for row in self._read("SELECT * FROM cells WHERE key = ? AND status IN ('done', 'failed')", key):
                epochs = self._read("SELECT record FROM epochs WHERE key = ? ORDER BY epoch", key)
                found[key] = self._result(row, epochs) if row["status"] == "done" else None
        return found

    def _result(self, row: sqlite3.Row, epochs: Sequence[sqlite3.Row]) -> Result:
        with self._decoding():
            records, metrics = believed([_load(epoch["record"]) for epoch in epochs], _load(row["metrics"]))
            images = _load(row["provenance"]).get("evaluated_images")
            return Result(records, metrics, row["weights_sha256"], row["seconds"], row["parameters"], evaluated_images=images)

    def shorter(self, cell: Cell) -> list[tuple[int, str]]:
        """The finished cells that differ from this one in nothing but that they have fewer epochs: these, and their keys."""
        rows = self._read(
            "SELECT key, recipe, identity FROM cells WHERE status = 'done' AND seed = ? AND device = ?", cell.seed, cell.device
        )
        found, other = [], {**placeless(cell.recipe), "epochs": None}
        with self._decoding():
            for row in rows:
                recipe = _load(row["recipe"])
                same = {**recipe, "epochs": None} == other and _load(row["identity"]) == cell.identity
                if same and recipe.get("epochs", 0) < cell.recipe.get("epochs", 0):
                    found.append((int(recipe["epochs"]), str(row["key"])))
        return sorted(found)

    def seconds_of(self, recipe: Json) -> list[tuple[float, dict[str, Json]]]:
        """How long each finished cell of a recipe took, whatever its seed, and its provenance."""
        rows = self._read("SELECT seconds, provenance FROM cells WHERE status = 'done' AND recipe = ?", _dump(placeless(recipe)))
        with self._decoding():
            return [(row["seconds"], _load(row["provenance"])) for row in rows]

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
                    _dump(placeless(cell.recipe)),
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
        told = (result.machine or {}) | {"evaluated_images": result.evaluated_images}  # the driver's machine was noted before
        with self._transaction() as db:
            cursor = db.execute(
                """UPDATE cells SET status = 'done', owner = NULL, finished = ?, metrics = ?, weights_sha256 = ?, parameters = ?,
                       seconds = ?, provenance = json_patch(provenance, ?)
                   WHERE key = ? AND owner = ? AND status = 'running'""",
                (
                    time.time(),
                    _dump(result.metrics),
                    result.weights_sha256,
                    result.parameters,
                    result.seconds,
                    _dump({name: value for name, value in told.items() if value is not None}),
                    key,
                    self.owner,
                ),
            )
            if cursor.rowcount:
                db.execute("DELETE FROM epochs WHERE key = ?", (key,))
                rows = [(key, record["epoch"], _dump(record)) for record in result.epochs]
                db.executemany("INSERT INTO epochs VALUES (?, ?, ?)", rows)
                self.kept.add(db, key, result)
                self.kept.add_predictions(key, result)
            return bool(cursor.rowcount)

    def fail(self, key: str, status: str, error: str | None, log: str | None) -> None:
        """Records that a cell of this driver failed, or was interrupted."""
        with self._transaction() as db:
            db.execute(
                """UPDATE cells SET status = ?, owner = NULL, finished = ?, error = ?, log = ?
                   WHERE key = ? AND owner = ? AND status = 'running'""",
                (status, time.time(), error and storable(error), log and storable(log), key, self.owner),
            )

    def holders(self, keys: Sequence[str]) -> list[str]:
        """The other drivers that train some of these cells now, as `process PROCESS@HOST (2 cells, since …)`."""
        rows = [row for key in keys for row in self._read("SELECT * FROM cells WHERE key = ? AND status = 'running'", key)]
        held: dict[str, list[float]] = {}
        for row in rows:
            if row["owner"] != self.owner and (row["owner"] in held or self._alive(row["owner"])):
                held.setdefault(row["owner"], []).append(row["started"])
        return [
            f"process {owner.rpartition('-')[0]} ({len(begun)} cell{'s' * (len(begun) > 1)}, since {_moment(min(begun))})"
            for owner, begun in sorted(held.items())
        ]

    def _tell_waiting(self, message: str) -> None:
        owners = sorted(path.stem for path in (self.directory / "drivers").glob("*.lock"))
        others = [owner.rpartition("-")[0] for owner in owners if owner != self.owner and self._alive(owner)]
        at_work = f" At work on this store: process {', '.join(others)}." if others else ""
        if self._waiting:
            self._waiting(f"{message}{at_work}")

    def running(self) -> set[str]:
        """The keys of all cells that some driver trains, or trained when it was killed."""
        return {row["key"] for row in self._read("SELECT key FROM cells WHERE status = 'running'")}

    def now(self, study: str) -> following.Now:
        """How far a study is, told in a moment; it is empty where the store has no such study."""
        with self._decoding():
            return following.now(self._read, self._status, study)

    def change(self) -> int:
        """A number that is another one when another process has written."""
        return int(self._read("PRAGMA data_version")[0][0])

    def latest(self) -> str | None:
        """The study that was planned last, as one that is run again is; None where there is none."""
        rows = self._read("SELECT name FROM studies ORDER BY updated DESC, name LIMIT 1")
        with self._decoding():
            names.checked(row["name"] for row in rows)
        return rows[0]["name"] if rows else None

    def has_results(self, study: str) -> bool:
        """Whether a cell of a study is done."""
        query = "SELECT 1 FROM study_cells m JOIN cells c ON c.key = m.key WHERE m.study = ? AND c.status = 'done' LIMIT 1"
        return bool(self._read(query, study))

    def spec(self, study: str) -> Json:
        """The spec of a study that the store has."""
        with self._decoding():
            return _load(self._read("SELECT spec FROM studies WHERE name = ?", study)[0]["spec"])

    def cells(self, prefix: str) -> list[dict[str, Json]]:
        """The first few cells, by key, whose keys begin so, with all that is known of them but epochs and logs."""
        rows = self._read(
            """SELECT key, recipe, seed, device, identity, status, metrics, seconds, parameters, weights_sha256, provenance
               FROM cells WHERE substr(key, 1, length(?)) = ? ORDER BY key LIMIT 4""",
            prefix,
            prefix,
        )
        parsed = ("recipe", "identity", "metrics", "provenance")
        with self._decoding():
            return [{**dict(row), **{name: _load(row[name]) for name in parsed}} for row in rows]

    def logs(self, key: str) -> tuple[str | None, str | None]:
        """Error and log of a cell that failed."""
        rows = self._read("SELECT error, log FROM cells WHERE key = ?", key)
        return (rows[0]["error"], rows[0]["log"]) if rows else (None, None)

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        try:
            yield
        except (LookupError, TypeError, AttributeError, ValueError, RecursionError) as error:
            problem = f"a record is not what ablate writes: {type(error).__name__}: {error}"
            raise StoreError(f"{self._path}: the store cannot be read: {problem}. {database.DAMAGED}") from error

    def _read(self, query: str, *arguments: Any) -> list[sqlite3.Row]:
        try:
            return self._db.execute(query, arguments).fetchall()
        except sqlite3.Error as error:
            raise StoreError(f"{self._path}: the store cannot be read: {error}. {database.DAMAGED}") from error

    # Drivers

    def _lock_file(self, owner: str) -> Path:
        return self.directory / "drivers" / f"{owner}.lock"

    def _hold_lock(self) -> None:
        """The operating system drops the lock with the process, however it ends."""
        if self._lock is None:
            try:
                (self.directory / "drivers").mkdir(exist_ok=True)
                self._lock = locks.hold(self._lock_file(self.owner))
            except OSError as error:
                raise self._lock_error(error) from error

    def _alive(self, owner: str | None) -> bool:
        """Whether the driver of this name still runs."""
        if owner is None or owner == self.owner:
            return owner is not None
        try:
            return locks.is_held(self._lock_file(owner))
        except OSError as error:
            raise self._lock_error(error) from error

    def _lock_error(self, error: Exception) -> StoreError:
        return StoreError(f"{self.directory / 'drivers'}: the store cannot be locked: {error}. {REMEDY}")


def version(name: str, spec: Json) -> str:
    """What a study is called when another spec has taken its name: `NAME@DIGEST`."""
    return f"{name}@{hashlib.sha256(_dump(spec).encode()).hexdigest()[:8]}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _load(text: str | None) -> Json:
    return json.loads(text or "{}")


def _dump(value: Json) -> str:
    return storable(json.dumps(value, ensure_ascii=False, allow_nan=False))


def storable(text: str) -> str:
    """Text that UTF-8 can have: a lone surrogate is written as an escape, which JSON reads as what it was."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
