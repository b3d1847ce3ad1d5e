"""A worker process: trains the cells that come in, and stays warm between them.

Messages are JSON, one a line: orders and `stop` on standard input, how cells go on standard output. What libraries print goes to
standard error, which is the worker's log. When the driver dies, standard input ends, and the worker with it. Signals that a
terminal or a job manager sends to all processes at once are the driver's to answer.

On a GPU several cells take turns, a batch each, and the device works on them at once. The worker says `room` when one more
would fit into the device's memory.
"""

import faulthandler
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from ablate.registry import default, sources
from ablate.trainers.image_classification import IMPORTS

from . import KEEP_MEMORY, Message
from .devices import free

ENDS = ("done", "failed", "interrupted")  # the last message of a cell
BROKEN = 71  # the code of a worker whose device is broken: EX_OSERR of sysexits.h
PROBE_BATCHES = 6  # after so many batches a cell has taken the memory that its training needs
STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def main() -> None:
    source, out = _own_streams()
    _forget_own_settings()
    faulthandler.enable()
    for number in STOPPING:
        signal.signal(number, lambda *_: None)  # SIG_IGN would be inherited by programs that a component starts
    with suppress(OSError):  # not on every system
        Path("/proc/self/oom_score_adj").write_text("200")  # without memory, the system is to end this and not the driver
    inbox: queue.Queue[Message] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(source, inbox, stop), daemon=True).start()
    sources.remember(default().distributions)
    # It takes seconds, which a worker that waits for its first cell has. Code of components has to be looked at before.
    first = inbox.queue[0] if inbox.queue else {"imports": IMPORTS}  # nobody knows yet what for, and most cells are of images
    for name in first["imports"]:
        import_module(name)
    _send(out, event="ready")
    cells: dict[str, Iterator[None]] = {}
    while True:
        for message in _news(inbox, wait=not cells):
            _send(out, key=message["cell"]["key"], event="started")
            cells[message["cell"]["key"]] = turns_of(message, stop, out, cells.__len__)
        take_turns(cells)


def take_turns(cells: dict[str, Iterator[None]]) -> None:
    """Has each cell train a batch, and forgets those that have ended."""
    for key, steps in list(cells.items()):
        if next(steps, "end") == "end":
            del cells[key]


def _own_streams() -> tuple[TextIO, TextIO]:
    """Standard input and output for messages alone: neither components nor processes that they fork or start have them."""
    source, out = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w", buffering=1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)

    def in_child() -> None:
        for file in (source, out):
            os.dup2(nothing, file.fileno())
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)
    return source, out


def _forget_own_settings() -> None:
    """What this process began with is not for the programs that a component starts."""
    for name, value in KEEP_MEMORY.items():
        if os.environ.get(name) == value:
            del os.environ[name]


def _listen(source: TextIO, inbox: "queue.Queue[Message]", stop: threading.Event) -> None:
    for line in source:
        message = json.loads(line)
        if message["do"] == "stop":
            stop.set()
        else:
            inbox.put(message)
    os._exit(0)


def _news(inbox: "queue.Queue[Message]", wait: bool) -> Iterator[Message]:
    if wait:
        yield inbox.get()
    while not inbox.empty():
        yield inbox.get()


def turns_of(order: Message, stop: threading.Event, out: TextIO, active: Callable[[], int]) -> Iterator[None]:
    """Trains a cell a batch at a time, and tells how it goes; `active` counts the cells of this process.

    It ends with its last message and not a turn later: whoever breaks the device meanwhile would not count as alone, while the
    driver knows of no other cell any more, and would blame the end of the process and not what broke.
    """
    from .training import messages

    batches = 0
    for message in messages(order, stop.is_set):
        if message is not None:
            if message.get("broken"):
                _end_broken(order, message, out, alone=active() == 1)
            _send(out, key=order["cell"]["key"], **message)
        else:
            batches += 1
            if batches == PROBE_BATCHES and has_room(order, active()):
                _send(out, event="room")
        if message is None or message["event"] not in ENDS:
            yield
    if "torch" in sys.modules:
        sys.modules["torch"].cuda.empty_cache()  # else what this cell had would count as what those beside it need


def _end_broken(order: Message, message: Message, out: TextIO, alone: bool) -> None:
    """Ends this process, whose device fails whatever is asked of it from now on.

    Where there are several cells nobody knows whose it was: they are not told as failed, and so they run again one by one.
    """
    if alone:
        _send(out, key=order["cell"]["key"], **message)
    sys.stderr.write(message["traceback"])
    sys.stderr.flush()
    os._exit(BROKEN)


def has_room(order: Message, active: int) -> bool:
    """Whether twice the memory of an average cell is free; evaluation may need more than the first batches did."""
    device = order["device"]
    if not device.startswith("cuda"):
        return True
    import torch

    return free(device, order) > 2 * torch.cuda.memory_reserved(device) / active


def _send(out: TextIO, **message: Any) -> None:
    out.write(json.dumps(message, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
