"""What a cell said of each evaluated image: its class and how sure it was, as a small file (about 30 kB for 10,000 images).

It is a compressed NumPy archive, `np.load(FILE, allow_pickle=False)`. No pickle is read, and no more than it can hold.
"""

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import EnvironmentProblem
from .writing import replaced

STEPS = 65535  # between a confidence of 0 and of 1
LARGEST = 100_000_000  # bytes of one cell's predictions, unpacked: ten million images
WRONG = (ValueError, LookupError, TypeError, OSError, EOFError, RecursionError, NotImplementedError)  # of a file that is none
NAMES = {"labels", "answers", "confidence", "about"}


@dataclass(frozen=True)
class Predictions:
    """A cell's answers, one an image, in the order of the dataset.

    Attributes:
        labels: The true classes, int64 `[N]`.
        answers: The most likely classes, int64 `[N]`.
        confidence: Their probabilities, float64 `[N]`, to 1/65535.
        class_names: One a class.
        images: A digest of some of the images, so that cells are compared image by image only where they saw the same.
    """

    labels: npt.NDArray[np.int64]
    answers: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    class_names: tuple[str, ...]
    images: str


def packed(told: Predictions) -> str:
    """Predictions as text, for a result that crosses processes as JSON."""
    kind = np.uint8 if len(told.class_names) <= 256 else np.uint32
    about = json.dumps({"class_names": told.class_names, "images": told.images})
    file = io.BytesIO()
    np.savez_compressed(
        file,
        labels=told.labels.astype(kind),
        answers=told.answers.astype(kind),
        confidence=np.rint(told.confidence * STEPS).astype(np.uint16),
        about=np.frombuffer(about.encode(), np.uint8),
    )
    return base64.b64encode(file.getvalue()).decode()


def unpacked(data: bytes) -> Predictions:
    """Predictions from the content of a file.

    Raises:
        ValueError: They are damaged, or no predictions.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError(f"they have more than {LARGEST:,} bytes")
            if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in NAMES):
                raise ValueError(f"they have {sorted(archive.namelist())}")
            found: Mapping[str, npt.NDArray[Any]] = {
                name: (_same if name in ("labels", "about") else _array)(archive.read(f"{name}.npy")) for name in NAMES
            }
        about = json.loads(found["about"].tobytes())
        names, images = tuple(map(str, about["class_names"])), str(about["images"])
    except (zipfile.BadZipFile, zlib.error, *WRONG) as error:
        raise ValueError(f"the predictions cannot be read: {error}") from error
    labels, answers, confidence = (found[name] for name in ("labels", "answers", "confidence"))
    if {array.ndim for array in (labels, answers, confidence)} != {1} or len({len(labels), len(answers), len(confidence)}) > 1:
        raise ValueError("the predictions are not one of each image")
    if any(array.dtype.kind != "u" for array in (labels, answers, confidence)) or confidence.dtype != np.uint16:
        raise ValueError("the predictions are not whole numbers")
    if not len(labels) or max(labels.max(), answers.max()) >= len(names):
        raise ValueError("the predictions have classes without a name, or no image")
    return Predictions(labels.astype(np.int64), answers.astype(np.int64), confidence / STEPS, names, images)


def _array(data: bytes) -> npt.NDArray[Any]:
    """One of an archive's. `np.load` reads the list of the archive again for it, which takes as long as the array."""
    array: npt.NDArray[Any] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


@lru_cache(maxsize=8)
def _same(data: bytes) -> npt.NDArray[Any]:
    """The same, of what the cells of a study have alike."""
    array = _array(data)
    array.flags.writeable = False
    return array


def decoded(text: str) -> bytes:
    """The content of a file from the text of a result.

    Raises:
        ValueError: It is no such text, or what it holds are no predictions.
    """
    data = base64.b64decode(text, validate=True)
    unpacked(data)
    return data


def write(file: Path, text: str) -> None:
    """Writes the predictions of a result.

    Raises:
        OSError: The disk is full, broken or read-only.
    """
    with replaced(file) as temporary:
        temporary.write_bytes(decoded(text))


def read(file: Path) -> Predictions | None:
    """A cell's predictions; None where none were kept.

    Raises:
        EnvironmentProblem: The file is damaged.
    """
    try:
        return unpacked(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(f"{file}: {error}. Delete it: results do not depend on it.") from error
