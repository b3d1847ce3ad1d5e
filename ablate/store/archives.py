"""A study as one file, for another store: a zip archive of JSON, predictions and weights, and nothing else.

    study.json                  the spec, the plan, and which cell is which variant and seed
    cells/KEY.json              a finished cell, and what was measured of it afterwards
    predictions/KEY.npz         what it said of each image
    weights/KEY.safetensors     its weights, where they were kept
    manifest.json               the format, and SHA-256 and size of every other file

Whoever reads one has not made it: names, sizes and ways of packing that `export` does not write are refused before anything is
unpacked, and every file is checked against its digest.
"""

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ablate import predictions
from ablate.contracts import Json
from ablate.errors import StoreError, UsageError
from ablate.writing import REMEDY, replaced

from . import portable, sources
from .sources import Item, Source
from .store import Store

FORMAT = 1
MOST_FILES = 1_000_000
SUFFIXES = {"cells": "json", "predictions": "npz", "weights": "safetensors"}
LARGEST = {  # bytes of one file, unpacked
    "cells": portable.LARGEST,
    "predictions": predictions.LARGEST,
    "weights": 1 << 40,
    "study.json": 200_000_000,
    "manifest.json": 200_000_000,
}
_NAME = re.compile(
    r"study\.json|manifest\.json|cells/[0-9a-f]{64}\.json|predictions/[0-9a-f]{64}\.npz|weights/[0-9a-f]{64}\.safetensors"
)
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


def export(store: Store, study: str, path: Path) -> int:
    """Writes a study with all of its finished cells to a file.

    Returns:
        How many cells these are.

    Raises:
        UsageError: There is no such study, or there is such a file.
        StoreError: The file cannot be written.
    """
    told = sources.study_of(store, study)
    if path.exists():
        raise UsageError(f"{path} exists. Give another name.")
    keys = sorted(store.stored([key for *_, key in told["members"]]))
    try:
        with replaced(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            written = {"study.json": _write(archive, "study.json", json.dumps(told).encode())}
            for key in keys:
                written |= _write_cell(archive, store, key)
            manifest = {"format": FORMAT, "files": written}
            _write(archive, "manifest.json", json.dumps(manifest).encode())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error}. {REMEDY}") from error
    return len(keys)


def _write_cell(archive: zipfile.ZipFile, store: Store, key: str) -> dict[str, Json]:
    item = sources.item_of(store, key)
    content = {"cell": item.record, "kept_sha256": item.kept, "evaluations": item.evaluations}
    written = {f"cells/{key}.json": _write(archive, f"cells/{key}.json", json.dumps(content).encode())}
    for folder in ("predictions", *(["weights"] if item.kept else [])):
        file = sources.file_in(store, folder, key)
        if file.is_file():
            name = f"{folder}/{key}.{SUFFIXES[folder]}"
            with file.open("rb") as opened:
                written[name] = _write(archive, name, opened)
    return written


