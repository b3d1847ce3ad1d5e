"""A worker process: trains the cells that come in, and stays warm between them.

Messages are JSON, one a line: orders and `stop` on standard input, how cells go on standard output. What libraries print goes to
standard error, which is the worker's log. When the driver dies, standard input ends, and the worker with it.

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
from typing import Any, TextIO

import torch

from . import Message
from .training import messages

PROBE_BATCHES = 6  # after so many batches a cell has taken the memory that its training needs


def main() -> None:
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the driver says when to stop
    inbox: queue.Queue[Message] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, inbox, stop), daemon=True).start()
    _send(out, event="ready")
    cells: dict[str, Iterator[None]] = {}
    while True:
        for message in _news(inbox, wait=not cells):
            cells[message["cell"]["key"]] = _cell(message, stop, out, cells.__len__)
        for key, steps in list(cells.items()):
            if next(steps, "end") == "end":
                del cells[key]


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


def _cell(order: Message, stop: threading.Event, out: TextIO, active: Callable[[], int]) -> Iterator[None]:
    """Trains a cell a batch at a time, and tells how it goes; `active` counts the cells of this process."""
    device, batches = torch.device(order["device"]), 0
    for message in messages(order, stop.is_set):
        if message is not None:
            _send(out, key=order["cell"]["key"], **message)
        else:
            batches += 1
            if batches == PROBE_BATCHES and _has_room(device, active()):
                _send(out, event="room")
        yield


def _has_room(device: torch.device, active: int) -> bool:
    """Whether twice the memory of an average cell is free; evaluation may need more than the first batches did."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    return free > 2 * torch.cuda.max_memory_reserved(device) / active


def _send(out: TextIO, **message: Any) -> None:
    out.write(json.dumps(message, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
