"""Datasets of the Hugging Face `datasets` library as a dataset of ablate, decoded once into a memory-mapped cache."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from filelock import FileLock

from ablate.components.image_folder import decoded
from ablate.components.splits import arrange, fingerprint, space_error
from ablate.errors import EnvironmentProblem, UsageError, describe
from ablate.identity import file_digest
from ablate.params import Fraction, PositiveInt
from ablate.records import Data, Environment

PARTS = ("train", "test")
COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


@dataclass(frozen=True)
class Choice:
    """What is taken from a dataset, and in which form."""

    config: str | None
    image_column: str
    label_column: str
    train_split: str
    test_split: str
    size: int | None
    channels: int


@dataclass(frozen=True)
class HuggingFace:
    """Images of a local folder, of a Parquet file, or of a repository on the hub."""

    environment: Environment
    path: str
    revision: str | None
    choice: Choice
    validation: float
    limit: int | None

    def fingerprint(self) -> str:
        return fingerprint(self._content(), *astuple(self.choice), self.validation, self.limit)

    def load(self) -> Data:
        place = self._cache / fingerprint(self._content(), *astuple(self.choice))[:32]
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{place}.lock"):
                if not place.is_dir():
                    self._decode_all(place)
        except OSError as error:
            raise space_error(place, error) from error
        splits = [decoded(place / part) for part in PARTS]
        if splits[0].images.shape[1:] != splits[1].images.shape[1:]:
            raise EnvironmentProblem(f"{self.path}: training and test images differ in size. Give a `size`.")
        classes = json.loads((place / "classes.json").read_text("utf-8"))
        return arrange(splits[0], splits[1], classes, self.validation, self.limit)

    @property
    def _cache(self) -> Path:
        return self.environment.data_dir / "hf"

    @property
    def _local(self) -> Path | None:
        """The folder or file, where there is one; None for a name on the hub."""
        place = Path(self.path).expanduser()
        if place.exists():
            if self.revision is not None:
                raise UsageError(f"{self.path}: is on this machine, and a `revision` is for names on the hub. Remove it.")
            if place.is_file() and place.suffix != ".parquet":
                raise UsageError(f"{self.path}: is neither a folder nor a .parquet file.")
            return place
        if not HUB_NAME.fullmatch(self.path) or place.suffix == ".parquet":
            raise EnvironmentProblem(
                f"{self.path}: there is no such folder or Parquet file; it was looked for at {place.absolute()}."
            )
        return None

    def _content(self) -> str:
        """What names the content: a digest of all local files, or the commit of the repository on the hub."""
        local = self._local
        if local is not None:
            return _digest(local, self._cache)
        if self.revision is not None and COMMIT.fullmatch(self.revision):
            return self.revision
        return self._snapshot().name

    def _snapshot(self) -> Path:
        """The repository's files, named by their commit. What is on this machine stays at the commit that was fetched first."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        cache = self._cache / "hub"
        wanted: dict[str, Any] = {"repo_type": "dataset", "revision": self.revision, "cache_dir": cache}
        try:
            return Path(snapshot_download(self.path, local_files_only=True, **wanted))
        except LocalEntryNotFoundError as error:
            if not self.environment.download:
                raise self._missing("it is not on this machine yet", cache) from error
        try:
            return Path(snapshot_download(self.path, **wanted))
        except Exception as error:  # the hub's client fails in many ways, and all mean that the data is not here
            raise self._missing(f"fetching it failed: {describe(error).splitlines()[0]}", cache) from error

    def _missing(self, reason: str, cache: Path) -> EnvironmentProblem:
        return EnvironmentProblem(
            f"dataset {self.path!r} of the Hugging Face hub cannot be had: {reason}. Run `ablate fetch` with this spec on a "
            f"machine with a network and copy its data directory; the files belong under {cache}. Or give the path of a local "
            "folder or Parquet file."
        )

    def _decode_all(self, place: Path) -> None:
        """Decodes into a temporary folder; the part of it that stays takes its name only when it is whole."""
        temporary = Path(tempfile.mkdtemp(prefix=".decoding-", dir=place.parent))
        try:
            splits = self._open(temporary / "library")
            names, labels = _labels(splits, self.choice.label_column, self.path)
            whole = temporary / "whole"
            for part, split, of_part in zip(PARTS, splits, labels, strict=True):
                (whole / part).mkdir(parents=True)
                np.save(whole / part / "labels.npy", of_part)
                images = _with_images(split, self.choice.image_column, self.path)
                _decode(images, self.choice, f"{self.path} ({part})", whole / part)
            (whole / "classes.json").write_text(json.dumps(names), "utf-8")
            whole.replace(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _open(self, cache: Path) -> list[Any]:
        """The two splits as the library has them; it keeps its own files in `cache`."""
        import datasets

        place = self._local or self._snapshot()
        source: dict[str, Any] = {"path": str(place)}
        if place.is_file():
            source = {"path": "parquet", "data_files": {"train": str(place)}}
        quiet = datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            wanted = [self.choice.train_split, self.choice.test_split]
            opened: list[Any] = datasets.load_dataset(**source, name=self.choice.config, split=wanted, cache_dir=str(cache))
        except Exception as error:  # the library fails in many ways, with messages for users
            reason = describe(error) + (f" ({error.__cause__})" if error.__cause__ else "")
            raise EnvironmentProblem(f"{self.path}: the datasets library cannot open it: {reason}") from error
        finally:
            if not quiet:
                datasets.enable_progress_bars()
        for part, split in zip(PARTS, opened, strict=True):
            missing = {self.choice.image_column, self.choice.label_column} - set(split.column_names)
            if missing:
                raise EnvironmentProblem(
                    f"{self.path}: the {part} split has the columns {', '.join(split.column_names)}, "
                    f"and no {' and no '.join(repr(name) for name in sorted(missing))}."
                )
        return opened


def _digest(place: Path, cache: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files of a folder; read again only where one has changed."""
    root = place if place.is_dir() else place.parent
    files = sorted(_files(place)) if place.is_dir() else [place]
    listing = hashlib.sha256()
    for file in files:
        stat = file.stat()
        listing.update(f"{file.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    note = cache / "digests" / f"{listing.hexdigest()[:32]}.json"
    try:
        if note.is_file():
            return str(json.loads(note.read_text("utf-8"))["sha256"])
        content = fingerprint(*(f"{file.relative_to(root).as_posix()} {file_digest(file)}" for file in files))
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"path": str(place), "files": len(files), "sha256": content}), "utf-8")
    except OSError as error:
        raise space_error(note, error) from error
    return content


def _files(folder: Path) -> Iterator[Path]:
    """All files of a folder and of those in it but hidden ones, which the library does not read either."""
    for directory, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(directory, name) for name in names if not name.startswith("."))


def _labels(splits: Sequence[Any], column: str, path: str) -> tuple[list[str], list[npt.NDArray[np.int64]]]:
    """The names of the classes, and the labels of each split: those of a `ClassLabel`, or the distinct values, sorted."""
    from datasets import ClassLabel

    values = [list(split.select_columns(column)[column]) for split in splits]
    feature = splits[0].features[column]
    if isinstance(feature, ClassLabel):
        names, known = list(feature.names), {index: index for index in range(len(feature.names))}
    else:
        try:
            distinct = sorted(set(values[0]))
        except TypeError as error:  # lists cannot be in a set, and None cannot be sorted
            raise EnvironmentProblem(f"{path}: column {column!r} does not have one label for every image: {error}.") from error
        names, known = [str(value) for value in distinct], {value: index for index, value in enumerate(distinct)}
    if len(names) < 2:
        raise EnvironmentProblem(f"{path}: column {column!r} has {len(names)} classes, and at least 2 are needed.")
    for part, of_part in zip(PARTS, values, strict=True):
        unknown = sorted({repr(value) for value in of_part if value not in known})
        if unknown:
            raise EnvironmentProblem(f"{path}: labels of the {part} split are of no known class: {', '.join(unknown[:5])}.")
    return names, [np.array([known[value] for value in of_part], dtype=np.int64) for of_part in values]


def _with_images(split: Any, column: str, path: str) -> Any:
    """The column of images alone; bytes of image files without the library's own type are taken for images too."""
    from datasets import Image, Value

    feature = split.features[column]
    if not isinstance(feature, Image):
        encoded = feature == Value("binary") or (isinstance(feature, dict) and feature.get("bytes") == Value("binary"))
        if not encoded:
            raise EnvironmentProblem(f"{path}: column {column!r} has no images, but {feature}.")
        split = split.cast_column(column, Image())
    return split.select_columns(column)


def _decode(split: Any, choice: Choice, name: str, folder: Path) -> None:
    """Writes a split's images as one array, uint8 `[N, C, H, W]`."""
    decoded = None
    for index, image in enumerate(_images(split, choice, name)):
        if decoded is None:
            decoded = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (len(split), *image.shape))
        if image.shape != decoded.shape[1:]:
            sizes = [f"{shape[1]}×{shape[2]}" for shape in (image.shape, decoded.shape[1:])]
            raise EnvironmentProblem(
                f"{name}: image {index} is {sizes[0]}, and the first is {sizes[1]}. Give a `size`, and all are resized to it."
            )
        decoded[index] = image
    assert decoded is not None, "the library refuses splits without rows"  # noqa: S101, for the type checker
    decoded.flush()


def _images(split: Any, choice: Choice, name: str) -> Iterator[npt.NDArray[np.uint8]]:
    from PIL import Image, ImageOps

    for index in range(len(split)):
        try:
            image = split[index][choice.image_column].convert("RGB" if choice.channels == 3 else "L")
        except Exception as error:  # a broken file makes the decoders fail in many ways
            raise EnvironmentProblem(f"{name}: image {index} cannot be read: {describe(error)}. Repair or remove it.") from error
        if choice.size:
            image = ImageOps.fit(image, (choice.size, choice.size), Image.Resampling.BILINEAR)
        yield np.atleast_3d(np.asarray(image, dtype=np.uint8)).transpose(2, 0, 1)


def hf(
    environment: Environment,
    /,
    *,
    path: str,
    config: str | None = None,
    image_column: str = "image",
    label_column: str = "label",
    train_split: str = "train",
    test_split: str = "test",
    revision: str | None = None,
    size: PositiveInt | None = None,
    channels: Literal[1, 3] = 3,
    validation: Fraction = 0,
    limit: PositiveInt | None = None,
) -> HuggingFace:
    """Images of the Hugging Face `datasets` library (Lhoest et al., 2021, arXiv 2109.02846), decoded once into a cache.

    Args:
        path: A local folder, a Parquet file, or a name on the hub such as `ylecun/mnist`.
        config: Name of its configuration, where it has several.
        image_column: Column of the images.
        label_column: Column of the labels; its distinct values are the classes where it is no `ClassLabel`.
        train_split: What is trained on; slices such as `train[:80%]` are understood.
        test_split: What is evaluated on in the end.
        revision: Commit, branch or tag on the hub; its main branch unless given.
        size: Height and width that images are cropped and resized to; needed where they differ in size.
        channels: 3 for RGB, 1 for grey.
        validation: Part of the training images that is held out for validation.
        limit: Largest number of images of each part.
    """
    choice = Choice(config, image_column, label_column, train_split, test_split, size, channels)
    return HuggingFace(environment, path, revision, choice, validation, limit)
