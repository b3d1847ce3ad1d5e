"""What runs that this process has started, or what it has started. Only Linux tells: elsewhere nothing seems to run."""

import time
from collections.abc import Iterable
from contextlib import suppress
from os import getpid
from pathlib import Path

PATIENCE_SECONDS = 5  # in which what was killed has ended


def descendants() -> set[int]:
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        if (status := _status(place.name)) is not None:
            children.setdefault(status[1], []).append(int(place.name))
    found, new = set[int](), [getpid()]
    while new:
        new = [child for parent in new for child in children.get(parent, ())]
        found |= set(new)
    return found


def running(processes: Iterable[int]) -> list[int]:
    """Those that have not ended, and do not end soon."""
    until = time.monotonic() + PATIENCE_SECONDS
    while left := [process for process in processes if (_status(str(process)) or "Z")[0] not in "ZX"]:
        if time.monotonic() > until:
            break
        time.sleep(0.01)
    return left


def _status(process: str) -> tuple[str, int] | None:
    """State of a process as proc(5) has it, and its parent; None where it is gone."""
    with suppress(OSError):
        state, parent, *_ = Path("/proc", process, "stat").read_text(errors="replace").rpartition(")")[2].split()
        return state, int(parent)
    return None
