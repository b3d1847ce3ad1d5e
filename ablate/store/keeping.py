"""What a store keeps of a cell beside its result: trained weights, as files whose digests are in the database, and what was
measured with them afterwards.

The weights of a store have room of a stated size. Where it is not enough, those go first whose cells no study of the store has,
and then those that were used longest ago: trained, loaded, or evaluated.
"""

import hashlib
import json
import re
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.contracts import Result
from ablate.errors import Problem, StoreError, UsageError, some_variants
from ablate.writing import REMEDY

from .access import Access

GIGABYTES = 10.0  # of room unless said otherwise
FORM = re.compile(r"(weights|state)(?::([0-9]{1,6}(?:\.[0-9]{1,3})?))?")
TABLE = """
CREATE TABLE IF NOT EXISTS weights (
    key TEXT PRIMARY KEY REFERENCES cells (key) ON DELETE CASCADE,
    sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, used REAL NOT NULL
) STRICT
"""

EVALUATIONS = """
CREATE TABLE IF NOT EXISTS evaluations (
    cell TEXT NOT NULL REFERENCES cells (key) ON DELETE CASCADE, name TEXT NOT NULL, key TEXT NOT NULL, value REAL,
    images INTEGER NOT NULL, about TEXT NOT NULL, PRIMARY KEY (cell, name)
) STRICT
"""
STATES = """
CREATE TABLE IF NOT EXISTS states (key TEXT PRIMARY KEY REFERENCES weights (key) ON DELETE CASCADE, sha256 TEXT NOT NULL) STRICT
"""


@dataclass(frozen=True)
class Keep:
    """What a run keeps.

    Attributes:
        gigabytes: Room for the weights of the whole store, and for the states beside them.
        state: Whether the whole state is kept beside the weights, from which a longer training can go on.
    """

    gigabytes: float
    state: bool = False


def keep_of(text: str) -> Keep:
    """What `weights` or `state` says, or either with `:GB`.

    Raises:
        UsageError: It is neither.
    """
    found = FORM.fullmatch(text)
    if not found:
        raise UsageError(
            f"--keep {text!r}: expected weights or state, or with the gigabytes that those of the store may take, such as "
            "weights:20."
        )
    return Keep(float(found.group(2) or GIGABYTES), found.group(1) == "state")


