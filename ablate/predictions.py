"""What a cell said of each evaluated image: its class and how sure it was, as a small file (about 30 kB for 10,000 images).

Of masks it is how many pixels of each class were said to be of which, and how well each image was told. The file is a compressed
NumPy archive, `np.load(FILE, allow_pickle=False)`. No pickle is read, and no more than it can hold.
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
NO_VALUE = 65535  # in place of an overlap, which is from 0 to one less
MOST_PIXELS = 2**53  # which float64 counts without rounding
LARGEST = 100_000_000  # bytes of one cell's predictions, unpacked: ten million images
WRONG = (ValueError, LookupError, TypeError, OSError, EOFError, RecursionError, NotImplementedError)  # of a file that is none
NAMES = {"labels", "answers", "confidence", "about"}
NAMES_OF_MASKS = {"pixels", "containing", "overlaps", "about"}
Numbers = npt.NDArray[Any]


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

    def __len__(self) -> int:
        """How many images they are of."""
        return len(self.labels)


@dataclass(frozen=True)
class MaskPredictions:
    """What a cell said of the pixels of all images, as far as they count.

    Attributes:
        pixels: Pixels of each class (rows) by the class that was said (columns), int64 `[K, K]`.
        containing: Images with a pixel of each class, int64 `[K]`.
        overlaps: IoU of each image, the mean over the classes that its mask has, float64 `[N]`, to 1/65534; NaN where no pixel
            of it counts.
        class_names: One a class.
        images: As of `Predictions`.
    """

    pixels: npt.NDArray[np.int64]
    containing: npt.NDArray[np.int64]
    overlaps: npt.NDArray[np.float64]
    class_names: tuple[str, ...]
    images: str

    def __len__(self) -> int:
        """How many images they are of."""
        return len(self.overlaps)


def packed(told: Predictions | MaskPredictions) -> str:
    """Predictions as text, for a result that crosses processes as JSON."""
    about = json.dumps({"class_names": told.class_names, "images": told.images})
    file = io.BytesIO()
    np.savez_compressed(file, **_whole_numbers(told), about=np.frombuffer(about.encode(), np.uint8))
    return base64.b64encode(file.getvalue()).decode()


def _whole_numbers(told: Predictions | MaskPredictions) -> dict[str, Any]:
    if isinstance(told, MaskPredictions):
        overlaps = np.where(np.isnan(told.overlaps), NO_VALUE, np.rint(np.nan_to_num(told.overlaps) * (NO_VALUE - 1)))
        numbers = {"pixels": told.pixels.astype(np.uint64), "containing": told.containing.astype(np.uint64)}
        return {**numbers, "overlaps": overlaps.astype(np.uint16)}
    kind = np.uint8 if len(told.class_names) <= 256 else np.uint32
    numbers = {"labels": told.labels.astype(kind), "answers": told.answers.astype(kind)}
    return {**numbers, "confidence": np.rint(told.confidence * STEPS).astype(np.uint16)}


def unpacked(data: bytes) -> Predictions | MaskPredictions:
    """Predictions from the content of a file.

    Raises:
        ValueError: They are damaged, or no predictions.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                raise ValueError(f"they have more than {LARGEST:,} bytes")
            there = {name.removesuffix(".npy") for name in archive.namelist()}
            if there not in (NAMES, NAMES_OF_MASKS) or len(archive.namelist()) != len(there):
                raise ValueError(f"they have {sorted(archive.namelist())}")
            found: Mapping[str, Numbers] = {
                name: (_same if name in ("labels", "about") else _array)(archive.read(f"{name}.npy")) for name in there
            }
        about = json.loads(found["about"].tobytes())
        names, images = tuple(map(str, about["class_names"])), str(about["images"])
    except (zipfile.BadZipFile, zlib.error, *WRONG) as error:
        raise ValueError(f"the predictions cannot be read: {error}") from error
    if any(found[name].dtype.kind != "u" for name in there - {"about"}):
        raise ValueError("the predictions are not whole numbers")
    return (_of_masks if there == NAMES_OF_MASKS else _of_classes)(found, names, images)


def _of_classes(found: Mapping[str, Numbers], names: tuple[str, ...], images: str) -> Predictions:
    labels, answers, confidence = (found[name] for name in ("labels", "answers", "confidence"))
    if {array.ndim for array in (labels, answers, confidence)} != {1} or len({len(labels), len(answers), len(confidence)}) > 1:
        raise ValueError("the predictions are not one of each image")
    if confidence.dtype != np.uint16:
        raise ValueError("the predictions are not as sure as uint16 says")
    if not len(labels) or max(labels.max(), answers.max()) >= len(names):
        raise ValueError("the predictions have classes without a name, or no image")
    return Predictions(labels.astype(np.int64), answers.astype(np.int64), confidence / STEPS, names, images)


def _of_masks(found: Mapping[str, Numbers], names: tuple[str, ...], images: str) -> MaskPredictions:
    pixels, containing, overlaps = (found[name] for name in ("pixels", "containing", "overlaps"))
    if pixels.shape != (len(names), len(names)) or containing.shape != (len(names),):
        raise ValueError("the predictions have other classes than names")
    if overlaps.ndim != 1 or overlaps.dtype != np.uint16 or not len(overlaps):
        raise ValueError("the predictions are not one of each image")
    if containing.max() > len(overlaps) or pixels.sum(dtype=float) > MOST_PIXELS:
        raise ValueError("the predictions are of more images or pixels than there are")
    shares = np.where(overlaps == NO_VALUE, np.nan, overlaps / (NO_VALUE - 1))
    return MaskPredictions(pixels.astype(np.int64), containing.astype(np.int64), shares, names, images)


def _array(data: bytes) -> Numbers:
    """One of an archive's. `np.load` reads the list of the archive again for it, which takes as long as the array."""
    array: Numbers = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return array


@lru_cache(maxsize=8)
def _same(data: bytes) -> Numbers:
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


def read(file: Path) -> Predictions | MaskPredictions | None:
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
