"""A cell's trained weights as a file that anybody's `load_state_dict` can take: tensors by the names that the model has."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ablate.contracts import DataInfo, Horizon
from ablate.errors import DiskProblem, EnvironmentProblem
from ablate.writing import REMEDY, replaced

FORMAT = "ablate-weights-1"
DAMAGED = "Delete it, and train the cell again with `ablate run SPEC --keep weights --retrain`."


@dataclass(frozen=True)
class Form:
    """What a model takes and tells.

    Attributes:
        images: Form of the dataset's images, before any transform.
        input: Form of what comes out of the transforms, which the model gets.
        class_names: One a class, in the order of its outputs.
        epochs: Those that it was trained for: fewer than the horizon's where a step ended it.
        horizon: Length of the training, which what follows the epoch is told.
    """

    images: DataInfo
    input: DataInfo
    class_names: tuple[str, ...]
    epochs: int
    horizon: Horizon


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of tensors with their names, types and shapes, to compare two trainings bit for bit."""
    made = hashlib.sha256()
    for name, value in tensors.items():
        array = value.detach().cpu().contiguous()
        made.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        made.update(array.reshape(-1).view(torch.uint8).numpy().tobytes())
    return made.hexdigest()


def weights_digest(models: Mapping[str, nn.Module]) -> str:
    """`digest` of all parameters and buffers of some models."""
    return digest({f"{prefix}.{name}": value for prefix, model in models.items() for name, value in model.state_dict().items()})


def save(path: Path, key: str, model: nn.Module, form: Form) -> str:
    """Writes the weights of the cell `key`, and gives their digest, as `weights_digest({"model": model})` has it.

    Raises:
        DiskProblem: They cannot be written.
    """
    tensors = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in _state(model).items()}
    about = {"format": FORMAT, "key": key, "form": json.dumps(asdict(form)), "order": json.dumps(list(tensors))}
    try:
        with replaced(path) as temporary:
            save_file(tensors, temporary, metadata=about)
            _in_one_order(temporary)
    except (OSError, SafetensorError) as error:
        raise DiskProblem(f"{path}: the weights cannot be written: {error}. {REMEDY}") from error
    return weights_digest({"model": model})


def _in_one_order(file: Path) -> None:
    """Gives a file's metadata one order; safetensors writes it in any, and then the same weights would be many files.

    Raises:
        OSError: It cannot be written.
    """
    with file.open("r+b") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = json.loads(opened.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(size)
        assert len(text) == size, "another order is as long as this one"  # noqa: S101
        opened.seek(8)
        opened.write(text)


def _state(model: nn.Module) -> Mapping[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def load(path: Path, key: str, sha256: str) -> tuple[dict[str, Tensor], Form]:
    """The weights of the cell `key` on the CPU, which have this digest, and the form of what the model takes.

    Raises:
        EnvironmentProblem: The file cannot be read, belongs to another cell, or its weights are not those that were trained.
    """
    try:
        with safe_open(path, "pt", device="cpu") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT or about.get("key") != key:
                raise EnvironmentProblem(f"{path}: are not the weights of cell {key[:12]}. {DAMAGED}")
            tensors = {name: file.get_tensor(name) for name in json.loads(about["order"])}
        form = json.loads(about["form"])
        told = Form(
            DataInfo(**form["images"]),
            DataInfo(**form["input"]),
            tuple(form["class_names"]),
            form["epochs"],
            Horizon(**form["horizon"]),
        )
    except (OSError, SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EnvironmentProblem(f"{path}: the weights cannot be read: {error}. {DAMAGED}") from error
    if digest({f"model.{name}": value for name, value in tensors.items()}) != sha256:
        raise EnvironmentProblem(f"{path}: its weights are not those that were trained (their SHA-256 differs). {DAMAGED}")
    return tensors, told