def keep_problems(without: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with keeping the weights of a study.

    Args:
        without: The variants whose trainers cannot keep any.
    """
    if without:
        message = f"the trainer of {some_variants(without)} does not show ablate its weights, so that none can be kept"
        hint = "Leave it out, and have your own code save what it trains. image_classification keeps them."
        yield Problem("keep", message, hint)


class Kept:
    """The kept weights of a store.

    Args:
        directory: That of the store.
        access: The rows.
    """

    def __init__(self, directory: Path, access: Access):
        self.directory, self._access = directory / "weights", access
        self._predictions, self._reports = directory / "predictions", directory / "reports"

    def file_of(self, key: str) -> Path:
        return self.directory / f"{key}.safetensors"

    def state_of(self, key: str) -> Path:
        """Where the whole state of a cell at its end is."""
        return self.directory / f"{key}.state.safetensors"

    def thumbnails_of(self, study: str) -> Callable[[str, int], Path] | None:
        """Where small pictures of evaluated images are, in the folder of the study's report; None where none has such a name."""
        folder = self._thumbnails(study)
        if folder is None:
            return None

        def file_of(images: str, place: int) -> Path:
            return folder / f"{hashlib.sha256(images.encode()).hexdigest()[:16]}-{place}.png"

        return file_of

    def thumbnails_changed(self, study: str) -> int:
        """A number that is another one when such pictures were written; 0 where there are none."""
        folder = self._thumbnails(study)
        try:
            return 0 if folder is None else folder.stat().st_mtime_ns
        except OSError:
            return 0

    def _thumbnails(self, study: str) -> Path | None:
        if study in ("", ".", "..") or Path(study).name != study:
            return None
        return self._reports / study / "images"

    def predictions_of(self, key: str) -> Path:
        """Where a cell's predictions are; nobody counts these files, which are small, and a study shows whether it has them."""
        return self._predictions / f"{key}.npz"

    def add(self, db: sqlite3.Connection, key: str, result: Result) -> bool:
        """Notes, in a transaction, the weights that were written with a result; False where no file of them is here."""
        file = self.file_of(key)
        if result.kept_sha256 is None or not file.is_file():
            return False
        db.execute(TABLE)
        state = self.state_of(key)
        whole = result.state_sha256 is not None and state.is_file()
        size = file.stat().st_size + (state.stat().st_size if whole else 0)
        db.execute("INSERT OR REPLACE INTO weights VALUES (?, ?, ?, ?)", (key, result.kept_sha256, size, time.time()))
        if whole:
            db.execute(STATES)
            db.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (key, result.state_sha256))
        return True

    def add_again(self, key: str, result: Result) -> bool:
        """Notes the weights of a finished cell that was trained once more; False where they are other weights, or not here."""
        with self._access.transaction() as db:
            row = db.execute("SELECT weights_sha256 FROM cells WHERE key = ? AND status = 'done'", (key,)).fetchone()
            if row and row["weights_sha256"] == result.weights_sha256 and self.add(db, key, result):
                self.add_predictions(key, result)
                return True
        self._remove(key)
        return False

    def _remove(self, key: str) -> None:
        for file in (self.file_of(key), self.state_of(key)):
            file.unlink(missing_ok=True)

    def add_predictions(self, key: str, result: Result) -> None:
        """Writes what a cell said of each image.

        Raises:
            StoreError: They cannot be written.
        """
        if result.predictions is None:
            return
        from ablate import predictions  # with numpy, which a check does not need

        file = self.predictions_of(key)
        try:
            predictions.write(file, result.predictions)
        except OSError as error:
            raise StoreError(f"{file}: cannot be written: {error}. {REMEDY}") from error

    def digests(self, keys: Iterable[str]) -> dict[str, str]:
        """The digests of the weights of those of these cells that have any."""
        known = {row["key"]: row["sha256"] for row in self._rows()}
        return {key: known[key] for key in keys if key in known and self.file_of(key).is_file()}

    def states(self, keys: Iterable[str]) -> dict[str, str]:
        """The digests of the whole states of those of these cells that have any."""
        rows = self._access.read("SELECT * FROM states") if self._access.has("states") else ()
        known = {row["key"]: row["sha256"] for row in rows}
        return {key: known[key] for key in keys if key in known and self.state_of(key).is_file()}

    def touch(self, key: str) -> None:
        """Notes that the weights of a cell were used."""
        with self._access.transaction() as db:
            db.execute("UPDATE weights SET used = ? WHERE key = ?", (time.time(), key))

    def make_room(self, gigabytes: float) -> tuple[int, int]:
        """Removes weights until the others have room.

        Returns:
            How many cells lost theirs, and how many bytes these were.
        """
        room, gone = gigabytes * 1e9, []
        if sum(row["bytes"] for row in self._rows()) <= room:
            return 0, 0
        with self._access.transaction() as db:
            rows = db.execute(
                """SELECT key, bytes FROM weights ORDER BY key IN (SELECT key FROM study_cells), used, key"""
            ).fetchall()
            total = sum(row["bytes"] for row in rows)
            for row in rows:
                if total <= room:
                    break
                gone.append(row)
                total -= row["bytes"]
            db.executemany("DELETE FROM weights WHERE key = ?", [(row["key"],) for row in gone])
        for row in gone:
            self._remove(row["key"])
        return len(gone), sum(row["bytes"] for row in gone)

    def tidy(self, running: Collection[str]) -> None:
        """Removes files that killed runs left: of no noted weights, and of no cell that is trained now."""
        known = {row["key"] for row in self._rows()}
        whole = {row["key"] for row in self._access.read("SELECT key FROM states")} if self._access.has("states") else set()
        for file in self.directory.glob("*"):
            key, _, rest = file.name.removeprefix(".").partition(".")
            noted = key in (whole if rest.startswith("state.") else known) and not file.name.startswith(".")
            if key not in running and not noted:
                file.unlink(missing_ok=True)

    def _rows(self) -> list[Mapping[str, Any]]:
        """All of the table; nothing in a store that no weights were kept in, which has no such table."""
        return [dict(row) for row in self._access.read("SELECT * FROM weights")] if self._access.has("weights") else []


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a finished cell.

    Attributes:
        key: Of the cell, what is measured, and what measured it.
        value: None where there is none.
        images: How many it is of.
        about: The metric and the images, as a recipe has them.
    """

    key: str
    value: float | None
    images: int
    about: Any


class Evaluations:
    """What was measured of a store's cells after their training.

    Args:
        access: The rows.
    """

    def __init__(self, access: Access):
        self._access = access

    def of_cell(self, key: str) -> dict[str, Evaluation]:
        """By the names of the columns."""
        if not self._access.has("evaluations"):
            return {}
        rows = self._access.read("SELECT * FROM evaluations WHERE cell = ? ORDER BY rowid", key)
        return {row["name"]: Evaluation(row["key"], row["value"], row["images"], json.loads(row["about"])) for row in rows}

    def of_study(self, study: str) -> list[tuple[str, str, Evaluation]]:
        """As (cell, name of the column, what was measured), in the order in which columns came."""
        if not self._access.has("evaluations"):
            return []
        query = "SELECT * FROM evaluations WHERE cell IN (SELECT key FROM study_cells WHERE study = ?) ORDER BY rowid"
        rows = self._access.read(query, study)
        return [
            (row["cell"], row["name"], Evaluation(row["key"], row["value"], row["images"], json.loads(row["about"])))
            for row in rows
        ]

    def add(self, cell: str, found: Mapping[str, tuple[str, float | None, int, Any]]) -> None:
        """Stores (key, value, images, about) by the names of columns."""
        with self._access.transaction() as db:
            db.execute(EVALUATIONS)
            rows = [(cell, name, key, value, images, json.dumps(about)) for name, (key, value, images, about) in found.items()]
            db.executemany("INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?)", rows)
