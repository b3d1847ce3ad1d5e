"""The cache of images that stay encoded: files of records. Each image is decoded when it is written, to see that it can be."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from typing import IO, Literal

import numpy as np

from ablate.contracts import Split
from ablate.errors import DiskProblem
from ablate.images import decode
from ablate.photographs import (
    FAST_JPEG,
    HEIGHT,
    INDEX,
    JPEG,
    LENGTH,
    OFFSET,
    OTHER,
    PIXELS,
    PLACE,
    RECORDS,
    WIDTH,
    Files,
    Photographs,
    Records,
    fast_decoded,
)

Encoded = tuple[str, bytes]  # what messages call an image, and its file
JPEG_BEGINS = b"\xff\xd8\xff"


def write(folder: Path, labels: Sequence[int], files: Iterable[Encoded], channels: Literal[1, 3], decoded: bool) -> None:
    """Writes a part.

    Args:
        folder: Where; it is made.
        labels: One an image, at least one.
        files: As many.
        channels: 3 for RGB, 1 for grey.
        decoded: Whether the pixels are kept, too.

    Raises:
        EnvironmentProblem: An image cannot be decoded.
    """
    folder.mkdir()
    np.save(folder / "labels.npy", np.array(labels, dtype=np.int64))
    with (folder / RECORDS).open("wb") as records, (folder / PIXELS).open("wb") as pixels:
        rows = [_append(records, pixels if decoded else None, name, data, channels) for name, data in files]
    np.save(folder / INDEX, np.array(rows, dtype=np.int64))
    (folder / "form.json").write_text(json.dumps({"channels": channels, "decoded": decoded}), "utf-8")


def _append(records: IO[bytes], pixels: IO[bytes] | None, name: str, data: bytes, channels: Literal[1, 3]) -> list[int]:
    """Writes an image, and returns its row of the index."""
    image = decode(data, name, channels)
    kind = OTHER
    if data.startswith(JPEG_BEGINS):
        fast = None
        with suppress(ValueError):
            fast = fast_decoded(data, channels)
        kind = FAST_JPEG if fast is not None and np.array_equal(fast, image) else JPEG
    row = [records.tell(), len(data), *image.shape[1:], kind, 0, 0]
    records.write(data)
    if pixels is not None:
        row[PLACE] = pixels.tell()
        pixels.write(image.transpose(1, 2, 0).tobytes())
    return row


def decoders() -> str:
    """The versions of what decodes: another one may give other pixels, or be another's equal no more."""
    versions = [package_version("pillow")]
    with suppress(PackageNotFoundError):
        versions.append(package_version("simplejpeg"))
    return "-".join(versions)


def recorded(folder: Path) -> Split:
    """The images and labels that a folder of the cache has.

    Raises:
        DiskProblem: They are not what was written there.
    """
    try:
        form = json.loads((folder / "form.json").read_text("utf-8"))
        index = np.load(folder / INDEX, allow_pickle=False)
        labels = np.load(folder / "labels.npy", allow_pickle=False)
        last, sizes = index[-1], index[:, HEIGHT] * index[:, WIDTH] * form["channels"]
        have = ((folder / RECORDS).stat().st_size, (folder / PIXELS).stat().st_size)
        if have != (last[OFFSET] + last[LENGTH], sizes.sum() if form["decoded"] else 0) or len(index) != len(labels):
            raise ValueError(f"files of {have[0]:,} and {have[1]:,} bytes are not those of the index")
        pixels = np.memmap(folder / PIXELS, np.uint8, "c") if form["decoded"] else None
        photographs = Photographs(form["channels"], index, (Files(folder, Records(folder / RECORDS), pixels),))
    except (OSError, ValueError, EOFError, KeyError, IndexError, TypeError) as error:
        raise DiskProblem(
            f"{folder}: the images cannot be read: {error}. Delete {folder.parent}, and they are made again."
        ) from error
    return Split(photographs, labels)
