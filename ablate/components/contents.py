"""What the images of class folders are: a digest that names them, and what is special about them."""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ablate import images
from ablate.errors import DiskProblem
from ablate.writing import replaced

from .class_folders import Listing
from .splits import fingerprint, space_error

NOTES = 3  # counts up when notes of older versions cannot be believed any more


@dataclass(frozen=True)
class Content:
    """What the images of a listing are.

    Attributes:
        sha256: Of their names, labels and bytes, and of how those are read that have `images.READ_ANEW` in their remarks.
        remarks: How many images each of `images.REMARKS` is about.
        repeated: Test images whose file is among the training images too; and files that two classes have.
    """

    sha256: str
    remarks: dict[str, int]
    repeated: tuple[int, int]

    def notices(self, root: Path | str) -> Iterator[str]:
        for remark, count in self.remarks.items():
            yield f"{root}: {count:,} image{'s' * (count > 1)}: {images.REMARKS[remark]}"
        both, twice = self.repeated
        if both:
            yield f"{root}: {both:,} test image{'s are' if both > 1 else ' is'} among the training images too, byte for byte"
        if twice:
            yield f"{root}: {twice:,} file{'s are' if twice > 1 else ' is'} in more than one class, byte for byte"


def content(listing: Listing, cache: Path) -> Content:
    """What the images are; read once, and again when the name, size or time of any file changes."""
    digest = hashlib.sha256(f"{NOTES}\n".encode())
    files = [file for of_part in listing.files for file in of_part]
    for path, label in files:
        stat = os.stat(path)
        digest.update(f"{path}\0{label}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    note = cache / f"{digest.hexdigest()[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
        known = json.loads(note.read_text())
        return Content(str(known["sha256"]), dict(known["remarks"]), (known["repeated"][0], known["repeated"][1]))
    made = _read(listing)
    try:
        with replaced(note) as temporary:
            temporary.write_text(json.dumps({"root": str(listing.root), "images": len(files), **asdict(made)}))
    except OSError as error:
        raise space_error(note, error) from error
    return made


def _read(listing: Listing) -> Content:
    lines: list[str] = []
    survey = Survey()
    for part, files in enumerate(listing.files):
        for path, label in files:
            sha256, remarks = survey.look(part, label, _bytes(path), path)
            anew = "".join(f" {remark}" for remark in remarks if remark in images.READ_ANEW)
            lines.append(f"{os.path.relpath(path, listing.root)} {label} {sha256}{anew}")
    return survey.content(fingerprint(*lines))


class Survey:
    """What is special about images that are looked at one after the other."""

    def __init__(self) -> None:
        self._remarks: Counter[str] = Counter()
        self._labels: dict[str, set[int]] = defaultdict(set)
        self._seen: tuple[Counter[str], Counter[str]] = (Counter(), Counter())

    def look(self, part: int, label: int, data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
        """The SHA-256 of an image file, and the remarks on it.

        Args:
            part: 0 for training images, 1 for test images.
            label: Its class.
            data: Its content.
            name: What messages call it.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        remarks = images.remarks(data, name)
        self._remarks.update(remarks)
        self._labels[sha256].add(label)
        self._seen[part][sha256] += 1
        return sha256, remarks

    def content(self, sha256: str) -> Content:
        """All of it, for images that have this digest together."""
        train, test = self._seen
        both = sum(count for found, count in test.items() if found in train)
        twice = sum(len(labels) > 1 for labels in self._labels.values())
        return Content(sha256, dict(sorted(self._remarks.items())), (both, twice))


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DiskProblem(f"{path}: cannot be read: {error}. Repair it or remove it.") from error
