"""Datasets of the Hugging Face `datasets` library as a dataset of ablate, decoded once into a memory-mapped cache."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

from ablate.components.class_folders import Listing, listed
from ablate.components.contents import Survey, content
from ablate.components.decoded import Named, cached, write
from ablate.components.fingerprints import limit_identity
from ablate.components.image_folder import ANEW, folders_split, of_any_size, size_notices
from ablate.components.splits import arrange
from ablate.errors import describe
from ablate.images import decode
from ablate.plugin import Data, Environment, EnvironmentProblem, Fraction, PositiveInt, UsageError, fingerprint

from .folders import digest, has_tables, is_as_the_library_reads_it, part_of, view
from .library import PARTS, bytes_of, labels_of, with_images

COLUMNS = ("image", "label")
COMMIT = re.compile(r"[0-9a-f]{40}")
DECODING = 2  # counts up when what the library opens is decoded in another way
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
    channels: Literal[1, 3]


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
        listing = self._class_folders()
        limit = limit_identity(self.limit, listing.smallest_share()) if listing else self.limit
        return fingerprint(self._content(), *astuple(self.choice), self.validation, limit, *self._anew(listing))

    def load(self) -> Data:
        listing = self._class_folders()
        if listing is not None:
            train, test = folders_split(listing, self._cache, self._decoded_folders, self.choice.channels, self.choice.size)
            return arrange(train, test, listing.classes, self.validation, self.limit)
        train, test = cached(lambda: self._decoded, PARTS, self._decode_all)
        if train.images.shape[1:] != test.images.shape[1:]:
            raise EnvironmentProblem(f"{self.path}: training and test images differ in size. Give a `size`.")
        return arrange(train, test, self._noted("classes.json"), self.validation, self.limit)

    def notices(self) -> list[str]:
        listing = self._class_folders()
        if listing is not None:
            found = content(listing, self._cache)
            sizes = size_notices(listing.root, found, self.choice.channels, self.choice.size)
            return [*listing.notices, *found.notices(listing.root), *sizes]
        return self._noted("notices.json") if self._decoded.is_dir() else []

    def _decoded_folders(self) -> Path:
        """Where the images of class folders are."""
        listing = self._class_folders()
        named = content(listing, self._cache).sha256 if listing else self._content()
        return self._cache / fingerprint(named, *astuple(self.choice))[:32]

    @property
    def _decoded(self) -> Path:
        """Where the images are that the library opens."""
        return self._cache / fingerprint(self._content(), *astuple(self.choice), *self._anew(None))[:32]

    def _noted(self, name: str) -> list[str]:
        return list(json.loads((self._decoded / name).read_text("utf-8")))

    def _class_folders(self) -> Listing | None:
        """The images of a local folder that has class folders in both parts; None where the library has to open what there is."""
        local = self._local
        if (
            local is None
            or not local.is_dir()
            or self.choice.config
            or (self.choice.image_column, self.choice.label_column) != COLUMNS
        ):
            return None
        parts = [part_of(local, split) for split in (self.choice.train_split, self.choice.test_split)]
        if None in parts or parts[0] == parts[1] or any(has_tables(local / str(part)) for part in parts):
            return None
        return listed(local, (str(parts[0]), str(parts[1])))

    def _anew(self, listing: Listing | None) -> tuple[str | int, ...]:
        """What tells a fingerprint from that of version 0.1.0, where that had other pixels, labels or order."""
        if listing is None:
            return (DECODING,)
        found = content(listing, self._cache)
        same = not found.remarks.keys() & {"deep", "clear"} and is_as_the_library_reads_it(listing)
        large = found.alike and of_any_size(found, self.choice.channels, self.choice.size)
        return (*(() if same else (found.sha256,)), *(ANEW if large else ()))

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
            return digest(local, self._cache)
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

    def _decode_all(self, folder: Path) -> None:
        """Decodes what the library opens into a folder of the cache."""
        library = Path(tempfile.mkdtemp(prefix=".library-", dir=folder.parent))
        survey = Survey()
        try:
            splits = self._open(library)
            names, labels, notices = labels_of(splits, self.choice.label_column, self.path)
            for part, (split, of_part) in enumerate(zip(splits, labels, strict=True)):
                rows = with_images(split, self.choice.image_column, self.path)
                write(folder / PARTS[part], of_part, self._images(rows, part, of_part, survey))
        finally:
            shutil.rmtree(library, ignore_errors=True)
        notices += survey.content("").notices(self.path)
        (folder / "classes.json").write_text(json.dumps(names), "utf-8")
        (folder / "notices.json").write_text(json.dumps(notices), "utf-8")

    def _images(self, rows: Any, part: int, labels: Sequence[int], survey: Survey) -> Iterator[Named]:
        for index, label in enumerate(labels):
            encoded = rows[index][self.choice.image_column]
            name = f"{self.path} ({PARTS[part]}): image {index}"
            if encoded is None:
                raise EnvironmentProblem(f"{name} is missing. Remove its row.")
            if encoded["path"]:
                name += f" ({os.path.basename(encoded['path'])})"
            data = bytes_of(encoded, name)
            survey.look(part, label, data, name)
            yield name, decode(data, name, self.choice.channels, self.choice.size)

    def _open(self, cache: Path) -> list[Any]:
        """The two splits as the library has them; it keeps its own files in `cache`."""
        import datasets

        place = self._local or self._snapshot()
        if place.is_file():
            source: dict[str, Any] = {"path": "parquet", "data_files": {"train": str(place)}}
        else:
            source = {"path": str(view(place, cache / "view"))}
        quiet = datasets.are_progress_bars_disabled()
        datasets.disable_progress_bars()
        try:
            wanted = [self.choice.train_split, self.choice.test_split]
            opened: list[Any] = datasets.load_dataset(
                **source, name=self.choice.config, split=wanted, cache_dir=str(cache / "library")
            )
        except Exception as error:  # the library fails in many ways, with messages for users
            reason = describe(error) + (f" ({error.__cause__})" if error.__cause__ else "")
            reason = reason.replace(str(cache / "view"), self.path)
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
