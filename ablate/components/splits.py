"""Parts of a dataset, the same for everybody who asks for them."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ablate.contracts import Data, Split, Targets
from ablate.errors import UsageError

from .fingerprints import fingerprint

__all__ = ["arrange", "fingerprint"]  # plugins that `ablate new-plugin` began have both from here


def arrange(
    train: Split, test: Split, class_names: Sequence[str], validation: float, limit: int | None, targets: Targets = "class"
) -> Data:
    """The dataset with a part of the training images held out, and with no more images than asked for.

    Both choices are stratified by class, where labels are one class an image, and depend on nothing but the data.

    Args:
        train: All training images.
        test: All test images.
        class_names: One name a class.
        validation: Part of the training images that is held out, in [0, 1).
        limit: Largest number of training images and of test images; None for all.
        targets: What the labels are.

    Raises:
        UsageError: There are too few images for such parts.
    """
    if targets != "class":
        return _drawn(train, test, class_names, validation, limit, targets)
    held_out = None
    if validation:
        _check_validation(train, class_names, validation)
        kept, held = _split(train, validation)
        train, held_out = _take(train, kept), _take(train, held)
    held_out = held_out and _limit(held_out, limit, "validation")
    return Data(_limit(train, limit, "training"), _limit(test, limit, "test"), held_out, tuple(class_names))


def _drawn(train: Split, test: Split, class_names: Sequence[str], validation: float, limit: int | None, targets: Targets) -> Data:
    """The same where labels are no classes that parts could have alike: which images they have is drawn, always alike."""
    held = math.ceil(validation * len(train.labels))
    if validation and held >= len(train.labels):
        raise UsageError(f"validation {validation:g}: of {len(train.labels):,} training images that leaves none. Give less.")
    order = np.random.default_rng(0).permutation(len(train.labels))
    held_out = _take(train, np.sort(order[:held])) if held else None
    train = _take(train, np.sort(order[held:])) if held else train

    def some(part: Split) -> Split:
        if limit is None or limit >= len(part.labels):
            return part
        return _take(part, np.sort(np.random.default_rng(0).permutation(len(part.labels))[:limit]))

    return Data(some(train), some(test), held_out and some(held_out), tuple(class_names), targets)


def _check_validation(train: Split, class_names: Sequence[str], part: float) -> None:
    labels, counts = np.unique(train.labels, return_counts=True)
    total, classes = len(train.labels), len(labels)
    held = math.ceil(part * total)
    if single := [repr(class_names[label]) for label in labels[counts < 2]]:
        names = ", ".join(single[:5]) + (f" and {len(single) - 5:,} more" if len(single) > 5 else "")
        raise UsageError(
            f"validation {part:g}: one training image is all that there is of {names}, and it cannot be held out and trained on. "
            "Add images, remove the class, or leave out `validation`."
        )
    if held < classes:
        raise UsageError(
            f"validation {part:g}: of {total:,} training images that is {held:,}, and there are {classes:,} classes. "
            f"Give at least {_rounded_up(classes / total)}."
        )
    if total - held < classes:
        raise UsageError(
            f"validation {part:g}: of {total:,} training images that leaves {total - held:,}, and there are {classes:,} classes. "
            "Give less."
        )


def _rounded_up(part: float) -> float:
    return math.ceil(part * 1000) / 1000


def _limit(split: Split, limit: int | None, name: str) -> Split:
    if limit is None or limit >= len(split.labels):
        return split
    labels, counts = np.unique(split.labels, return_counts=True)
    if limit < len(labels):
        raise UsageError(
            f"limit {limit:,}: the {name} images are of {len(labels):,} classes, and each needs one. "
            f"Give at least {len(labels):,}, or no `limit`."
        )
    if counts.min() > 1 and limit <= len(split.labels) - len(labels):
        chosen = _split(split, limit)[1]
        if len(np.unique(split.labels[chosen])) == len(labels):
            return _take(split, chosen)
    return _take(split, _allocated(split.labels, limit))  # where scikit-learn splits nothing, or leaves out a class


def _allocated(labels: npt.NDArray[np.int64], total: int) -> npt.NDArray[np.int64]:
    """So many indices in rising order: one of each class, the others in proportion, by largest remainders."""
    names, counts = np.unique(labels, return_counts=True)
    others = counts - 1
    shares = others * (total - len(names)) / max(1, others.sum())
    given = np.floor(shares).astype(int)
    missing = total - len(names) - given.sum()
    given[np.argsort(-(shares - given), kind="stable")[:missing]] += 1
    of_class = (np.flatnonzero(labels == name) for name in names)
    chosen = [
        np.random.default_rng([0, int(name)]).permutation(indices)[: 1 + count]
        for name, indices, count in zip(names, of_class, given, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _split(split: Split, part: float | int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the rest and of the part, each in rising order."""
    from sklearn.model_selection import train_test_split

    indices = np.arange(len(split.labels))
    rest, taken = train_test_split(indices, test_size=part, stratify=split.labels, random_state=0)
    return np.sort(rest), np.sort(taken)


def _take(split: Split, indices: npt.NDArray[np.int64]) -> Split:
    images = split.images[indices]
    return Split(np.ascontiguousarray(images) if isinstance(images, np.ndarray) else images, split.labels[indices])
