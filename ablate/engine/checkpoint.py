"""A training's state in one file: tensors as safetensors, the rest as JSON in its header. No pickle is written or read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ablate.contracts import Json
from ablate.errors import DiskProblem, EnvironmentProblem
from ablate.registry.inputs import file_digest
from ablate.spec.trainer import Extension
from ablate.writing import REMEDY, replaced

FORMAT = "ablate-checkpoint-2"
_TENSOR = "__tensor__"
_DICT = "__dict__"
_TUPLE = "__tuple__"


@dataclass
class Progress:
    """Where a training is.

    Attributes:
        epoch: Finished epochs.
        batch: Finished batches of the epoch that runs.
        loss: Sum of the losses of the images of this epoch, float64 scalar.
        train_seconds: Time spent in the batches of this epoch.
        seconds: Time spent in all.
        records: One a finished epoch.
        selected: Weights of the best epoch so far, where the recipe selects one.
    """

    epoch: int = 0
    batch: int = 0
    loss: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    train_seconds: float = 0.0
    seconds: float = 0.0
    records: list[dict[str, Json]] = field(default_factory=list)
    selected: dict[str, Tensor] | None = None


def save(path: Path, key: str, state: Mapping[str, Any]) -> None:
    """Writes the state of the cell `key`; whatever happens meanwhile, `path` holds the old state or the new one.

    Tensors keep their strides where they are dense and do not overlap; others come back contiguous, as torch's own copies do.

    Args:
        path: The file.
        key: Key of the cell.
        state: Nested dicts, lists and tuples of tensors, numbers, strings, booleans and None.

    Raises:
        DiskProblem: It cannot be written.
    """
    tree, tensors = packed(state)
    try:
        with replaced(path) as temporary:
            save_file(tensors, temporary, metadata={"format": FORMAT, "key": key, "state": json.dumps(tree)})
    except (OSError, SafetensorError) as error:
        raise DiskProblem(f"{path}: the checkpoint cannot be written: {error}. {REMEDY}") from error


def load(path: Path, key: str, device: torch.device) -> dict[str, Any] | None:
    """The state that was saved for the cell `key`; None where there is none. What was begun and not finished is removed.

    Raises:
        EnvironmentProblem: The file cannot be read, or belongs to another cell.
    """
    remove_unfinished(path)
    if not path.is_file():
        return None
    remedy = "Delete it, and the cell is trained from its beginning."
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT or metadata.get("key") != key:
                owner = f"cell {metadata['key'][:12]}" if "key" in metadata else "something else"
                raise EnvironmentProblem(f"{path}: is a checkpoint of {owner}, not of cell {key[:12]}. {remedy}")
            state: dict[str, Any] = _unpack(json.loads(metadata["state"]), file.get_tensor)
            return state
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EnvironmentProblem(f"{path}: the checkpoint cannot be read: {error}. {remedy}") from error


def keep(write: Callable[[Path], None], path: Path) -> str:
    """Writes a training's whole state at its end, and gives the digest of the file."""
    write(path)
    return file_digest(path)


def go_on(read: Callable[[Path, str], object], extends: Extension) -> None:
    """Puts a training where a shorter one ended; where that file is not seen from here, it begins at its beginning.

    Raises:
        EnvironmentProblem: The file is not what was kept.
    """
    if not extends.state.is_file():
        return
    if file_digest(extends.state) != extends.sha256:
        raise EnvironmentProblem(
            f"{extends.state}: is not the state that was kept (its SHA-256 differs). Delete it, and the cell is trained from its "
            "beginning."
        )
    read(extends.state, extends.key)


def remove_unfinished(path: Path) -> None:
    """Removes what processes left that were killed while they saved the state of this cell."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)


def reached(path: Path, key: str) -> tuple[int, int] | None:
    """How far the state that was saved for the cell `key` is: finished epochs, and finished batches of the next one.

    None where there is no state, or none that can be read: who goes on from it says what is wrong with it.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT or metadata.get("key") != key:
            return None
        progress = dict(dict(json.loads(metadata["state"])[_DICT])["progress"][_DICT])
        return int(progress["epoch"]), int(progress["batch"])
    except (OSError, SafetensorError, ValueError, LookupError, TypeError):
        return None


def packed(state: Mapping[str, Any]) -> tuple[Json, dict[str, Tensor]]:
    """The state as JSON, and the tensors that it names.

    Raises:
        EnvironmentProblem: There is something in it that a file cannot have.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(state, tensors), tensors


def _pack(value: Any, tensors: dict[str, Tensor]) -> Json:
    """The value as JSON, in which each tensor is a reference to one in `tensors`."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        # Not on a GPU, which may have no room for all of it twice.
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        stride = torch.empty_like(value, device="meta").stride()  # as torch's own copies have them
        return {_TENSOR: name, "stride": list(stride)}
    if isinstance(value, Mapping):
        return {_DICT: [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {_TUPLE: [_pack(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_pack(item, tensors) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise EnvironmentProblem(f"a checkpoint cannot hold a {type(value).__name__} of the optimizer's state")


def _unpack(value: Json, tensor: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensor) for item in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR in value:
        loaded: Tensor = tensor(value[_TENSOR])
        own = torch.empty_strided(loaded.shape, value["stride"], dtype=loaded.dtype, device=loaded.device)
        return own.copy_(loaded)  # out of the file's memory, whose alignment can change sums
    if _TUPLE in value:
        return tuple(_unpack(item, tensor) for item in value[_TUPLE])
    return {_unpack(key, tensor): _unpack(item, tensor) for key, item in value[_DICT]}