def _write(archive: zipfile.ZipFile, name: str, content: bytes | IO[bytes]) -> Json:
    """Adds a file.

    Returns:
        Its digest and its size.
    """
    about = zipfile.ZipInfo(name)  # of no date, so that the same study is the same file
    about.compress_type = _compression(name)
    digest, size = hashlib.sha256(), 0
    with archive.open(about, "w", force_zip64=not isinstance(content, bytes)) as file:
        for part in [content] if isinstance(content, bytes) else iter(lambda: content.read(1 << 20), b""):
            file.write(part)
            digest.update(part)
            size += len(part)
    return {"sha256": digest.hexdigest(), "bytes": size}


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """An export as what a store takes over.

    Raises:
        StoreError: It is none, or damaged.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file.") from None
    except _DAMAGED as error:
        raise StoreError(f"{path}: cannot be read as an export of ablate: {error}. Nothing was taken from it.") from error
    with archive:
        yield _source(path, archive)


def _source(path: Path, archive: zipfile.ZipFile) -> Source:
    entries = _entries(path, archive)
    try:
        manifest = json.loads(b"".join(_parts(archive, entries["manifest.json"])))
        if manifest["format"] != FORMAT:
            message = f"it has format {manifest['format']!r}, and this version of ablate reads {FORMAT}"
            raise StoreError(f"{path}: {message}. Use the version of ablate that made it.")
        listed: Mapping[str, Json] = manifest["files"]
        if set(listed) != entries.keys() - {"manifest.json"}:
            raise ValueError("it has other files than its manifest says")
        digests = {name: str(one["sha256"]) for name, one in listed.items()}
        study = json.loads(_checked(archive, entries["study.json"], digests["study.json"]))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path}: is no export of ablate, or damaged: {error}. Nothing was taken from it.") from error

    def item(key: str) -> Item:
        name = f"cells/{key}.json"
        content = json.loads(_checked(archive, entries[name], digests[name]))
        record = portable.unpacked(portable.packed(content["cell"]), key)
        has_weights = f"weights/{key}.safetensors" in entries
        return Item(record, content["kept_sha256"] if has_weights else None, content["evaluations"])

    def file_of(folder: str, key: str) -> IO[bytes] | None:
        entry = entries.get(f"{folder}/{key}.{SUFFIXES[folder]}")
        return None if entry is None else archive.open(entry)

    def problems() -> Iterator[str]:
        for name, entry in entries.items():
            if name.startswith(("predictions/", "weights/")) and _digest(archive, entry) != digests[name]:
                yield f"{name} is damaged"

    keys = [name.removeprefix("cells/").removesuffix(".json") for name in entries if name.startswith("cells/")]
    return Source(str(path), [study], sorted(keys), item, file_of, problems)


def _entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The files of an archive, by names that they may have, in sizes that they may have.

    Raises:
        StoreError: It is no export; nothing was unpacked.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist()[: MOST_FILES + 1]:
        name = entry.filename
        if not _NAME.fullmatch(name):
            wrong = f"it has a file {name[:80]!r}, which no export has"
        elif name in found or len(found) >= MOST_FILES:
            wrong = f"it has {name!r} twice, or more than {MOST_FILES:,} files"
        elif entry.file_size > LARGEST[name.partition("/")[0]]:
            wrong = f"its {name!r} has {entry.file_size:,} bytes"
        elif entry.flag_bits & 1 or entry.compress_type != (
            zipfile.ZIP_DEFLATED if name.endswith("json") else zipfile.ZIP_STORED
        ):
            wrong = f"its {name!r} is packed in another way than ablate does"
        else:
            found[name] = entry
            continue
        raise StoreError(f"{path}: is no export of ablate: {wrong}. Nothing was taken from it.")
    if missing := {"manifest.json", "study.json"} - found.keys():
        raise StoreError(f"{path}: is no export of ablate: it has no {sorted(missing)[0]}. Nothing was taken from it.")
    return found


def _compression(name: str) -> int:
    """JSON is compressed; the rest is already, or cannot be."""
    return zipfile.ZIP_DEFLATED if name.endswith("json") else zipfile.ZIP_STORED


def _checked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, digest: str) -> bytes:
    """The content of a file.

    Raises:
        ValueError: It has another digest.
    """
    content = b"".join(_parts(archive, entry))
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{entry.filename} is damaged")
    return content


def _digest(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str | None:
    """SHA-256 (hex) of a file's content; None where it cannot be read."""
    digest = hashlib.sha256()
    try:
        for part in _parts(archive, entry):
            digest.update(part)
    except ValueError:
        return None
    return digest.hexdigest()


def _parts(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a file, no more of it than the archive says.

    Raises:
        ValueError: It is damaged.
    """
    try:
        with archive.open(entry) as file:
            yield from iter(lambda: file.read(1 << 20), b"")
    except _DAMAGED as error:
        raise ValueError(f"{entry.filename} is damaged: {error}") from error
