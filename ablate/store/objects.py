"""A place for objects that machines share, through fsspec: a folder, S3, SSH, or whatever else has a file system there.

Such a place may be slow, fail now and then, or be gone. A request is tried a few times, and what does not come in time counts as
failed. After several failures in a row nothing is asked for a while.
"""

import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ablate.errors import UsageError

T = TypeVar("T")
TRIES = 6
PAUSE_SECONDS = 0.1  # before the second try, twice that before the third, and so on
PATIENCE_SECONDS = 20.0  # that one try may take
GONE_AFTER = 3  # requests in a row that failed in all of their tries
GONE_SECONDS = 60.0  # for which nothing is asked then
CONDITIONAL = ("file", "local", "memory", "s3", "s3a")  # whose creation of what must not be there is known to be one step


class Failed(Exception):
    """A request failed in all of its tries."""


@dataclass
class Counts:
    """What became of requests.

    Attributes:
        failed: How many failed in all of their tries, or were not made because those before had failed.
        tried_again: How many tries failed.
        reasons: The last error of each kind.
    """

    failed: int = 0
    tried_again: int = 0
    reasons: dict[str, str] = field(default_factory=dict)


class Objects:
    """Objects by name, such as `cells/KEY`.

    Args:
        url: A folder, or a URL of fsspec such as `s3://bucket/folder`.

    Raises:
        UsageError: fsspec does not know such a URL, or needs another package for it.
    """

    def __init__(self, url: str):
        import fsspec

        self.url, self.counts = url, Counts()
        if "://" not in url and "::" not in url:
            url = str(Path(url).expanduser().absolute())
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError, OSError, RuntimeError) as error:
            hint = "For s3:// install ablate-core[remote]; other URLs need the package that fsspec names."
            raise UsageError(f"--remote {self.url}: {error}. {hint}") from error
        self._root = self._root.rstrip("/")
        names = (self._fs.protocol,) if isinstance(self._fs.protocol, str) else self._fs.protocol
        self._local = bool({"file", "local"} & set(names))
        self._known = bool(set(CONDITIONAL) & set(names))
        self._row, self._gone_until, self._lock = 0, 0.0, threading.Lock()

    def names(self, folder: str) -> list[str]:
        """The names of the objects of a folder, by one listing.

        Raises:
            Failed: It cannot be listed.
        """

        def listing() -> list[str]:
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(f"{self._root}/{folder}", detail=False)
            except FileNotFoundError:
                return []
            return [str(path).rstrip("/").rpartition("/")[2] for path in found]

        return self._tried(listing)

    def read(self, name: str, largest: int) -> bytes | None:
        """An object; None where there is none. Of one that is larger than `largest` bytes, the first part.

        Raises:
            Failed: It cannot be read.
        """

        def content() -> bytes | None:
            path = self._path(name)
            try:
                return bytes(self._fs.cat_file(path, start=0, end=largest))
            except FileNotFoundError:
                return None
            except OSError:
                if self._fs.info(path)["size"] == 0:  # S3 has no first part of nothing
                    return b""
                raise

        return self._tried(content)

    def write(self, name: str, data: bytes) -> None:
        """Writes an object, whole or not at all.

        Raises:
            Failed: It cannot be written.
        """
        self._tried(lambda: self._write(self._path(name), data))

    def _write(self, path: str, data: bytes) -> None:
        if self._known and not self._local:
            self._fs.pipe_file(path, data)
            return
        temporary = self._temporary(path)
        self._fs.pipe_file(temporary, data)
        self._fs.mv(temporary, path)

    def create(self, name: str, data: bytes) -> bool:
        """Writes an object where there is none; False where there is one.

        Raises:
            Failed: It cannot be written.
        """

        def create() -> bool:
            path = self._path(name)
            try:
                if self._local:
                    temporary = self._temporary(path)
                    self._fs.pipe_file(temporary, data)
                    try:
                        os.link(temporary, path)  # with all of its content, where there is none
                    finally:
                        self._fs.rm_file(temporary)
                else:
                    self._fs.pipe_file(path, data, mode="create")
            except FileExistsError:
                return False
            return True

        return self._tried(create)

    def remove(self, name: str) -> None:
        """Removes an object; nothing is said where it cannot be."""
        with suppress(Failed):
            self._tried(lambda: self._removed(self._path(name)))

    def _removed(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.rm_file(path)

    def is_conditional(self) -> bool:
        """Whether, of two machines that create one object, one is told that it was too late; found out by trying.

        Raises:
            Failed: It cannot be found out.
        """
        if not self._known:
            return False
        name = f"leases/try-{uuid.uuid4().hex}"
        try:
            return self.create(name, b"1") and not self.create(name, b"2") and self.read(name, 2) == b"1"
        finally:
            self.remove(name)

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _temporary(self, path: str) -> str:
        """A name beside a path, in a folder that is there."""
        folder, _, name = path.rpartition("/")
        self._fs.makedirs(folder, exist_ok=True)
        return f"{folder}/.{name}.{uuid.uuid4().hex}"

    def _tried(self, request: Callable[[], T]) -> T:
        """What a request gives, which is made again where it fails.

        Raises:
            Failed: It failed in all of its tries, or was not made, because others before it had.
        """
        if time.monotonic() < self._gone_until:
            self._count(failed=1)
            raise Failed
        for number in range(TRIES):
            try:
                found = in_time(request)
            except Exception as error:  # of any file system, in any way
                self._count(error)
                if number + 1 < TRIES:
                    time.sleep(PAUSE_SECONDS * 2**number)
                continue
            with self._lock:
                self._row = 0
            return found
        self._count(failed=1)
        with self._lock:
            self._row += 1
            if self._row >= GONE_AFTER:
                self._row, self._gone_until = 0, time.monotonic() + GONE_SECONDS
        raise Failed

    def _count(self, error: Exception | None = None, failed: int = 0) -> None:
        with self._lock:
            self.counts.failed += failed
            if error is not None:
                self.counts.tried_again += 1
                self.counts.reasons[type(error).__name__] = str(error).partition("\n")[0][:200]


def in_time(request: Callable[[], T]) -> T:
    """What a request gives; one that hangs is left to a thread that nobody waits for.

    Raises:
        TimeoutError: It takes too long.
    """
    found: list[Any] = []

    def call() -> None:
        try:
            found.append((request(), None))
        except Exception as error:  # raised again below, in the thread that waits
            found.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    if not found:
        raise TimeoutError(f"no answer within {PATIENCE_SECONDS:g} s")
    value, error = found[0]
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]
