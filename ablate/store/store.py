"""The run store: one SQLite file with every cell that was ever trained, and the studies that share them.

Several drivers may use one store at once. Each holds a lock file while it lives, and the cells that it trains carry its name; so
a cell is never trained twice, and those of a driver that was killed are free again at once. All statements that write are in
immediate transactions, and a commit is on disk before the next cell is taken.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ablate import names
from ablate.contracts import Cell, Json, Result, believed
from ablate.errors import StoreError, UsageError, did_you_mean
from ablate.spec.inputs import placeless
from ablate.study import Study
from ablate.writing import storable

from . import database, following
from .access import Access, dump, load
from .drivers import Drivers, shown
from .keeping import Evaluations, Kept
from .studies import read_study


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
        self.directory, self.drivers, self._waiting = directory, Drivers(directory), waiting
        if not create and not exists(directory):
            raise StoreError(f"there is no store in {directory}. Give one with --store or ABLATE_STORE, or run a study first.")
        self.access = Access(database.path_in(directory), read_only, self._tell_waiting if waiting else None)
        self.kept = Kept(directory, self.access)
        self.evaluations = Evaluations(self.access)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.access.close()
        self.drivers.drop_lock()

    @property
    def writable(self) -> bool:
        """Whether it can be changed; one on a disk that is only read cannot."""
        return database.writable(self.access.path)

    @property
    def checkpoints(self) -> Path:
        return self.directory / "checkpoints"

    def state_of(self, key: str) -> Path:
        """Where a training saves what it needs to go on."""
        return self.checkpoints / f"{key}.safetensors"

    def _tell_waiting(self, message: str) -> None:
        others = self.drivers.others()
        at_work = f" At work on this store: process {', '.join(others)}." if others else ""
        if self._waiting:
            self._waiting(f"{message}{at_work}")

    # Studies

    def save_study(self, name: str, spec: Json, plan: Mapping[str, Json], members: Sequence[tuple[str, int, str]]) -> str | None:
        """Stores a study's spec, its plan, and its cells as (variant, seed, key).

        Returns:
            What a study of this name with another spec and with results is called from now on; None where there was none.
        """
        with self.access.transaction() as db:
            earlier = self._keep_earlier(db, name, spec)
            db.execute("DELETE FROM studies WHERE name IN (?, ?)", (name, version(name, spec)))
            db.execute("INSERT INTO studies VALUES (?, ?, ?, ?)", (name, dump(spec), dump(plan), time.time()))
            rows = [(name, position, *member) for position, member in enumerate(members)]
            db.executemany("INSERT INTO study_cells VALUES (?, ?, ?, ?, ?)", rows)
        return earlier

    def _keep_earlier(self, db: sqlite3.Connection, name: str, spec: Json) -> str | None:
        """Gives the study of this name one that has the digest of its spec, which no spec can have as its name."""
        row = db.execute("SELECT spec FROM studies WHERE name = ?", (name,)).fetchone()
        if row is None or row["spec"] == dump(spec) or not self.has_results(name):
            return None
        earlier = version(name, load(row["spec"]))
        db.execute("DELETE FROM studies WHERE name = ?", (earlier,))
        db.execute("INSERT INTO studies SELECT ?, spec, plan, updated FROM studies WHERE name = ?", (earlier, name))
        db.execute("UPDATE study_cells SET study = ? WHERE study = ?", (earlier, name))
        return earlier

    def studies(self) -> list[str]:
        found = [row["name"] for row in self.access.read("SELECT name FROM studies ORDER BY name")]
        with self.access.decoding():
            names.checked(found)
        return found

    def study(self, name: str) -> Study:
        """A study with what is known of its cells.

        Raises:
            UsageError: The store has no study of this name.
        """
        rows = self.access.read("SELECT plan FROM studies WHERE name = ?", name)
        if not rows:
            raise UsageError(f"{self.directory} has no study {name!r}. {did_you_mean(name, self.studies())}".strip())
        with self.access.decoding():
            return read_study(self.access, self.drivers, self.kept, self.evaluations, name, load(rows[0]["plan"]))

    # Cells

    def stored(self, keys: Sequence[str]) -> set[str]:
        """Which of these cells are done."""
        query = "SELECT key FROM cells WHERE status = 'done' AND key IN (SELECT value FROM json_each(?))"
        return {row["key"] for row in self.access.read(query, json.dumps(list(keys)))}

    def ended(self, keys: Sequence[str]) -> dict[str, Result | None]:
        """What became of those of these cells that have ended: their results, and None for those that failed."""
        results: dict[str, Result | None] = {}
        for key in dict.fromkeys(keys):
            for row in self.access.read("SELECT * FROM cells WHERE key = ? AND status IN ('done', 'failed')", key):
                epochs = self.access.read("SELECT record FROM epochs WHERE key = ? ORDER BY epoch", key)
                results[key] = self._result(row, epochs) if row["status"] == "done" else None
        return results

    def _result(self, row: sqlite3.Row, epochs: Sequence[sqlite3.Row]) -> Result:
        with self.access.decoding():
            records, metrics = believed([load(epoch["record"]) for epoch in epochs], load(row["metrics"]))
            images = load(row["provenance"]).get("evaluated_images")
            return Result(records, metrics, row["weights_sha256"], row["seconds"], row["parameters"], evaluated_images=images)

    def shorter(self, cell: Cell) -> list[tuple[int, str]]:
        """The finished cells that differ from this one in nothing but that they have fewer epochs: these, and their keys."""
        rows = self.access.read(
            "SELECT key, recipe, identity FROM cells WHERE status = 'done' AND seed = ? AND device = ?", cell.seed, cell.device
        )
        found, other = [], {**placeless(cell.recipe), "epochs": None}
        with self.access.decoding():
            for row in rows:
                recipe = load(row["recipe"])
                same = {**recipe, "epochs": None} == other and load(row["identity"]) == cell.identity
                if same and recipe.get("epochs", 0) < cell.recipe.get("epochs", 0):
                    found.append((int(recipe["epochs"]), str(row["key"])))
        return sorted(found)

    def seconds_of(self, recipe: Json) -> list[tuple[float, dict[str, Json]]]:
        """How long each finished cell of a recipe took, whatever its seed, and its provenance."""
        rows = self.access.read(
            "SELECT seconds, provenance FROM cells WHERE status = 'done' AND recipe = ?", dump(placeless(recipe))
        )
        with self.access.decoding():
            return [(row["seconds"], load(row["provenance"])) for row in rows]

    def claim(self, cell: Cell, provenance: Mapping[str, Json]) -> str:
        """Takes a cell for training.

        Returns:
            `claimed`; or `done` or `held` where it is done already, or another living driver trains it.
        """
        self.drivers.hold_lock()
        with self.access.transaction() as db:
            row = db.execute("SELECT status, owner, attempt FROM cells WHERE key = ?", (cell.key,)).fetchone()
            if row and row["status"] == "done":
                return "done"
            if row and row["status"] == "running" and self.drivers.alive(row["owner"]):
                return "held"
            attempt = row["attempt"] + 1 if row else 1
            db.execute(
                """INSERT INTO cells (key, recipe, seed, device, identity, status, owner, attempt, started, provenance)
                   VALUES (?, ?, ?, ?, ?, 'running', ?, ?, ?, ?)
                   ON CONFLICT (key) DO UPDATE SET status = 'running', owner = excluded.owner, attempt = excluded.attempt,
                       started = excluded.started, error = NULL, log = NULL, provenance = excluded.provenance""",
                (
                    cell.key,
                    dump(placeless(cell.recipe)),
                    cell.seed,
                    cell.device,
                    dump(cell.identity),
                    self.drivers.own,
                    attempt,
                    time.time(),
                    dump(provenance),
                ),
            )
        return "claimed"

    def record_epoch(self, key: str, record: Mapping[str, Json]) -> None:
        with self.access.transaction() as db:
            db.execute(
                """INSERT OR REPLACE INTO epochs SELECT ?, ?, ?
                   WHERE EXISTS (SELECT 1 FROM cells WHERE key = ? AND owner = ? AND status = 'running')""",
                (key, record["epoch"], dump(record), key, self.drivers.own),
            )

    def finish(self, key: str, result: Result) -> bool:
        """Records a result; False where the cell is not this driver's any more, and nothing was recorded."""
        facts = (result.machine or {}) | {"evaluated_images": result.evaluated_images}  # the driver's machine was noted before
        with self.access.transaction() as db:
            cursor = db.execute(
                """UPDATE cells SET status = 'done', owner = NULL, finished = ?, metrics = ?, weights_sha256 = ?, parameters = ?,
                       seconds = ?, provenance = json_patch(provenance, ?)
                   WHERE key = ? AND owner = ? AND status = 'running'""",
                (
                    time.time(),
                    dump(result.metrics),
                    result.weights_sha256,
                    result.parameters,
                    result.seconds,
                    dump({name: value for name, value in facts.items() if value is not None}),
                    key,
                    self.drivers.own,
                ),
            )
            if cursor.rowcount:
                db.execute("DELETE FROM epochs WHERE key = ?", (key,))
                rows = [(key, record["epoch"], dump(record)) for record in result.epochs]
                db.executemany("INSERT INTO epochs VALUES (?, ?, ?)", rows)
                self.kept.add(db, key, result)
                self.kept.add_predictions(key, result)
            return bool(cursor.rowcount)

    def fail(self, key: str, status: str, error: str | None, log: str | None) -> None:
        """Records that a cell of this driver failed, or was interrupted."""
        with self.access.transaction() as db:
            db.execute(
                """UPDATE cells SET status = ?, owner = NULL, finished = ?, error = ?, log = ?
                   WHERE key = ? AND owner = ? AND status = 'running'""",
                (status, time.time(), error and storable(error), log and storable(log), key, self.drivers.own),
            )

    def holders(self, keys: Sequence[str]) -> list[str]:
        """The other drivers that train some of these cells now, as `process PROCESS@HOST (2 cells, since …)`."""
        rows = [row for key in keys for row in self.access.read("SELECT * FROM cells WHERE key = ? AND status = 'running'", key)]
        held: dict[str, list[float]] = {}
        for row in rows:
            if row["owner"] != self.drivers.own and (row["owner"] in held or self.drivers.alive(row["owner"])):
                held.setdefault(row["owner"], []).append(row["started"])
        return [
            f"process {shown(owner)} ({len(begun)} cell{'s' * (len(begun) > 1)}, since {_moment(min(begun))})"
            for owner, begun in sorted(held.items())
        ]

    def running(self) -> set[str]:
        """The keys of all cells that some driver trains, or trained when it was killed."""
        return {row["key"] for row in self.access.read("SELECT key FROM cells WHERE status = 'running'")}

    def now(self, study: str) -> following.Now:
        """How far a study is, told in a moment; it is empty where the store has no such study."""
        with self.access.decoding():
            return following.now(self.access, self.drivers, study)

    def change(self) -> int:
        """A number that is another one when another process has written."""
        return int(self.access.read("PRAGMA data_version")[0][0])

    def latest(self) -> str | None:
        """The study that was planned last, as one that is run again is; None where there is none."""
        rows = self.access.read("SELECT name FROM studies ORDER BY updated DESC, name LIMIT 1")
        with self.access.decoding():
            names.checked(row["name"] for row in rows)
        return rows[0]["name"] if rows else None

    def has_results(self, study: str) -> bool:
        """Whether a cell of a study is done."""
        query = "SELECT 1 FROM study_cells m JOIN cells c ON c.key = m.key WHERE m.study = ? AND c.status = 'done' LIMIT 1"
        return bool(self.access.read(query, study))

    def spec(self, study: str) -> Json:
        """The spec of a study that the store has."""
        with self.access.decoding():
            return load(self.access.read("SELECT spec FROM studies WHERE name = ?", study)[0]["spec"])

    def cells(self, prefix: str) -> list[dict[str, Json]]:
        """The first few cells, by key, whose keys begin so, with all that is known of them but epochs and logs."""
        rows = self.access.read(
            """SELECT key, recipe, seed, device, identity, status, metrics, seconds, parameters, weights_sha256, provenance
               FROM cells WHERE substr(key, 1, length(?)) = ? ORDER BY key LIMIT 4""",
            prefix,
            prefix,
        )
        parsed = ("recipe", "identity", "metrics", "provenance")
        with self.access.decoding():
            return [{**dict(row), **{name: load(row[name]) for name in parsed}} for row in rows]

    def logs(self, key: str) -> tuple[str | None, str | None]:
        """Error and log of a cell that failed."""
        rows = self.access.read("SELECT error, log FROM cells WHERE key = ?", key)
        return (rows[0]["error"], rows[0]["log"]) if rows else (None, None)


def version(name: str, spec: Json) -> str:
    """What a study is called when another spec has taken its name: `NAME@DIGEST`."""
    return f"{name}@{hashlib.sha256(dump(spec).encode()).hexdigest()[:8]}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
