"""Images of any size, which stay encoded in a file of records and are decoded when they are asked for."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .errors import DiskProblem, EnvironmentProblem
from .images import Pixels, decode

BUDGET = 2 << 30  # bytes of decoded images that are kept decoded; and from which on images of one size stay encoded
SCALES = (8, 4, 2)  # by which a JPEG file can be decoded smaller, with nothing but a part of its own transform
SPARE = 2  # a smaller image has at least so many pixels a side for each that is asked for, so that nobody sees the difference
RECORDS, PIXELS, INDEX = "encoded.bin", "pixels.bin", "index.npy"
OFFSET, LENGTH, HEIGHT, WIDTH, KIND, PLACE, FILES = range(7)  # the columns of an index: PLACE is of pixels, FILES says which
OTHER, JPEG, FAST_JPEG = range(3)  # kinds; of the last one, simplejpeg gave the same pixels as Pillow when it was written

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Files:
    """What the cache has of a part of a dataset.

    Attributes:
        folder: Where it is.
        records: A file that is read at offsets, which any number of threads may do. Not mapped: what is read of a mapped file
            counts as memory of the process.
        pixels: All images decoded, memory-mapped; None where they are too many.
    """

    folder: Path
    records: "Records"
    pixels: npt.NDArray[np.uint8] | None


@dataclass(frozen=True)
class Photographs:
    """Images uint8 `[channels, H, W]`, each with a height and a width of its own.

    Attributes:
        channels: 3 for RGB, 1 for grey.
        index: int64 `[N, 7]`: the columns above.
        files: What they are read from, by the last of the columns.
    """

    channels: Literal[1, 3]
    index: Index
    files: tuple[Files, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, indices: Any) -> "Photographs":
        """Some of them: indices, or a slice."""
        return replace(self, index=self.index[indices])

    def __iter__(self) -> Iterator[Pixels]:
        return (self.decoded(place) for place in range(len(self)))

    def with_channels(self, channels: Literal[1, 3]) -> "Photographs":
        """The same with as many channels, decoded from the files."""
        return replace(self, channels=channels, files=tuple(replace(of_part, pixels=None) for of_part in self.files))

    def encoded(self, place: int) -> bytes:
        """The file of an image.

        Raises:
            DiskProblem: The records are damaged.
        """
        offset, length = self.index[place, [OFFSET, LENGTH]].tolist()
        return self._files(place).records.read(offset, length)

    def _files(self, place: int) -> Files:
        return self.files[int(self.index[place, FILES])]

    def size(self, place: int) -> tuple[int, int]:
        """Height and width of an image."""
        return int(self.index[place, HEIGHT]), int(self.index[place, WIDTH])

    def scale(self, place: int, part: tuple[int, int], wanted: tuple[int, int]) -> int:
        """By how much smaller an image can be decoded.

        Args:
            place: Which image.
            part: Height and width of the part of it that is used.
            wanted: Height and width that the part gets.
        """
        if self.index[place, KIND] == OTHER:
            return 1
        enough = [s for s in SCALES if all(have // s >= SPARE * want for have, want in zip(part, wanted, strict=True))]
        return max(enough, default=1)

    def decoded(self, place: int, scale: int = 1) -> Pixels:
        """The pixels of an image, in an array that may be read-only.

        Args:
            place: Which image.
            scale: As `scale` gives it.

        Raises:
            DiskProblem: The records are damaged.
        """
        offset, _, height, width, kind, at, _ = self.index[place].tolist()
        folder, pixels = self._files(place).folder, self._files(place).pixels
        if scale == 1 and pixels is not None:
            return pixels[at : at + self.channels * height * width].reshape(height, width, -1).transpose(2, 0, 1)
        data, name = self.encoded(place), f"{folder}: the record at byte {offset:,}"
        try:
            fast = fast_decoded(data, self.channels, scale) if kind == FAST_JPEG else None
            return decode(data, name, self.channels, scale=scale) if fast is None else fast
        except (EnvironmentProblem, ValueError) as error:  # it could be decoded when it was written
            why = f"{name}: cannot be read as an image: {error}." if isinstance(error, ValueError) else str(error)
            raise DiskProblem(f"{why} Delete {folder.parent}, and it is made again.") from error


def joined(parts: Sequence[Photographs]) -> Photographs:
    """All images of several parts, one part after the other."""
    files: list[Files] = []
    rows = []
    for part in parts:
        index = part.index.copy()
        index[:, FILES] += len(files)
        rows.append(index)
        files += part.files
    return Photographs(parts[0].channels, np.concatenate(rows), tuple(files))


class Records:
    """A file that is opened once a process, and read at offsets."""

    def __init__(self, path: Path):
        self.path = path

    @cached_property
    def _descriptor(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def read(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise DiskProblem(f"{self.path}: cannot be read: {error}.") from error
        if len(data) != length:
            raise DiskProblem(f"{self.path}: ends before byte {offset + length:,}. Delete {self.path.parent.parent}.")
        return data


def fast_decoded(data: bytes, channels: Literal[1, 3], scale: int = 1) -> Pixels | None:
    """The pixels of a JPEG file by simplejpeg, which lets other threads work; None where it is not installed, or does not fit.

    Raises:
        ValueError: The file is damaged, or of a kind that it does not read. Pillow gives some pixels for damaged ones.
    """
    try:
        import simplejpeg
    except ImportError:
        return None
    if channels != 3:  # its grey is the file's luma, and Pillow's that of the RGB image
        return None
    least = {}
    if scale > 1:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        least = {"min_height": -(-height // scale), "min_width": -(-width // scale), "min_factor": scale}
    pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", **least).transpose(2, 0, 1)
    return pixels
