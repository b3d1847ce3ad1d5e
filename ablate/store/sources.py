"""What a store takes over: studies and finished cells of another store or of a file, with what belongs to them."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ablate.contracts import Json

from .portable import KEY, Record, check, record_of
from .store import Store


@dataclass(frozen=True)
class Item:
    """A finished cell with what belongs to it.

    Attributes:
        record: As `portable` has it.
        kept: Digest of its weights, as `Result.kept_sha256` has it; None where none were kept.
        evaluations: What was measured of it afterwards: `name`, `key`, `value`, `images` and `about` each.
    """

    record: Record
    kept: str | None
    evaluations: Sequence[Json] = ()


@dataclass(frozen=True)
class Source:
    """What is taken over.

    Attributes:
        name: What it is called in messages.
        studies: Each with `name`, `spec`, `plan`, `updated` and `members`, which are (variant, seed, key).
        keys: Of its finished cells.
        item: Gives a cell by its key. Raises ValueError where it is none.
        opened: Opens a file of a cell, `predictions` or `weights`; None where it has none.
        problems: What is wrong with its files, in sentences without a stop.
    """

    name: str
    studies: Sequence[Record]
    keys: Sequence[str]
    item: Callable[[str], Item]
    opened: Callable[[str, str], AbstractContextManager[IO[bytes]] | None]
    problems: Callable[[], Iterator[str]] = lambda: iter(())


def study_of(store: Store, name: str) -> Record:
    """A study of a store as it is handed on.

    Raises:
        UsageError: There is none of this name.
    """
    store.study(name)
    row = store.access.read("SELECT * FROM studies WHERE name = ?", name)[0]
    members = store.access.read("SELECT variant, seed, key FROM study_cells WHERE study = ? ORDER BY position", name)
    return {
        "name": name,
        "spec": json.loads(row["spec"]),
        "plan": json.loads(row["plan"]),
        "updated": row["updated"],
        "members": [list(member) for member in members],
    }


def item_of(store: Store, key: str) -> Item:
    """A finished cell of a store with what belongs to it."""
    later = [{"name": name, **vars(one)} for name, one in store.evaluations.of_cell(key).items()]
    return Item(record_of(store.access, key), store.kept.digests([key]).get(key), later)


def file_in(store: Store, folder: str, key: str) -> Path:
    return store.kept.predictions_of(key) if folder == "predictions" else store.kept.file_of(key)


def source_of(store: Store) -> Source:
    """All of another store that is finished."""

    def item(key: str) -> Item:
        if not KEY.fullmatch(key):
            raise ValueError("its key is none")
        found = item_of(store, key)
        check(found.record)
        return found

    def opened(folder: str, key: str) -> IO[bytes] | None:
        try:
            return file_in(store, folder, key).open("rb")
        except FileNotFoundError:
            return None

    keys = [row["key"] for row in store.access.read("SELECT key FROM cells WHERE status = 'done' ORDER BY key")]
    return Source(str(store.directory), [study_of(store, name) for name in store.studies()], keys, item, opened)
