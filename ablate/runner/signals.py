"""What ends a run: a signal of the user, of a job manager, or of a terminal that is closed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stop_on_signals(warn: Callable[[str], None]) -> Iterator[threading.Event]:
    """Sets the flag on the first SIGINT, SIGTERM or SIGHUP; a second one ends the process without waiting for the cells.

    SIGHUP is left alone where it is ignored, as under nohup.

    Args:
        warn: Called with a message for the user.
    """
    stop = threading.Event()
    terminals = [file for file in (1, 2) if os.isatty(file)]

    def handle(number: int, frame: object) -> None:
        for file in terminals:
            if not os.isatty(file):  # it is closed, and writing there would fail
                os.dup2(os.open(os.devnull, os.O_WRONLY), file)
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        warn("stopping: the cells that run save their state (once more to stop without)")

    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup and signal.getsignal(hangup) != signal.SIG_IGN:
        numbers.append(hangup)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
