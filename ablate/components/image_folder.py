"""Your own images in class folders, decoded once into a memory-mapped cache."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ablate.contracts import Data, Environment, Split
from ablate.images import decode
from ablate.photographs import BUDGET
from ablate.registry.params import Bound, DataPath, Fraction, PositiveInt

from . import recorded
from .class_folders import Listing
from .contents import Content, content, file_bytes
from .decoded import Named, cached, write
from .fingerprints import fingerprint, limit_identity
from .layouts import images_of
from .splits import arrange

ANEW = ("of any size",)  # images of one size that were tensors in memory, whatever they took there


@dataclass(frozen=True)
class ImageFolder:
    """Images in folders or in a table; see `layouts`."""

    environment: Environment
    root: Path
    test: str | float
    size: int | None
    channels: Literal[1, 3]
    validation: float
    limit: int | None

    def fingerprint(self) -> str:
        listing = self._listing()
        limit = limit_identity(self.limit, listing.smallest_share())
        found = self._content(listing)
        anew = (*(ANEW if found.alike and of_any_size(found, self.channels, self.size) else ()), *_parting(self.test))
        return fingerprint(found.sha256, self.size, self.channels, self.validation, limit, *anew)

    def notices(self) -> list[str]:
        listing = self._listing()
        found = self._content(listing)
        return [*listing.notices, *found.notices(self.root), *size_notices(self.root, found, self.channels, self.size)]

    def training_images(self) -> int:
        files = len(self._listing().files[0])
        kept = files - math.ceil(files * self.validation)  # as scikit-learn rounds the part that is held out
        return min(kept, self.limit or kept)

    def load(self) -> Data:
        listing = self._listing()
        train, test = folders_split(listing, self._cache, self._place, self.channels, self.size)
        return arrange(train, test, listing.classes, self.validation, self.limit)

    @property
    def _cache(self) -> Path:
        return self.environment.data_dir / "image_folder"

    def _place(self) -> Path:
        parting = "".join(f"-{part}" for part in _parting(self.test))
        return self._cache / f"{self._content(self._listing()).sha256[:32]}-{self.size or 'as-is'}-{self.channels}{parting}"

    def _listing(self) -> Listing:
        return images_of(self.root, self.test)

    def _content(self, listing: Listing) -> Content:
        return content(listing, self._cache)


def _parting(test: str | float) -> tuple[str, ...]:
    """What tells one choice of test images from another one of the same files."""
    return (f"test {test:g}",) if isinstance(test, float) else ()


def of_any_size(found: Content, channels: int, size: int | None) -> bool:
    """Whether images keep their own sizes: they differ, or are more than what is kept decoded."""
    return size is None and (not found.alike or found.pixels * channels > BUDGET)


def size_notices(root: Path, found: Content, channels: int, size: int | None) -> Iterator[str]:
    """What is done with images of any size."""
    if of_any_size(found, channels, size):
        decoded, budget = found.pixels * channels, BUDGET / 2**30
        are = f"{root}: the images keep their own sizes, and are {decoded / 2**30:.2g} GiB decoded"
        if decoded <= BUDGET:
            yield f"{are}, within the {budget:g} GiB up to which they are kept decoded in the cache"
        else:
            yield f"{are}, more than the {budget:g} GiB up to which they are kept so: they are decoded again in every epoch"


def folders_split(
    listing: Listing, cache: Path, place: Callable[[], Path], channels: Literal[1, 3], size: int | None
) -> list[Split]:
    """The images of class folders, from a folder of the cache: decoded, or of any size.

    Args:
        listing: Which images.
        cache: Where notes of their content are.
        place: Gives the folder; its name stands for the content and the form of the images.
        channels: 3 for RGB, 1 for grey.
        size: Height and width that they are cropped and resized to, where given.

    Raises:
        EnvironmentProblem: One cannot be decoded.
    """
    found = content(listing, cache)
    if not of_any_size(found, channels, size):

        def decode_all(folder: Path) -> None:
            for part, files in zip(listing.parts, listing.files, strict=True):
                images: Iterator[Named] = ((path, decode(path, path, channels, size)) for path, _ in files)
                write(folder / part, [label for _, label in files], images)

        return cached(place, listing.parts, decode_all)

    def record_all(folder: Path) -> None:
        for part, files in zip(listing.parts, listing.files, strict=True):
            encoded = ((path, file_bytes(path)) for path, _ in files)
            recorded.write(folder / part, [label for _, label in files], encoded, channels, found.pixels * channels <= BUDGET)

    def of_records() -> Path:
        folder = place()
        return folder.with_name(f"{folder.name}-{recorded.decoders()}")

    return cached(of_records, listing.parts, record_all, recorded.recorded)


def image_folder(
    environment: Environment,
    /,
    *,
    path: DataPath,
    test: str | Annotated[float, Bound(above=0, below=1)] = "test",
    size: Annotated[int, Bound(minimum=1, maximum=4096)] | None = None,
    channels: Literal[1, 3] = 3,
    validation: Fraction = 0,
    limit: PositiveInt | None = None,
) -> ImageFolder:
    """Your own images: in `train/<class>/` and `test/<class>/`, in `<class>/` alone, or in a table (CSV) of paths and labels.

    Args:
        path: The folder, or the table.
        test: Name of the folder of the test images; or the part of each class that is taken for them, such as 0.2.
        size: Height and width that images are cropped and resized to; where None, they keep their sizes.
        channels: 3 for RGB, 1 for grey.
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """
    if isinstance(test, str) and (test in ("", "train", ".", "..") or os.path.basename(test) != test or "\0" in test):
        raise ValueError(f"test {test!r} is not the name of a folder beside 'train'")
    return ImageFolder(environment, Path(path).expanduser(), test, size, channels, validation, limit)
