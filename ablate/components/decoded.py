"""The memory-mapped cache of decoded images, the same for every dataset that has to decode files."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from ablate.contracts import Split
from ablate.errors import DiskProblem, EnvironmentProblem
from ablate.images import Pixels
from ablate.writing import replaced

from .fingerprints import space_error

Array = np.ndarray[tuple[int, ...], np.dtype[Any]]
Named = tuple[str, Pixels]  # an image [C, H, W], and what messages call it


def cached(
    place: Callable[[], Path],
    parts: Sequence[str],
    decode: Callable[[Path], None],
    read: Callable[[Path], Split] | None = None,
) -> list[Split]:
    """The parts in a folder of the cache, decoded into it first where they are not there.

    Args:
        place: Gives the folder; its name stands for the content and the form of the images. Asked again when they are decoded.
        parts: Names of the folders in it that `write` was called with.
        decode: Fills a temporary folder, which takes its name only when it is whole.
        read: Opens a part; `decoded` where None.

    Raises:
        DiskProblem: There is no room, or what is there is not what was written.
        EnvironmentProblem: The images changed while they were decoded.
    """
    folder = place()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                temporary = Path(tempfile.mkdtemp(prefix=".decoding-", dir=folder.parent))
                try:
                    decode(temporary)
                    if place() != folder:
                        raise EnvironmentProblem("the images of the dataset were changed while they were decoded. Run it again.")
                    temporary.replace(folder)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise space_error(folder, error) from error
    return [(read or decoded)(folder / part) for part in parts]


def decoded(folder: Path) -> Split:
    """The images and labels that a folder of the cache has.

    Raises:
        DiskProblem: They are not what was written there.
    """
    try:
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise ValueError(f"{images.dtype} {list(images.shape)} with labels {labels.dtype} {list(labels.shape)}")
    except (OSError, ValueError, EOFError) as error:
        raise DiskProblem(
            f"{folder}: the decoded images cannot be read: {error}. Delete {folder.parent}, and they are decoded again."
        ) from error
    return Split(images, labels)


def write(folder: Path, labels: Sequence[int], images: Iterator[Named]) -> None:
    """Writes a part.

    Args:
        folder: Where; it is made.
        labels: One an image, at least one.
        images: As many.

    Raises:
        EnvironmentProblem: They differ in size.
    """
    folder.mkdir()
    numbers = np.array(labels, dtype=np.int64)
    _write(folder / "labels.npy", numbers.dtype, numbers.shape, [numbers])
    first_name, first = next(images)

    def alike() -> Iterator[Array]:
        yield first
        for name, image in images:
            if image.shape != first.shape:
                raise EnvironmentProblem(
                    f"{name}: is {image.shape[1]}×{image.shape[2]}, and {first_name} is {first.shape[1]}×{first.shape[2]}. "
                    "Give a `size`, and all are resized to it."
                )
            yield image

    _write(folder / "images.npy", first.dtype, (len(numbers), *first.shape), alike())


def _write(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], parts: Iterable[Array]) -> None:
    """An array as a file, part after part, and not through mapped memory: there, a full disk would kill the process."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        )
        for part in parts:
            file.write(part.tobytes())
