"""Folders on this machine: which files of them count, and what names their content."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ablate.components.class_folders import Listing, is_left_behind
from ablate.components.fingerprints import space_error
from ablate.images import extensions
from ablate.plugin import EnvironmentProblem, fingerprint
from ablate.registry.inputs import file_digest

FOLDERS = {"train": ("training",), "validation": ("valid", "dev", "val"), "test": ("testing", "eval", "evaluation")}
TABLES = {".arrow", ".csv", ".json", ".jsonl", ".parquet", ".tar", ".zip"}  # which the library may read in place of images


def part_of(folder: Path, split: str) -> str | None:
    """The name of the folder that the library takes for a split."""
    found = [name for name in (split, *FOLDERS.get(split, ())) if (folder / name).is_dir()]
    return found[0] if len(found) == 1 and os.path.basename(found[0]) == found[0] else None


def has_tables(part: Path) -> bool:
    """Whether there are files that the library may read in place of images, or that say what the labels are."""
    names = [path.name for path in (*part.iterdir(), *part.glob("*/metadata.*"))]
    return any(os.path.splitext(name)[1].lower() in TABLES for name in names if not is_left_behind(name))


def is_as_the_library_reads_it(listing: Listing) -> bool:
    """Whether the library would find the same images in the same order; it does not follow links to folders."""
    for part, files in zip(listing.parts, listing.files, strict=True):
        found = []
        for directory, folders, names in os.walk(listing.root / part):
            folders[:] = [name for name in folders if not name.startswith((".", "__"))]
            images = [name for name in names if os.path.splitext(name)[1].lower() in extensions() and name[0] != "."]
            found += [os.path.join(directory, name) for name in images]
        in_class = all(Path(path).parent.parent == listing.root / part for path in found)
        if not in_class or sorted(found) != [path for path, _ in files]:
            return False
    return True


def digest(place: Path, cache: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files of a folder; read again only where one has changed."""
    root = place if place.is_dir() else place.parent
    files = sorted(_files(place)) if place.is_dir() else [place]
    listing = hashlib.sha256()
    for file in files:
        stat = file.stat()
        listing.update(f"{file.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
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


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """All files of a folder and of those in it but hidden ones, which the library does not read either."""
    above = (*above, folder.resolve())
    if above[-1] in above[:-1]:
        raise EnvironmentProblem(f"{folder}: is a link to a folder that it lies in, without end. Remove it.")
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path, above)
        elif path.is_file():
            yield path
        elif path.exists():
            raise EnvironmentProblem(f"{path}: is a pipe, a socket or a device, and reading it may never end. Remove it.")
        else:
            raise EnvironmentProblem(
                f"{path}: is a link to {os.readlink(path)}, where nothing is. Fetch what it stands for, or remove it."
            )


def view(place: Path, view: Path) -> Path:
    """The files of a folder that count, as links: without what tools leave behind, and with what lies behind links to folders."""
    for file in _files(place):
        inside = file.relative_to(place)
        if not any(is_left_behind(name) for name in inside.parts):
            (view / inside).parent.mkdir(parents=True, exist_ok=True)
            (view / inside).symlink_to(file.resolve())
    return view
