"""Images in class folders, decoded once into a memory-mapped cache."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from filelock import FileLock

from ablate.errors import DiskProblem, EnvironmentProblem
from ablate.identity import file_digest
from ablate.params import Bound, FolderPath, Fraction, PositiveInt
from ablate.records import Data, Environment, Split
from ablate.writing import replaced

from .splits import arrange, fingerprint, space_error

EXTENSIONS = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
File = tuple[str, int]  # path, and class
Array = np.ndarray[tuple[int, ...], np.dtype[Any]]


def _images_under(folder: str, above: tuple[tuple[int, int], ...] = ()) -> list[str]:
    """The image files of a folder and of those in it, sorted; 60,000 of them in a fraction of a second."""
    stat = os.stat(folder)
    above = (*above, (stat.st_dev, stat.st_ino))
    if above[-1] in above[:-1]:
        raise EnvironmentProblem(f"{folder}: is a link to a folder that it lies in, without end. Remove it.")
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                found += _images_under(entry.path, above)
            elif os.path.splitext(entry.name)[1].lower() in EXTENSIONS and entry.is_file():
                found.append(entry.path)
    return sorted(found)


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


@dataclass(frozen=True)
class ImageFolder:
    """`<root>/<part>/<class>/<image>` for the parts `train` and `test`."""

    environment: Environment
    root: Path
    test: str
    size: int | None
    channels: int
    validation: float
    limit: int | None

    def fingerprint(self) -> str:
        return fingerprint(self._content(), self.size, self.channels, self.validation, self.limit)

    def load(self) -> Data:
        classes = self._classes()
        place = self._cache / f"{self._content()[:32]}-{self.size or 'as-is'}-{self.channels}"
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):
                if not place.is_dir():
                    self._decode_all(place)
        except OSError as error:
            raise space_error(place, error) from error
        splits = [decoded(place / part) for part in ("train", self.test)]
        if splits[0].images.shape[1:] != splits[1].images.shape[1:]:
            raise EnvironmentProblem(f"{self.root}: training and test images differ in size. Give a `size`.")
        return arrange(splits[0], splits[1], classes, self.validation, self.limit)

    @property
    def _cache(self) -> Path:
        return self.environment.data_dir / "image_folder"

    def _classes(self) -> list[str]:
        folder = self.root / "train"
        if not folder.is_dir():
            raise EnvironmentProblem(
                f"{self.root}: there is no folder 'train'. Expected train/<class>/ and {self.test}/<class>/."
            )
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        if len(names) < 2:
            raise EnvironmentProblem(f"{folder}: has {len(names)} class folders, and at least 2 are needed.")
        return names

    def _files(self, part: str) -> list[File]:
        """The images of a part with their classes, in one order everywhere."""
        classes = self._classes()
        folder = self.root / part
        if not folder.is_dir():
            raise EnvironmentProblem(
                f"{self.root}: there is no folder {part!r}. Expected train/<class>/ and {self.test}/<class>/."
            )
        unknown = sorted(e.name for e in folder.iterdir() if e.is_dir() and not e.name.startswith(".") and e.name not in classes)
        if unknown:
            raise EnvironmentProblem(f"{folder}: classes {', '.join(unknown)} are not in {self.root / 'train'}.")
        files = [(path, label) for label, name in enumerate(classes) for path in _images_under(str(folder / name))]
        if not files:
            raise EnvironmentProblem(f"{folder}: has no images. Known are {', '.join(sorted(EXTENSIONS))} in class folders.")
        return files

    def _content(self) -> str:
        """SHA-256 of all files; read once, and again when the name, size or time of any file changes."""
        files = [file for part in ("train", self.test) for file in self._files(part)]
        listing = hashlib.sha256()
        for path, label in files:
            stat = os.stat(path)
            listing.update(f"{path}\0{label}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
        note = self._cache / f"{listing.hexdigest()[:32]}.json"
        with suppress(OSError, ValueError, KeyError):  # there is none, or it is damaged
            return str(json.loads(note.read_text())["sha256"])
        content = fingerprint(*(f"{os.path.relpath(path, self.root)} {label} {_digest(Path(path))}" for path, label in files))
        try:
            with replaced(note) as temporary:
                temporary.write_text(json.dumps({"root": str(self.root), "images": len(files), "sha256": content}))
        except OSError as error:
            raise space_error(note, error) from error
        return content

    def _decode_all(self, place: Path) -> None:
        """Decodes into a temporary folder that takes its name only when it is whole."""
        temporary = Path(tempfile.mkdtemp(prefix=".decoding-", dir=place.parent))
        try:
            for part in ("train", self.test):
                (temporary / part).mkdir()
                self._decode(self._files(part), temporary / part)
            temporary.replace(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _decode(self, files: Sequence[File], folder: Path) -> None:
        labels = np.array([label for _, label in files], dtype=np.int64)
        _write(folder / "labels.npy", labels.dtype, labels.shape, [labels])
        images = self._images(files)
        first = next(images)

        def alike() -> Iterator[Array]:
            yield first
            for image, (path, _) in zip(images, files[1:], strict=True):
                if image.shape != first.shape:
                    raise EnvironmentProblem(
                        f"{path}: is {image.shape[1]}×{image.shape[2]}, and {files[0][0]} is {first.shape[1]}×{first.shape[2]}. "
                        "Give a `size`, and all are resized to it."
                    )
                yield image

        _write(folder / "images.npy", first.dtype, (len(files), *first.shape), alike())

    def _images(self, files: Sequence[File]) -> Iterator[Array]:
        from PIL import Image, ImageOps

        for path, _ in files:
            try:
                image = Image.open(path).convert("RGB" if self.channels == 3 else "L")
            except Exception as error:  # the file may be anything, a bomb too, and decoders fail in many ways
                raise EnvironmentProblem(f"{path}: cannot be read as an image: {error}. Repair it or remove it.") from error
            if self.size:
                image = ImageOps.fit(image, (self.size, self.size), Image.Resampling.BILINEAR)
            yield np.atleast_3d(np.asarray(image, dtype=np.uint8)).transpose(2, 0, 1)


def _write(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], parts: Iterable[Array]) -> None:
    """An array as a file, part after part, and not through mapped memory: there, a full disk would kill the process."""
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        )
        for part in parts:
            file.write(part.tobytes())


def _digest(image: Path) -> str:
    try:
        return file_digest(image)
    except OSError as error:
        raise DiskProblem(f"{image}: cannot be read: {error}. Repair it or remove it.") from error


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
