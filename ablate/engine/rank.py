"""One of the other processes of a cell on several devices: `python -m ablate.engine.rank`, started by `ranks.first`.

It gets its order as a line of JSON on standard input, and ends when that is closed. On standard output it says `ready`, and where
it fails, why, as JSON.
"""

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import torch

from ablate.contracts import Cell, Environment
from ablate.errors import describe
from ablate.registry import default
from ablate.spec.trainer import Controls

from .ranks import group
from .train import follow


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes into the worker's log
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    order = json.loads(sys.stdin.readline())
    out.write("ready\n")
    out.flush()
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    try:
        _train(order)
    except Exception as error:  # told by the first process, which catches what fails
        traceback.print_exc()
        memory = isinstance(error, torch.OutOfMemoryError)
        out.write(json.dumps({"error": describe(error), "memory": memory}) + "\n")
        out.flush()
        os._exit(1)  # without waiting for the others, which wait for this one


def _train(order: dict[str, Any]) -> None:
    cell, environment = Cell.from_json(order["cell"]), Environment(Path(order["data_dir"]), download=False)
    with group(order["rank"], order["devices"], Path(order["meeting"])) as ranks:
        follow(default(), cell, environment, Controls(Path(order["checkpoint"])), ranks)


def _end_with_the_first() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
