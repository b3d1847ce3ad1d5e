"""Components that misbehave, and a listener that hears which cells are done; `_drivers.misfits` installs them as a package."""

import ctypes
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from orphans import spawn
from torch import Tensor, nn

from ablate.components.models import net
from ablate.executors import CellStarted, Event
from ablate.registry.hooks import hookimpl


def _spawn_and_crash() -> None:
    spawn()
    ctypes.string_at(0)


def _spawn_and_exit() -> None:
    spawn()
    os._exit(3)


def _eat() -> None:
    eaten = []
    while True:
        eaten.append(bytearray(64_000_000))


def _shout() -> None:
    for _ in range(40):
        os.write(1, bytes(range(256)) * 4000)
        print("\N{REPLACEMENT CHARACTER}\x1b[31m{}" * 10_000)


def _garble() -> None:
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, b"\xff\x00 this is no message\n")
        except OSError:
            continue


WAYS: dict[str, Callable[[], object]] = {
    "hang": lambda: time.sleep(1000),
    "hang without python": lambda: re.match("(a*)*b", "a" * 64),  # holds the interpreter's lock for longer than we live
    "leave children": spawn,
    "leave children and crash": _spawn_and_crash,
    "leave children and exit": _spawn_and_exit,
    "leave children and hang": lambda: (spawn(), time.sleep(1000)),
    "eat memory": _eat,
    "crash": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(3),
    "exit politely": lambda: sys.exit(4),
    "shout": _shout,
    "garble": _garble,
    "raise": lambda: (_ for _ in ()).throw(RuntimeError("no luck \udc80 today")),
}


class Misfit(nn.Module):
    def __init__(self, model: nn.Module, how: str, seconds: float):
        super().__init__()
        self.model, self.how, self.seconds, self.calls = model, how, seconds, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == 5 and self.how in WAYS:  # after the preflight
            WAYS[self.how]()
        if self.training:
            time.sleep(self.seconds)
        result: Tensor = self.model(images)
        return result


def misfit(info: Any, /, *, how: str = "fine", seconds: float = 0.0) -> nn.Module:
    """A network that misbehaves.

    Args:
        how: In which way.
        seconds: How long each batch takes longer.
    """
    return Misfit(net(info), how, seconds)


@contextmanager
def broken(workers: int, /, *, how: str = "raise") -> Iterator[Any]:
    """An executor that trains nothing.

    Args:
        how: `raise`, or `lose` to take cells and say nothing of them.
    """

    def run(settings: Any, take: Any, stop: Any) -> Iterator[Event]:
        while (cell := take()) is not None:
            yield CellStarted(cell.key)
            if how == "raise":
                raise RuntimeError("the cluster is gone")

    yield run


@hookimpl
def cell_end(cell: Any, status: str) -> None:
    if status == "done":
        with open(os.environ["HEARD"], "a") as file:
            file.write(f"{cell.key}\n")
