"""The end of a program with everything that it started, in whatever group or session that is by now."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 5  # for what waits for a disk or a device, and cannot be killed before it has answered


def end(process: "subprocess.Popen[bytes]", mark: str) -> None:
    """Kills a program that leads its process group, and all that came of it.

    What has left the group is known by an environment variable that it has inherited; only Linux tells.

    Args:
        process: The program.
        mark: `NAME=value`, a variable that it was started with and that nothing else has.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + PATIENCE_SECONDS
    while (left := list(_marked(mark.encode()))) and time.monotonic() < until:  # what is killed may have just started another
        for one in left:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        time.sleep(0.01)


def _marked(mark: bytes) -> Iterator[int]:
    """The processes that have the variable and run; the environment of one that has ended is empty."""
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # of another user, or gone by now
            if mark in place.read_bytes().split(b"\0"):
                yield int(place.parent.name)
