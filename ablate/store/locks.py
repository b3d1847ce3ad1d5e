"""Locks that the operating system drops with the process that holds them, however it ends.

Where a file system has none, `filelock` may put a marker file in their place, which outlives its process; how it says so differs
between its versions. So a lock that was taken is proved: another process must find that the system refuses it.
"""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock, Timeout

_TRY = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("free")
    except (BlockingIOError, PermissionError):
        print("held")
"""


def hold(path: Path) -> FileLock:
    """Takes a lock that nobody else has, for as long as this process lives or until `drop`.

    Raises:
        OSError: It cannot be taken, or is none here: it keeps no other process out, or would outlive this one.
    """
    lock = FileLock(path)
    try:
        lock.acquire()
        _prove(path)
    except NotImplementedError as error:
        drop(lock)
        raise OSError(str(error)) from error
    except BaseException:
        drop(lock)
        raise
    return lock


def drop(lock: FileLock) -> None:
    """Gives a lock back, and removes its file."""
    with contextlib.suppress(OSError):  # where it cannot be removed, nobody holds it all the same
        lock.release()
        Path(lock.lock_file).unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a process that lives has taken this lock.

    Raises:
        OSError: It cannot be found out.
    """
    if not path.exists():
        return False
    try:
        with FileLock(path).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except NotImplementedError as error:
        raise OSError(str(error)) from error


def _prove(path: Path) -> None:
    """Another process tries to take the lock, some 20 ms; Windows' locks have no other form that would need it."""
    if os.name != "posix":
        return
    command = [sys.executable, "-IS", "-c", _TRY, str(path)]
    tried = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False)  # noqa: S603
    if tried.stdout.strip() != "held":
        why = "another process could take a lock that is held" if tried.stdout else tried.stderr.strip().rpartition("\n")[2]
        raise OSError(f"the file system has no locks that end with their process ({why})")
