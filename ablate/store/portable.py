"""A finished cell as it goes from one store to another: a JSON record, which is checked wherever it comes from.

A record is believed where its key is made again from its recipe. That takes the components of the recipe in the versions of then;
where these are not installed, only the form and the digest of a record can be checked, and that is counted.
"""

import base64
import json
import math
import re
from collections.abc import Callable, Mapping

from ablate import names
from ablate.contracts import EPOCH_NUMBERS, Cell, Json, Result
from ablate.errors import AblateError
from ablate.registry import default
from ablate.spec.identity import canonical_recipe, make_cell, recipe_digest, recipe_identity, sha256

from .access import Access

Record = dict[str, Json]
LARGEST = 64_000_000  # bytes of a record
KEY = re.compile("[0-9a-f]{64}")
NOT_COMPARED = ("seconds", "images_per_second")  # of an epoch, which the machine decides
_QUERY = """SELECT key, recipe, seed, device, identity, started, finished, metrics, weights_sha256, parameters, seconds,
            provenance FROM cells WHERE key = ? AND status = 'done'"""
_JSON = ("recipe", "identity", "metrics", "provenance")


def record_of(access: Access, key: str) -> Record:
    """A finished cell of a store.

    Raises:
        LookupError: It is not there, or not finished.
    """
    row = dict(access.read(_QUERY, key)[0])
    epochs = access.read("SELECT record FROM epochs WHERE key = ? ORDER BY epoch", key)
    return {**row, **{name: json.loads(row[name]) for name in _JSON}, "epochs": [json.loads(each["record"]) for each in epochs]}


def packed(record: Record) -> bytes:
    """The record as it is written. The order of keys stays, because that of transforms counts."""
    return json.dumps(record, allow_nan=False).encode()


def unpacked(data: bytes, key: str) -> Record:
    """A record from what somebody wrote.

    Raises:
        ValueError: It is none of a cell of this key.
    """
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    try:
        record = json.loads(data, parse_constant=_no_number)
        check(record)
    except (LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is no record of a cell: {type(error).__name__}: {error}") from error
    if record["key"] != key:
        raise ValueError(f"it is of cell {record['key'][:12]}")
    return record  # type: ignore[no-any-return]


def check(record: Record) -> None:
    """Refuses what no store writes.

    Raises:
        ValueError: With the first field that is wrong.
        LookupError, TypeError, AttributeError: It is not even close.
    """
    for name, right in _FIELDS.items():
        if not right(record[name]):
            raise ValueError(f"its {name!r} is not what ablate writes")
    if unknown := record.keys() - _FIELDS.keys():
        raise ValueError(f"nothing is called {sorted(unknown)[0]!r}")
    names.checked([*record["metrics"], *(name for epoch in record["epochs"] for name in epoch)])
    numbers = {*EPOCH_NUMBERS, *record["metrics"]}
    if not all(_is_number(value) for epoch in record["epochs"] for name, value in epoch.items() if name in numbers):
        raise ValueError("an epoch has a number that is none")
    if [epoch["epoch"] for epoch in record["epochs"]] != sorted({epoch["epoch"] for epoch in record["epochs"]}):
        raise ValueError("its epochs are not in their order")
    packed(record)  # numbers that are not finite


def cell_of(record: Record) -> Cell:
    return Cell(record["key"], record["recipe"], record["seed"], record["device"], record["identity"])


def result_of(record: Record, said: bytes | None = None) -> Result:
    """The result, as one that was trained as the record says, with a file of predictions."""
    return Result(
        record["epochs"],
        record["metrics"],
        record["weights_sha256"],
        record["seconds"],
        record["parameters"],
        trained=record["identity"],
        evaluated_images=record["provenance"].get("evaluated_images"),
        predictions=None if said is None else base64.b64encode(said).decode(),
    )


def same_result(one: Record, other: Record) -> bool:
    """Whether two records of one key tell the same; how long it took is not compared."""
    digests = [record["weights_sha256"] for record in (one, other)]
    if None not in digests and digests[0] != digests[1]:
        return False
    epochs = [
        [{name: value for name, value in epoch.items() if name not in NOT_COMPARED} for epoch in record["epochs"]]
        for record in (one, other)
    ]
    return bool(one["metrics"] == other["metrics"] and epochs[0] == epochs[1])


def key_is_made_again(record: Record, memory: dict[str, Json]) -> bool:
    """Whether the recipe of a record gives its key, on this machine.

    Args:
        record: A record that is well formed.
        memory: What was found of the recipes of other records.

    Returns:
        False where it cannot be told: other versions are installed, or a component or a file is not here.

    Raises:
        ValueError: The key is another one.
    """
    cell = cell_of(record)
    text = sha256(packed({"recipe": cell.recipe, "identity": cell.identity, "device": cell.device}).decode())
    if text not in memory:
        memory[text] = _digest(cell)
    if memory[text] is None:
        return False
    if make_cell(cell.recipe, memory[text], cell.seed, cell.device, cell.identity).key != cell.key:
        raise ValueError("its key is not that of its recipe")
    return True


def _digest(cell: Cell) -> str | None:
    """What the cells of a recipe have in common; None where it would be another one here."""
    try:
        here = recipe_identity(default(), cell.recipe, cell.identity["data"], cell.device, cell.identity.get("executor"))
        return recipe_digest(canonical_recipe(default(), cell.recipe), cell.device, here) if here == cell.identity else None
    except (AblateError, LookupError, TypeError, AttributeError, ValueError):  # other components than those of the recipe
        return None


def _no_number(text: str) -> Json:
    raise ValueError(f"{text} is no number")


def _is_number(value: Json) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value))


def _is_whole(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_digest(value: Json) -> bool:
    return isinstance(value, str) and KEY.fullmatch(value) is not None


def _is_time(value: Json) -> bool:
    return value is not None and _is_number(value) and 0 <= value < 1e12


def _is_identity(value: Json) -> bool:
    packages = value.get("packages", {})
    return isinstance(value["data"], str) and all(isinstance(version, str) for version in packages.values())


def _is_provenance(value: Json) -> bool:
    images = value.get("evaluated_images")
    own = "results" not in value or isinstance(value.get("executor"), str)
    return own and (images is None or (_is_whole(images) and images > 0))


_FIELDS: Mapping[str, Callable[[Json], bool]] = {
    "key": _is_digest,
    "recipe": lambda value: isinstance(value, dict),
    "seed": lambda value: _is_whole(value) and value >= 0,
    "device": lambda value: value in ("cpu", "cuda", "mps", "xpu"),
    "identity": _is_identity,
    "started": _is_time,
    "finished": _is_time,
    "metrics": lambda value: all(_is_number(number) for number in value.values()),
    "weights_sha256": lambda value: (
        value is None or (isinstance(value, str) and len(value) <= 128)
    ),  # of others' trainers any text
    "parameters": lambda value: value is None or (_is_whole(value) and value >= 0),
    "seconds": _is_time,
    "provenance": _is_provenance,
    "epochs": lambda value: isinstance(value, list) and all(_is_whole(epoch["epoch"]) for epoch in value),
}
