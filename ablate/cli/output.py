"""The command's output, which may be closed, full, or a pipe that nobody reads any more: the command goes on to its end."""

import errno
import io
import logging
import os
import sys
from typing import Any


class _Descriptor(io.FileIO):
    """Standard output or error. The first write that fails is remembered, and what follows is thrown away."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            return len(data)


def prepare() -> None:
    """Makes standard output and error take all that is written.

    A descriptor that is closed would become that of the next file that is opened, such as the store: it gets the null device.
    Characters that an encoding does not have are replaced. matplotlib says nothing of a home directory that it cannot write to:
    it needs none.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name, number in (("stdout", 1), ("stderr", 2)):
        given = getattr(sys, name)
        if given is None or (isinstance(given, io.TextIOWrapper) and given.fileno() == number):
            setattr(sys, name, _stream(number, given))
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _stream(number: int, given: Any) -> io.TextIOWrapper:
    encoding = given.encoding if given else "utf-8"
    if given:
        given.flush()
    buffer = io.BufferedWriter(_Descriptor(number, "wb", closefd=False))
    return io.TextIOWrapper(buffer, encoding, errors="replace", line_buffering=number == 2 or os.isatty(number))


def for_programs() -> None:
    """What programs read, such as JSON, is UTF-8 wherever it goes; a terminal shows what it can."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8")


def failure() -> OSError | None:
    """Why output was lost; None where all was written, or where its reader left before the end."""
    if sys.stdout is not None:
        sys.stdout.flush()
    descriptor = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = descriptor.failure if isinstance(descriptor, _Descriptor) else None
    return error if error and error.errno != errno.EPIPE else None
