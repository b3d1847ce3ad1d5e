"""Studies and cells that a store takes over from a file or from another store, and what of them a study's export has.

Nothing is overwritten. Of a cell that is here with another result, the result of here stays, and that is said; a study whose name
is taken by another one is taken over under a name of its own.
"""

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from ablate import names, predictions
from ablate.contracts import Json, Result
from ablate.errors import AblateError, EnvironmentProblem, StoreError
from ablate.spec.identity import sha256
from ablate.writing import REMEDY, replaced

from .access import dump
from .portable import KEY, Record, key_is_made_again, packed, record_of, result_of, same_result
from .sources import Item, Source, study_of
from .store import Store

AT_ONCE = 200  # cells in one transaction
MOST = 10  # problems that are told
FIELDS = ("name", "spec", "plan", "updated", "members")  # of a study


@dataclass
class Taken:
    """What became of a source.

    Attributes:
        cells: How many are new here.
        known: How many were here with the same result.
        running: How many a living driver trains here, which are left to it.
        others: Those that are here with another result, in words.
        weights: How many files of weights are new.
        predictions: How many files of predictions are new.
        unproven: How many have keys that could not be made again on this machine.
        studies: The studies that are new or longer, with the names that they have here.
    """

    cells: int = 0
    known: int = 0
    running: int = 0
    others: list[str] = field(default_factory=list)
    weights: int = 0
    predictions: int = 0
    unproven: int = 0
    studies: list[tuple[str, str]] = field(default_factory=list)


def take_over(store: Store, source: Source) -> Taken:
    """Takes the studies and the finished cells of a source into a store.

    Raises:
        StoreError: Something of the source is not what ablate writes, and nothing was taken; or the store cannot be written.
    """
    taken = Taken()
    unproven = set[str]()
    problems = list(_problems(source, unproven))
    if problems:
        more = f"; and {len(problems) - MOST} more" if len(problems) > MOST else ""
        raise StoreError(f"{source.name}: nothing was taken from it: {'; '.join(problems[:MOST])}{more}.")
    with store.access.transaction() as db:
        for study in source.studies:
            _take_study(db, store, study, source, taken)
    for start in range(0, len(source.keys), AT_ONCE):
        keys = source.keys[start : start + AT_ONCE]
        with store.access.transaction() as db:
            items = [source.item(key) for key in keys]
            same = [item for item in items if take_result(db, store, item.record, taken, item.record["key"] in unproven)]
        for item in same:
            _take_files(store, source, item, taken)
    return taken


def _problems(source: Source, unproven: set[str]) -> Iterator[str]:
    """What is wrong with a source, all of it before anything is taken; keys that cannot be made again are added to `unproven`."""
    damaged = list(source.problems())
    yield from damaged
    for study in source.studies:
        try:
            _check_study(study)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            yield f"a study is not what ablate writes ({error})"
    memory: dict[str, Json] = {}
    for key in source.keys:
        try:
            item = source.item(key)
            if not key_is_made_again(item.record, memory):
                unproven.add(key)
            _check_evaluations(item.evaluations)
            if not damaged:
                _check_weights(source, item)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            yield f"cell {key[:12]}: {error}"


def _check_study(study: Record) -> None:
    if sorted(study) != sorted(FIELDS) or not isinstance(study["name"], str) or not isinstance(study["spec"], dict):
        raise ValueError("it has other fields")
    if not isinstance(study["updated"], (int, float)) or not 0 <= study["updated"] < 1e12:
        raise ValueError("the time of its last run is none")
    for variant, seed, key in study["members"]:
        if not isinstance(seed, int) or not 0 <= seed < 2**63 or not KEY.fullmatch(key):
            raise ValueError(f"{variant!r} has a cell that is none")
        names.checked([variant])
    names.checked([study["name"], *names.of_plan(study["plan"])])
    packed(study["spec"] | study["plan"])


def _check_evaluations(evaluations: Sequence[Json]) -> None:
    for one in evaluations:
        names.checked([one["name"]])
        number = one["value"] is None or isinstance(one["value"], (int, float))
        if not number or not isinstance(one["key"], str) or not isinstance(one["images"], int):
            raise ValueError(f"its {one['name']!r} is not what ablate writes")


def _check_weights(source: Source, item: Item) -> None:
    """Refuses weights that are not those of the cell.

    Raises:
        ValueError: They are others.
    """
    if item.kept and (found := source.opened("weights", item.record["key"])) is not None:
        with found as file, TemporaryDirectory(prefix="ablate-weights-") as folder:
            copied = Path(folder, "weights")
            with copied.open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
            if not _are_of(copied, item):
                raise ValueError("its weights are others")


def _are_of(file: Path, item: Item) -> bool:
    """Whether a file has the kept weights of a cell."""
    from ablate.engine.weights import load  # with torch, which cells without weights are taken without

    try:
        load(file, item.record["key"], item.kept or "")
    except EnvironmentProblem:
        return False
    return True


