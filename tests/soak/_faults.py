"""Disks that fail on purpose: `faults.c`, compiled, preloaded and told what to do."""

import errno
import mmap
import os
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOREVER = 2**62
_LAYOUT = "@lllll4096s"  # `struct control` of faults.c


@dataclass(frozen=True)
class Kind:
    """How a disk fails.

    Attributes:
        error: With this errno; 0 for no error.
        onward: Whether everything after the first failure fails too.
        half: Whether the first write to fail still writes a half of its data, as on a disk that has just filled up.
    """

    error: int
    onward: bool
    half: bool = False


KINDS = {
    "full": Kind(errno.ENOSPC, True, True),
    "full for a moment": Kind(errno.ENOSPC, False),
    "broken once": Kind(errno.EIO, False),
    "broken": Kind(errno.EIO, True),
    "short write": Kind(0, False, True),
    "read-only": Kind(errno.EROFS, True),
}


def compiler() -> str | None:
    """The C compiler, where there is one, and a loader that knows LD_PRELOAD."""
    return shutil.which("cc") if os.uname().sysname == "Linux" else None


class Faults:
    """The control of a failing disk.

    Args:
        directory: For the library and the shared memory; not one that fails.
    """

    def __init__(self, directory: Path):
        self._control = directory / "faults"
        self._library = directory / "faults.so"
        if not self._library.exists():
            source = Path(__file__).with_name("faults.c")
            subprocess.run([str(compiler()), "-shared", "-fPIC", "-O1", "-o", self._library, source, "-ldl"], check=True)
            self._control.write_bytes(bytes(struct.calcsize(_LAYOUT)))
        with self._control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)

    @property
    def environment(self) -> dict[str, str]:
        """What processes have to be started with to have the disk."""
        return {**os.environ, "LD_PRELOAD": str(self._library), "FAULTS": str(self._control)}

    def begin(self, folder: Path, kind: Kind | None = None, at: int = FOREVER) -> None:
        """From now on, what writes under `folder` is counted, and from the `at`-th on it fails."""
        first, last = (at, FOREVER if kind.onward else at) if kind else (FOREVER, FOREVER)
        values = (0, first, last, kind.error if kind else 0, int(bool(kind and kind.half)))
        self._memory[:] = struct.pack(_LAYOUT, *values, os.fsencode(folder))

    def end(self) -> int:
        """All is well again; how much was counted."""
        count = int(struct.unpack_from(_LAYOUT, self._memory)[0])
        self._memory[:] = bytes(len(self._memory))
        return count
