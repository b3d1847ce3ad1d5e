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

from . import data
from .cell_training import CellTraining
from .deterministic import turn_of
from .ranks import Ranks, group
from .train import use_threads


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
    if order["memory"] < 1:
        torch.cuda.set_per_process_memory_fraction(order["memory"], order["devices"][order["rank"]])
    with group(order["rank"], order["devices"], Path(order["meeting"])) as ranks:
        _follow(cell, environment, Path(order["checkpoint"]), ranks)


def _follow(cell: Cell, environment: Environment, checkpoint: Path, ranks: Ranks) -> None:
    """Trains a cell beside the first of its processes, which has the results and saves the state."""
    use_threads(cell.recipe["threads"])
    tensors = data.load(default(), cell.recipe, cell.seed, environment, ranks.device, cell.identity.get("data"))
    with turn_of(cell.recipe, ranks.device)():
        run = CellTraining(default(), cell, tensors, ranks.device, ranks=ranks)
        run.restore(checkpoint, cell.key)
        ranks.wait()
        run.follow()


def _end_with_the_first() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
