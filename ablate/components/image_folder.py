"""Your own images in class folders, decoded once into a memory-mapped cache."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from ablate.errors import EnvironmentProblem
from ablate.images import decode
from ablate.params import Bound, FolderPath, Fraction, PositiveInt
from ablate.records import Data, Environment, Split

from .class_folders import File, Listing, listed
from .contents import Content, content
from .decoded import Named, cached, write
from .fingerprints import fingerprint, limit_identity
from .splits import arrange


@dataclass(frozen=True)
class ImageFolder:
    """`<root>/<part>/<class>/<image>` for the parts `train` and `test`."""

    environment: Environment
    root: Path
    test: str
    size: int | None
    channels: Literal[1, 3]
    validation: float
    limit: int | None

    def fingerprint(self) -> str:
        listing = self._listing()
        limit = limit_identity(self.limit, listing.smallest_share())
        return fingerprint(self._content(listing).sha256, self.size, self.channels, self.validation, limit)

    def notices(self) -> list[str]:
        listing = self._listing()
        return [*listing.notices, *self._content(listing).notices(self.root)]

    def training_images(self) -> int:
        files = len(self._listing().files[0])
        kept = files - math.ceil(files * self.validation)  # as scikit-learn rounds the part that is held out
        return min(kept, self.limit or kept)

    def load(self) -> Data:
        listing = self._listing()
        train, test = decoded_folders(listing, self._place, self.channels, self.size)
        return arrange(train, test, listing.classes, self.validation, self.limit)

    @property
    def _cache(self) -> Path:
        return self.environment.data_dir / "image_folder"

    def _place(self) -> Path:
        return self._cache / f"{self._content(self._listing()).sha256[:32]}-{self.size or 'as-is'}-{self.channels}"

    def _listing(self) -> Listing:
        return listed(self.root, ("train", self.test))

    def _content(self, listing: Listing) -> Content:
        return content(listing, self._cache)


def decoded_folders(listing: Listing, place: Callable[[], Path], channels: Literal[1, 3], size: int | None) -> list[Split]:
    """The images of class folders, from a folder of the cache.

    Args:
        listing: Which images.
        place: Gives the folder; its name stands for the content and the form of the images.
        channels: 3 for RGB, 1 for grey.
        size: Height and width that they are cropped and resized to, where given.

    Raises:
        EnvironmentProblem: One cannot be decoded, or they differ in size.
    """

    def images(files: Sequence[File]) -> Iterator[Named]:
        return ((path, decode(path, path, channels, size)) for path, _ in files)

    def decode_all(folder: Path) -> None:
        for part, files in zip(listing.parts, listing.files, strict=True):
            write(folder / part, [label for _, label in files], images(files))

    splits = cached(place, listing.parts, decode_all)
    if splits[0].images.shape[1:] != splits[1].images.shape[1:]:
        raise EnvironmentProblem(f"{listing.root}: training and test images differ in size. Give a `size`.")
    return splits


def image_folder(
    environment: Environment,
    /,
    *,
    path: FolderPath,
    test: str = "test",
    size: Annotated[int, Bound(minimum=1, maximum=4096)] | None = None,
    channels: Literal[1, 3] = 3,
    validation: Fraction = 0,
    limit: PositiveInt | None = None,
) -> ImageFolder:
    """Your own images, in `train/<class>/` and `test/<class>/`, decoded once into a cache under the data directory.

    Args:
        path: The folder that has `train` and `test` in it.
        test: Name of the folder of the test images.
        size: Height and width that images are cropped and resized to; needed where they differ in size.
        channels: 3 for RGB, 1 for grey.
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """
    if test in ("", "train", ".", "..") or os.path.basename(test) != test or "\0" in test:
        raise ValueError(f"test {test!r} is not the name of a folder beside 'train'")
    return ImageFolder(environment, Path(path).expanduser(), test, size, channels, validation, limit)
