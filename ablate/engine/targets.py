"""What a dataset's labels are, where they need not be one class an image: their form, and what in a recipe does not fit them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from ablate.contracts import IGNORED, DataInfo, Targets
from ablate.errors import Problem
from ablate.registry import Registry
from ablate.spec.recipe import Recipe

KNOWN = get_args(Targets)
WORDS: Mapping[str, str] = {
    "class": "one class an image",
    "regression": "numbers (regression)",
    "multilabel": "several labels an image (multilabel)",
    "mask": "a class for each pixel (mask)",
}
LOSS_HINT = "Name one that fits; a recipe that names no loss has cross_entropy."
METRICS_HINT = "Name metrics that fit; a recipe that names none has accuracy and loss, which are for one class an image."
DTYPES = {"class": "int64", "regression": "float32", "multilabel": "float32", "mask": "int64"}


def label_problems(name: str, labels: Any, images: Any, classes: int, targets: Targets) -> Iterator[str]:
    """Everything in which the labels of a part are not what the dataset says that they are.

    Args:
        name: What the part is called.
        labels: Of the part.
        images: Of the part, `[N, C, H, W]` or photographs.
        classes: How many class names there are.
        targets: What the labels are to be.
    """
    yield from dtype_problems(name, labels, targets)
    if not isinstance(labels, np.ndarray):
        return
    count = len(images)
    fits, expected = _form(labels.shape, count, images, classes, targets)
    if not fits:
        yield f"there are {count} {name} images and labels of {list(labels.shape)}: give {expected}"
    elif not labels.size:
        yield f"there are no {name} images: give at least one"
    elif labels.dtype == DTYPES[targets]:
        yield from _value_problems(name, labels, classes, targets)


def dtype_problems(name: str, labels: Any, targets: Targets) -> Iterator[str]:
    """Where the labels of a part are no array of the right kind of numbers."""
    if not isinstance(labels, np.ndarray) or labels.dtype != DTYPES[targets]:
        is_a = labels.dtype if isinstance(labels, np.ndarray) else f"a {type(labels).__name__}"
        yield f"{name} labels are {is_a}: give a numpy array of {DTYPES[targets]}"


def _form(shape: tuple[int, ...], count: int, images: Any, classes: int, targets: Targets) -> tuple[bool, str]:
    """Whether labels have the right form, and what it is in words."""
    if targets == "class":
        return shape == (count,), "one label an image"
    if targets == "mask":
        if not isinstance(images, np.ndarray):
            return False, "images of one size, as an array: photographs have no masks"
        sides = images.shape[2:]
        return shape == (count, *sides), f"masks of the size of the images, {[count, *sides]}"
    fits = shape == (count, classes) or (targets == "regression" and classes == 1 and shape == (count,))
    return fits, f"{[count, classes]}, a column for each of the class_names"


def _value_problems(name: str, labels: Any, classes: int, targets: Targets) -> Iterator[str]:
    if targets == "regression":
        if broken := int((~np.isfinite(labels)).sum()):
            yield f"{broken:,} of the {name} labels are not finite: give numbers"
    elif targets == "multilabel":
        if not np.isin(labels, (0, 1)).all():
            yield f"{name} labels are from {labels.min():g} to {labels.max():g}: give 1 where a label applies, and 0 where not"
    else:
        counted = labels[labels != IGNORED] if targets == "mask" else labels
        if not counted.size:
            yield f"no pixel of the {name} masks counts: give some other classes than {IGNORED}"
        elif not 0 <= counted.min() <= counted.max() < classes:
            but = f", but for {IGNORED} where a pixel does not count" if targets == "mask" else ""
            yield (
                f"{name} labels are from {counted.min()} to {counted.max()}, and there are {classes} class_names: "
                f"count from 0{but}"
            )


def name_problems(class_names: Sequence[str], targets: Any) -> Iterator[str]:
    """What is wrong with the names of classes, of labels or of numbers."""
    if targets not in KNOWN:
        yield f"targets are {targets!r}: give {', '.join(map(repr, KNOWN[:-1]))} or {KNOWN[-1]!r}"
        return
    least, words = (2, "two") if targets in ("class", "mask") else (1, "one")
    if not len(class_names) == len(set(class_names)) >= least:
        yield f"class_names are {list(class_names)}: give at least {words}, each a name of its own"


def as_tensor(labels: Any, targets: Targets) -> Tensor:
    """Labels as losses and metrics get them: numbers are float32 `[N, D]`, also where there is one an image."""
    tensor = torch.from_numpy(labels)
    return tensor[:, None] if targets == "regression" and tensor.ndim == 1 else tensor


def output_form(info: DataInfo, count: int) -> tuple[int, ...]:
    """The shape of what a model says of so many images."""
    return (count, info.classes, info.height, info.width) if info.targets == "mask" else (count, info.classes)


def declared(registry: Registry, kind: str, spec: Recipe) -> tuple[str, ...]:
    """The targets that a loss or a metric is for, as the attribute `targets` of its factory says; none where it says nothing."""
    return tuple(registry.load(kind, spec["use"]).says("targets", spec) or ())


def misfit(registry: Registry, kind: str, spec: Recipe, targets: Targets) -> str:
    """Why a loss or a metric is not for these targets; empty where it is, or says nothing."""
    own = declared(registry, kind, spec)
    if not own or targets in own:
        return ""
    name = spec.get("name", spec["use"].rpartition(":")[2])  # of those of torchmetrics, their own
    return f"{name} is for {' or '.join(WORDS[one] for one in own)}, and the dataset's targets are {WORDS[targets]}"


def misfits(registry: Registry, recipe: Recipe, targets: Targets) -> Iterator[Problem]:
    """Everything in a recipe that says of itself that it is for other targets."""
    parts = [("loss", "loss", recipe["loss"], LOSS_HINT)]
    parts += [(f"metrics.{name}", "metric", spec, METRICS_HINT) for name, spec in recipe["metrics"].items()]
    for path, kind, spec, hint in parts:
        if why := misfit(registry, kind, spec, targets):
            yield Problem(path, why, hint)
    if recipe.get("split") and targets != "class":
        message = f"parts are drawn anew with as many images of each class, and the dataset's targets are {WORDS[targets]}"
        yield Problem("split", message, "Remove it: the parts that the dataset has count then.")


def mask_notes(parts: Mapping[str, Tensor]) -> Iterator[Problem]:
    """How many masks have no pixel that counts.

    Args:
        parts: Masks, int64 `[N, H, W]`, by what their images are for.
    """
    for name, masks in parts.items():
        if empty := int((masks.flatten(1) == IGNORED).all(dim=1).sum()):
            message = f"no pixel counts in the masks of {empty:,} of {len(masks):,} {name} images, which add nothing"
            yield Problem("dataset", message)