def _take_study(db: sqlite3.Connection, store: Store, study: Record, source: Source, taken: Taken) -> None:
    """Takes a study under its name, or under one of its own where its name is taken by another one.

    Raises:
        StoreError: It cannot be shown.
    """
    name = _name_here(store, study)
    if name is None:
        return
    db.execute("DELETE FROM studies WHERE name = ?", (name,))
    row = (name, dump(study["spec"]), dump(study["plan"]), study["updated"])
    db.execute("INSERT INTO studies VALUES (?, ?, ?, ?)", row)
    rows = [(name, position, *member) for position, member in enumerate(study["members"])]
    db.executemany("INSERT INTO study_cells VALUES (?, ?, ?, ?, ?)", rows)
    try:
        store.study(name)
    except (AblateError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise StoreError(f"{source.name}: nothing was taken from it: its study {study['name']!r} cannot be shown.") from error
    taken.studies.append((study["name"], name))


def _name_here(store: Store, study: Record) -> str | None:
    """What a study is to be called in a store; None where the store has all of it."""
    name = study["name"]
    if name not in store.studies():
        return str(name)
    here = study_of(store, name)
    ours, theirs = ({tuple(member) for member in one["members"]} for one in (here, study))
    if here["spec"] == study["spec"] and (ours >= theirs or ours < theirs):
        return None if ours >= theirs else str(name)
    own = f"{name}@{sha256(packed({'spec': study['spec'], 'members': study['members']}).decode())[:8]}"
    return None if own in store.studies() else own


def take_result(db: sqlite3.Connection, store: Store, record: Record, taken: Taken, unproven: bool = False) -> bool:
    """Takes the result of a cell; False where the store has another one, or trains it now."""
    row = db.execute("SELECT status, owner FROM cells WHERE key = ?", (record["key"],)).fetchone()
    if row and row["status"] == "running" and store.drivers.alive(row["owner"]):
        taken.running += 1
        return False
    if row and row["status"] == "done":
        here = record_of(store.access, record["key"])
        if not same_result(here, record):
            taken.others.append(f"{record['key'][:12]} ({_numbers(here)} here, {_numbers(record)} there)")
            return False
        taken.known += 1
        return True
    taken.cells += 1
    taken.unproven += unproven
    _insert(db, record)
    return True


def _insert(db: sqlite3.Connection, record: Record) -> None:
    """Writes a finished cell in place of whatever is known of one that is not."""
    db.execute("DELETE FROM cells WHERE key = ?", (record["key"],))
    db.execute(
        """INSERT INTO cells (key, recipe, seed, device, identity, status, attempt, started, finished, metrics, weights_sha256,
               parameters, seconds, provenance) VALUES (?, ?, ?, ?, ?, 'done', 1, ?, ?, ?, ?, ?, ?, ?)""",
        (
            record["key"],
            dump(record["recipe"]),
            record["seed"],
            record["device"],
            dump(record["identity"]),
            record["started"],
            record["finished"],
            dump(record["metrics"]),
            record["weights_sha256"],
            record["parameters"],
            record["seconds"],
            dump(record["provenance"]),
        ),
    )
    rows = [(record["key"], epoch["epoch"], dump(epoch)) for epoch in record["epochs"]]
    db.executemany("INSERT INTO epochs VALUES (?, ?, ?)", rows)


def _take_files(store: Store, source: Source, item: Item, taken: Taken) -> None:
    """Takes the predictions, weights and later measurements that the store does not have of a cell with this result."""
    key = item.record["key"]
    if not store.kept.predictions_of(key).exists() and (found := source.opened("predictions", key)) is not None:
        with found as file:
            taken.predictions += write_predictions(store, item.record, file.read(predictions.LARGEST + 1))
    if item.kept and not store.kept.digests([key]) and (found := source.opened("weights", key)) is not None:
        with found as file:
            _copy(file, store.kept.file_of(key), item)
        taken.weights += store.kept.add_again(key, _kept(item))
    here = store.evaluations.of_cell(key)
    new = {one["name"]: (one["key"], one["value"], one["images"], one["about"]) for one in item.evaluations}
    different = sorted(name for name in new.keys() & here.keys() if new[name][:2] != (here[name].key, here[name].value))
    taken.others += [f"{key[:12]} (another {name!r})" for name in different]
    if fresh := {name: one for name, one in new.items() if name not in here}:
        store.evaluations.add(key, fresh)


def _kept(item: Item) -> Result:
    result = result_of(item.record)
    return Result(**{**vars(result), "kept_sha256": item.kept})


def write_predictions(store: Store, record: Record, data: bytes) -> bool:
    """Writes the predictions of a cell; False where they are none of its images.

    Raises:
        StoreError: They cannot be written.
    """
    with suppress(ValueError):
        if len(predictions.unpacked(data)) == record["provenance"].get("evaluated_images"):
            file = store.kept.predictions_of(record["key"])
            try:
                with replaced(file) as temporary:
                    temporary.write_bytes(data)
            except OSError as error:
                raise StoreError(f"{file}: cannot be written: {error}. {REMEDY}") from error
            return True
    return False


def _copy(file: IO[bytes], target: Path, item: Item) -> None:
    """Copies weights, which get their name only when they are the ones that they should be.

    Raises:
        StoreError: They are others, or cannot be written.
    """
    try:
        with replaced(target) as temporary:
            with temporary.open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)
            if not _are_of(temporary, item):
                raise StoreError(f"{target.name}: the weights changed while they were copied. Take them over again.")
    except OSError as error:
        raise StoreError(f"{target}: cannot be written: {error}. {REMEDY}") from error


def _numbers(record: Record) -> str:
    numbers = [
        f"{name} {value:.6g}" if value is not None else f"{name} none" for name, value in list(record["metrics"].items())[:2]
    ]
    return ", ".join(numbers) or "no metric"
