"""Fault points: a process kills itself where it would hurt most.

This module is the `sitecustomize` of workers under test, for which `WORKER_FAULT` is `POINT:COUNT`; drivers call `arm`. At the
COUNT-th time that a process comes to POINT, it is killed:

- `save`: in the middle of writing a checkpoint, of which half is left
- `rename`, `renamed`: before and after a checkpoint gets its name
- `commit`, `committed`: before and after a commit of the store
- `report`: in the middle of writing a file of a report, of which half is left
- `import`: as it begins
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

Spoil = Callable[..., object]


def arm(fault: str) -> None:
    """Makes this process die at a fault point."""
    point, _, number = fault.partition(":")
    calls = count(1)

    def die(*arguments: Any, spoil: Spoil = lambda *_: None) -> None:
        if next(calls) == int(number):
            spoil(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

    match point:
        case "import":
            os._exit(5)
        case "save":
            _patch(os, "fsync", before=lambda *given: die(*given, spoil=_halve))
        case "rename":
            _patch(os, "replace", before=die)
        case "renamed":
            _patch(os, "replace", after=die)
        case "report":
            real = Path.write_bytes
            spoil = lambda path, content: real(path, content[: len(content) // 2])  # noqa: E731
            _patch(Path, "write_bytes", before=lambda *given: die(*given, spoil=spoil))
        case _:
            _patch_commits(die, point == "commit")


def _patch(module: Any, name: str, before: Spoil = lambda *_: None, after: Spoil = lambda *_: None) -> None:
    real = getattr(module, name)

    def call(*arguments: Any) -> Any:
        before(*arguments)
        done = real(*arguments)
        after(*arguments)
        return done

    setattr(module, name, call)


def _patch_commits(die: Callable[[], None], before: bool) -> None:
    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql != "COMMIT":
                return super().execute(sql, *arguments)
            if before:
                die()
            cursor = super().execute(sql)
            die()
            return cursor

    connect = sqlite3.connect
    sqlite3.connect = lambda *given, **more: connect(*given, **more, factory=Connection)


def _halve(descriptor: int) -> None:
    path = f"/proc/self/fd/{descriptor}"
    os.truncate(path, os.stat(path).st_size // 2)


if "ablate.executors.worker" in sys.orig_argv and "WORKER_FAULT" in os.environ:
    arm(os.environ["WORKER_FAULT"])
