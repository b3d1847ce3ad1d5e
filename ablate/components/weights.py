"""Files of weights, as safetensors or as torch saves them, and what of them fits a network."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ablate.errors import EnvironmentProblem
from ablate.registry.params import FilePath

TORCH_BEGINS = (b"PK\3\4", b"\x80\2\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.")  # since torch 1.6, and before
WITHIN = ("state_dict", "model", "model_state_dict", "net")  # where scripts put the weights among other things
PARALLEL = "module."  # what DataParallel has before every name


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Of a file of torch nothing but tensors and plain values is read, so that it runs no code.

    Raises:
        EnvironmentProblem: It is neither, or has other things in it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        with path.open("rb") as file:
            begins = file.read(16)
        if begins.startswith(TORCH_BEGINS):
            found = _tensors(torch.load(path, map_location="cpu", weights_only=True))
        else:
            found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise EnvironmentProblem(
            f"{path}: cannot be read as safetensors: {error}. Weights are read from safetensors, or from what torch.save made of "
            "a state_dict; convert others with safetensors.torch.save_file(state_dict, path)."
        ) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EnvironmentProblem(
            f"{path}: cannot be read as weights alone: {reason} Where you trust who made it, load it yourself, and write it anew "
            "with torch.save(model.state_dict(), path)."
        ) from error
    return found


def _tensors(content: Any) -> dict[str, Tensor]:
    """The weights in what torch loaded: all of it, or what lies under one of the usual names.

    Raises:
        ValueError: There are none.
    """
    for name in WITHIN:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping) or not content or not all(isinstance(value, Tensor) for value in content.values()):
        has = f"a mapping of {', '.join(map(str, list(content)[:5]))}" if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"it has no state_dict, but {has}.")
    cut = len(PARALLEL) if all(name.startswith(PARALLEL) for name in content) else 0
    return {name[cut:]: value for name, value in content.items()}


def load_weights(model: nn.Module, path: Path, head: str, without: tuple[str, ...] = ()) -> None:
    """Loads a file of weights; the last layer keeps its own where the file's have another shape.

    Args:
        model: What they are for.
        path: The file.
        head: Name of its last layer.
        without: Beginnings of names that the model leaves out.

    Raises:
        EnvironmentProblem: The file cannot be read as weights, or they do not fit the model.
    """
    weights = {name: value for name, value in read_weights(path).items() if not name.startswith(without)}
    own = model.state_dict()
    for name in (f"{head}.weight", f"{head}.bias"):
        if name in weights and name in own and weights[name].shape != own[name].shape:
            weights[name] = own[name]
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise EnvironmentProblem(f"{path}: the weights do not fit the model: {error}") from error


def last_layer(model: nn.Module) -> str:
    """Name of the last layer with weights that gives the classes: the last linear or convolutional one."""
    names = [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    return str(names[-1])


def weights(model: nn.Module, _: Generator, /, *, path: FilePath) -> None:
    """Weights from a file, for any model, such as a pretrained one of timm; the last layer keeps its own where the shape differs.

    Args:
        path: A safetensors file, or what `torch.save` made of a `state_dict`.
    """
    load_weights(model, Path(path).expanduser(), last_layer(model))
