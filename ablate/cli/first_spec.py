"""The spec of a first study, from four answers."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ablate.contracts import Json
from ablate.errors import UsageError, did_you_mean
from ablate.registry import Component, default
from ablate.spec.strict import parse

SMALL, LARGE = 64, 224  # height and width that images of a folder are brought to, for the small network and for others
VARIED: dict[str, str] = {
    "batch_norm": "batch normalisation in the network",
    "optimizer": "Adam in place of SGD",
    "learning_rate": "a learning rate three times as large, and one a third of it",
    "schedule": "a cosine schedule of the learning rate",
    "weight_decay": "weight decay",
    "flip": "images mirrored left to right, half of them",
    "erasing": "a rectangle of some images overwritten",
}
SEEDS = re.compile(r"(\d{1,4})(?:\s*(?:-|–|to)\s*(\d{1,4}))?")


def document(name: str, images: str, model: str, vary: Sequence[str], seeds: str) -> Json:
    """A spec.

    Args:
        name: Of the study.
        images: Name of a dataset, or path of a folder or a table of images.
        model: Name of a model, or of one of a library's.
        vary: Names of `VARIED`, and `PATH=VALUE,VALUE…` for any other setting of the recipe.
        seeds: A number, or `3 to 12` for as many as it takes.

    Raises:
        UsageError: An answer names nothing that there is.
    """
    base = _recipe(dataset_of(images), model_of(model), [name for name in ("flip", "erasing") if name in vary])
    factors = {factor: levels for answer in vary for factor, levels in [_factor(answer, base)]}
    if len(factors) < len(vary):
        raise UsageError("something is varied twice: name each once.")
    return {
        "name": name,
        "question": _question(list(factors)),
        "base": base,
        "factors": factors,
        "seeds": seeds_of(seeds),
        "compare": {"metric": "accuracy"},
    }


def _question(factors: Sequence[str]) -> str:
    if len(factors) == 1:
        return f"Does {factors[0]} make a difference?"
    return f"Which of {' and '.join(', '.join(factors).rsplit(', ', 1))} make a difference?"


def dataset_of(answer: str) -> Json:
    """A dataset by its name, or images by their place.

    Raises:
        UsageError: It is neither.
    """
    if (place := Path(answer).expanduser()).exists():
        return {"use": "image_folder", "path": str(place)}
    names = default().names("dataset")
    if answer not in names:
        hint = did_you_mean(answer, [name for name in names if name != "image_folder"])
        raise UsageError(f"{answer!r} is neither a folder of images nor a dataset. {hint}")
    own = {"size": 16} if answer == "digits" else {}  # they are of 8×8, which is too small for most models
    return _without_parameters("dataset", answer) | own


def model_of(answer: str) -> Json:
    """A model by its name, or by that of one of a library's models.

    Raises:
        UsageError: There is none.
    """
    names = default().names("model")
    if answer in names:
        return _without_parameters("model", answer)
    families = {name: default().load("model", name).choices("arch") for name in ("torchvision", *names) if _has_arch(name)}
    for family, members in families.items():
        if answer in members:
            return {"use": family, "arch": answer}
    known = [name for name in names if name not in families]
    hint = did_you_mean(answer, [*known, *(families.get("torchvision") or ())])
    raise UsageError(f"there is no model {answer!r}. {hint}")


def _has_arch(name: str) -> bool:
    return "arch" in default().load("model", name).signature.parameters


def _without_parameters(kind: str, name: str) -> Json:
    """A component as it is.

    Raises:
        UsageError: It cannot be used so.
    """
    parameters = default().load(kind, name).signature.parameters.values()
    if missing := [parameter.name for parameter in parameters if parameter.required]:
        raise UsageError(f"{kind} {name!r} needs {', '.join(missing)}: name another one here, and write it into the spec then.")
    return {"use": name}


def seeds_of(answer: str) -> Json:
    """A number of seeds, or the rule that adds them.

    Raises:
        UsageError: It is neither.
    """
    found = SEEDS.fullmatch(answer.strip())
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not found or least < 1 or most < least or (found[2] and least < 2):
        raise UsageError(f"seeds {answer!r}: expected a number such as 5, or 3 to 12 for as many as it takes to decide.")
    return {"min": least, "max": most, "stop": "decided"} if most > least else least


def _recipe(dataset: Json, model: Json, switched: Sequence[str]) -> Json:
    """SGD with momentum, and transforms for the images: as they are, or of a folder, brought to one size.

    Args:
        dataset: The images.
        model: The model.
        switched: Transforms that a factor puts in their place among the others.
    """
    small = model["use"] == "net"
    crops: tuple[Json, Json] = {}, {}
    normalize = {"use": "normalize", "mean": [0.5], "std": [0.5]}
    if dataset["use"] == "image_folder" and small:
        dataset = {**dataset, "size": SMALL}
    elif dataset["use"] == "image_folder":
        resize = {"resize": {"use": "resize", "size": LARGE * 8 // 7}, "crop": {"use": "center_crop", "size": LARGE}}
        crops = {"crop": {"use": "random_resized_crop", "size": LARGE}}, resize
        normalize = {"use": "normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    return {
        "dataset": dataset,
        "train_transforms": {**crops[0], **dict.fromkeys(switched), "normalize": normalize},
        "eval_transforms": {**crops[1], "normalize": normalize},
        "model": model,
        "optimizer": {"use": "sgd", "lr": 0.01, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 10,
    }


def _factor(answer: str, base: Json) -> tuple[str, Json]:
    """A factor with its levels: one of those that have a name, or values for a path."""
    path, equals, values = answer.strip().partition("=")
    if equals:
        told = [value.strip() for value in values.split(",") if value.strip()]
        if not told or not all(path.split(".")):
            raise UsageError(f"{answer!r}: expected values for a setting, such as optimizer.momentum=0,0.5.")
        return path.rpartition(".")[2], {value: _patch(path.split("."), parse(value, answer)) for value in told}
    levels: dict[str, Callable[[], Json]] = {
        "batch_norm": lambda: {"on": {"model": {"batch_norm": True}}},
        "optimizer": lambda: {"adam": {"optimizer": {"use": "adam", "lr": 0.001}}},
        "learning_rate": lambda: {"0.003": {"optimizer": {"lr": 0.003}}, "0.03": {"optimizer": {"lr": 0.03}}},
        "schedule": lambda: {"cosine": {"scheduler": {"use": "cosine"}}},
        "weight_decay": lambda: {"0.0005": {"optimizer": {"weight_decay": 0.0005}}},
        "flip": lambda: {"on": {"train_transforms": {"flip": {"use": "random_horizontal_flip"}}}},
        "erasing": lambda: {"on": {"train_transforms": {"erasing": {"use": "random_erasing"}}}},
    }
    if path not in levels:
        raise UsageError(f"nothing to vary is called {path!r}. {did_you_mean(path, levels)} Or PATH=VALUE,VALUE for any setting.")
    if path == "batch_norm" and base["model"]["use"] != "net":
        raise UsageError("batch_norm: the model 'net' has such a switch, and others have none. Vary something else.")
    return path, levels[path]()


def _patch(path: Sequence[str], value: Json) -> Json:
    for key in reversed(path):
        value = {key: value}
    return value


def laid_out(value: Json, width: int = 110, indent: int = 0) -> str:
    """JSON in which what fits in a line is in a line, but for the whole and the recipe."""
    line = json.dumps(value, ensure_ascii=False)
    nested = isinstance(value, dict) and any(isinstance(part, dict) for part in value.values())
    if not isinstance(value, dict) or (len(line) + indent <= width and (indent > 2 or (indent and not nested))):
        return line
    inner = " " * (indent + 2)
    rows = [f"{inner}{json.dumps(key, ensure_ascii=False)}: {laid_out(part, width, indent + 2)}" for key, part in value.items()]
    return "{\n" + ",\n".join(rows) + f"\n{' ' * indent}}}"


def offered(components: Sequence[Component]) -> str:
    """Names for a question."""
    return ", ".join(component.name for component in components if component.name != "image_folder")
