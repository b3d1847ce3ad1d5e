"""Parts of a dataset, the same for everybody who asks for them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ablate.errors import DiskProblem, EnvironmentProblem
from ablate.records import Data, Split


def arrange(train: Split, test: Split, class_names: Sequence[str], validation: float, limit: int | None) -> Data:
    """The dataset with a part of the training images held out, and with no more images than asked for.

    Both choices are stratified by class and depend on nothing but the data.

    Args:
        train: All training images.
        test: All test images.
        class_names: One name a class.
        validation: Part of the training images that is held out, in [0, 1).
        limit: Largest number of training images and of test images; None for all.

    Raises:
        EnvironmentProblem: There are too few images for such parts.
    """
    held_out = None
    if validation:
        kept, held = _split(train, validation)
        train, held_out = _take(train, kept), _take(train, held)
    return Data(_limit(train, limit), _limit(test, limit), held_out and _limit(held_out, limit), tuple(class_names))


def _limit(split: Split, limit: int | None) -> Split:
    if limit is None or limit >= len(split.labels):
        return split
    return _take(split, _split(split, limit)[1])


def _split(split: Split, part: float | int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of the rest and of the part, each in rising order."""
    from sklearn.model_selection import train_test_split

    indices = np.arange(len(split.labels))
    try:
        rest, taken = train_test_split(indices, test_size=part, stratify=split.labels, random_state=0)
    except ValueError as error:
        raise EnvironmentProblem(f"{len(indices)} images cannot be split: {error}") from error
    return np.sort(rest), np.sort(taken)


def _take(split: Split, indices: npt.NDArray[np.int64]) -> Split:
    return Split(np.ascontiguousarray(split.images[indices]), split.labels[indices])


def fingerprint(*parts: str | bytes | int | float | None) -> str:
    """SHA-256 (hex) of the parts, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode(errors="surrogateescape")  # names of files are bytes
        digest.update(f"{len(data)}:".encode() + data)
    return digest.hexdigest()


def space_error(place: Path, error: OSError) -> DiskProblem:
    return DiskProblem(f"{place}: cannot be written: {error}. Make room there, or choose another place with --data-dir.")
