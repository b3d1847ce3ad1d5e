"""A worker process: trains the cells that come in, one after another, and stays warm between them.

Messages are JSON, one a line: cells and `stop` on standard input, events on standard output. What libraries print goes to
standard error, which is the worker's log. When the driver dies, standard input ends, and the worker with it.
"""

import faulthandler
import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, TextIO

import torch
import torch._dynamo  # the first optimizer would import it, and a worker that waits for its first cell has the time

from ablate import registry
from ablate.engine.train import Controls, Interrupted, train
from ablate.errors import describe
from ablate.records import Cell, Environment


def main() -> None:
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the driver says when to stop
    inbox: queue.Queue[dict[str, Any]] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, inbox, stop), daemon=True).start()
    _send(out, event="ready")
    while True:
        message = inbox.get()
        _run(message, stop, out)


def _listen(source: TextIO, inbox: "queue.Queue[dict[str, Any]]", stop: threading.Event) -> None:
    for line in source:
        message = json.loads(line)
        if message["do"] == "stop":
            stop.set()
        else:
            inbox.put(message)
    os._exit(0)


def _run(message: dict[str, Any], stop: threading.Event, out: TextIO) -> None:
    cell = Cell.from_json(message["cell"])
    environment = Environment(Path(message["data_dir"]), message["download"])
    checkpoint = Path(message["checkpoints"]) / f"{cell.key}.safetensors"
    controls = Controls(
        checkpoint,
        message["checkpoint_seconds"],
        on_epoch=lambda record: _send(out, event="epoch", record=record),
        should_stop=stop.is_set,
    )
    try:
        result = train(registry.default(), cell, environment, torch.device(message["device"]), controls)
    except Interrupted:
        _send(out, event="interrupted")
    except Exception as error:  # the one place where a cell's failure is caught
        _send(out, event="failed", error=describe(error), traceback=traceback.format_exc())
    else:
        _send(out, event="done", result=result.to_json())


def _send(out: TextIO, **message: Any) -> None:
    out.write(json.dumps(message, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
