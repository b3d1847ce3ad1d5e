"""Where saved states are: a directory that all nodes share, or a URL of fsspec.

A state for a URL is written on the node, put there after each saving, and fetched where the cell goes on. It gets its name there
when it is whole: object stores show no part of an object, and elsewhere it is put under another name and moved. One that is not
whole nevertheless, because a server moves by copying, is not read.
"""

import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from safetensors import SafetensorError, safe_open

from ablate.errors import describe
from ablate.plugin import EnvironmentProblem, UsageError

ONE_PROCESS = ("memory", "local-memory")  # filesystems that no other node sees


def check(place: str) -> None:
    """Looks whether states can be kept there, as far as one can tell without writing.

    Raises:
        UsageError: It is a URL of no filesystem that nodes can share.
        EnvironmentProblem: It cannot be reached, or its filesystem's package is missing.
    """
    if _is_url(place):
        if place.partition("://")[0] in ONE_PROCESS:
            raise UsageError(f"{place}: no other node sees the memory of a process. Give a directory, or a URL such as s3://….")
        with _filesystem(place, "kept"):
            pass


@contextmanager
def on_this_node(place: str) -> Iterator[tuple[Path, Callable[[], None]]]:
    """The file that a training saves its state in, and what puts the state in its place where it was saved since.

    Raises:
        EnvironmentProblem: The URL cannot be read; and from the function, it cannot be written.
    """
    if not _is_url(place):
        yield Path(place), lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="ablate-") as directory:
        file = Path(directory) / place.rpartition("/")[2]
        _fetch(place, file)
        known = _saved_at(file)

        def put() -> None:
            nonlocal known
            saved = _saved_at(file)
            if saved != known:
                _put(file, place)
                known = saved

        yield file, put


def remove(place: str) -> None:
    """Removes a state, and what a worker that was lost has left of it."""
    if not _is_url(place):
        Path(place).unlink(missing_ok=True)
        return
    with _filesystem(place, "removed") as (filesystem, path):
        filesystem.invalidate_cache()
        folder, _, name = path.rpartition("/")
        if filesystem.exists(folder):
            for found in filesystem.ls(folder, detail=True):
                if found["name"].rpartition("/")[2].startswith(name):
                    filesystem.rm_file(found["name"])


def _is_url(place: str) -> bool:
    return "://" in place


@contextmanager
def _filesystem(url: str, done: str) -> Iterator[tuple[Any, str]]:
    """The filesystem of a URL, and the path in it; whatever fails there is told with what was to be done."""
    try:
        yield url_to_fs(url)
    except Exception as error:  # each filesystem has errors of its own
        hidden = re.sub("://[^/]*@", "://…@", url)  # a password
        raise EnvironmentProblem(f"{hidden}: saved states cannot be {done} there: {describe(error)}") from error


def _saved_at(file: Path) -> int | None:
    return file.stat().st_mtime_ns if file.exists() else None


def _fetch(url: str, file: Path) -> None:
    with _filesystem(url, "read") as (filesystem, path):
        filesystem.invalidate_cache()  # another node may have written
        if not filesystem.exists(path):
            return
        filesystem.get_file(path, str(file))
    try:
        with safe_open(file, "pt"):  # compares the size with that of the tensors in the header
            pass
    except SafetensorError as error:
        print(f"{file.name}: the saved state is not whole ({error}); the cell is trained from its beginning")
        file.unlink()


def _put(file: Path, url: str) -> None:
    with _filesystem(url, "written") as (filesystem, path):
        filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
        if type(filesystem).mv is AbstractFileSystem.mv:  # it would copy; so do object stores, where what is put is there at once
            filesystem.put_file(str(file), path)
            return
        part = f"{path}.{socket.gethostname()}-{os.getpid()}"
        filesystem.put_file(str(file), part)
        filesystem.mv(part, path)
