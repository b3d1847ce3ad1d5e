"""The drivers of a store. Each holds a lock file while it lives, and the cells that it trains carry its name."""

import os
import socket
import uuid
from pathlib import Path

from filelock import FileLock

from ablate.errors import StoreError
from ablate.writing import REMEDY

from . import locks


class Drivers:
    """Who works on a store, and under what name this process does.

    Args:
        directory: That of the store.
    """

    def __init__(self, directory: Path):
        self._directory = directory / "drivers"
        self.own = f"{os.getpid()}@{socket.gethostname()}-{uuid.uuid4().hex}"
        self._lock: FileLock | None = None

    def hold_lock(self) -> None:
        """The operating system drops the lock with the process, however it ends.

        Raises:
            StoreError: The place has no locks.
        """
        if self._lock is None:
            try:
                self._directory.mkdir(exist_ok=True)
                self._lock = locks.hold(self._file(self.own))
            except OSError as error:
                raise self._lock_error(error) from error

    def drop_lock(self) -> None:
        if self._lock:
            locks.drop(self._lock)

    def alive(self, name: str | None) -> bool:
        """Whether the driver of this name still runs.

        Raises:
            StoreError: It cannot be found out.
        """
        if name is None or name == self.own:
            return name is not None
        try:
            return locks.is_held(self._file(name))
        except OSError as error:
            raise self._lock_error(error) from error

    def status(self, status: str | None, owner: str | None) -> str:
        """What a cell with these entries is called."""
        if status == "running" and not self.alive(owner):
            return "interrupted"
        return status or "missing"

    def others(self) -> list[str]:
        """The other drivers that run, each as `PROCESS@HOST`."""
        names = sorted(path.stem for path in self._directory.glob("*.lock"))
        return [shown(name) for name in names if name != self.own and self.alive(name)]

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.lock"

    def _lock_error(self, error: Exception) -> StoreError:
        return StoreError(f"{self._directory}: the store cannot be locked: {error}. {REMEDY}")


def shown(name: str) -> str:
    """A driver as `PROCESS@HOST`."""
    return name.rpartition("-")[0]
