"""What a job does: it trains one cell, and writes what happens as lines of JSON into a file on the shared folder.

submitit pickles the call that it submits, which here is a `Training` and two texts, and the job reads that pickle. Its result is
None: what the driver reads is the JSON.
"""

import json
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from submitit.helpers import DelayedSubmission

LOOK_SECONDS = 2.0  # between two looks at the sign of life
ORPHAN_SECONDS = 300.0  # more than a network file system takes to show a change
SAVE_SECONDS = 60.0  # Slurm kills a job 90 seconds after it has warned it


class Training:
    """The callable that is submitted."""

    thread: threading.Thread | None = None
    ending: str | None = None

    def __call__(self, cell: str, order: str) -> None:
        """Trains a cell beside the main thread, which Slurm's signals reach.

        Args:
            cell: `Cell.to_json` as text.
            order: Device, places and times, as text.
        """
        self.warned = threading.Event()
        self.thread = threading.Thread(target=self._train, args=(json.loads(cell), json.loads(order)), daemon=True)
        self.thread.start()
        self.thread.join()

    def _train(self, cell: dict[str, Any], order: dict[str, Any]) -> None:
        self.ending = train(cell, order, self.warned)

    def checkpoint(self, cell: str, order: str) -> DelayedSubmission | None:
        """Called by submitit before the job is preempted or runs out of time: saves the state, and asks to go on later.

        Returns:
            What is to be done later; None where the cell has ended meanwhile.
        """
        if self.thread is not None:
            self.warned.set()
            self.thread.join(SAVE_SECONDS)
        return DelayedSubmission(Training(), cell, order) if self.ending in (None, "requeued") else None


class SignOfLife:
    """A file that the driver touches while it lives, and removes when the cells are to stop.

    Age is measured by this machine's clock, from when the file was last seen to change: clocks of other machines may differ.
    """

    def __init__(self, path: Path):
        self.path, self.ended = path, False
        self._seen: int | None = None
        self._next_look, self._changed = 0.0, time.monotonic()

    def has_ended(self) -> bool:
        now = time.monotonic()
        if self.ended or now < self._next_look:
            return self.ended
        self._next_look = now + LOOK_SECONDS
        try:
            touched = self.path.stat().st_mtime_ns
        except FileNotFoundError:
            self.ended = True
            return True
        if touched != self._seen:
            self._seen, self._changed = touched, now
        self.ended = now - self._changed > ORPHAN_SECONDS
        return self.ended


def train(cell: dict[str, Any], order: dict[str, Any], warned: threading.Event) -> str:
    """Writes `started`, `epoch` after each, and how it ends, which is also returned: `done`, `failed`, `interrupted` where the
    driver wants it to stop, or `requeued` where the job is to go on later.
    """
    import torch
    import torch._dynamo  # the first optimizer would import it, and a cell's time has not begun yet

    from ablate.engine.train import Controls, Interrupted
    from ablate.engine.train import train as train_cell
    from ablate.errors import describe
    from ablate.records import Cell, Environment
    from ablate.registry import default

    def tell(event: str, **more: Any) -> str:
        with Path(order["events"]).open("a") as file:  # closed each time, so that a network file system shows it
            file.write(json.dumps({"event": event, **more}, allow_nan=False) + "\n")
        return event

    def epoch(record: dict[str, Any]) -> None:
        tell("epoch", record=record)

    driver = SignOfLife(Path(order["alive"]))
    tell("started")
    try:
        controls = Controls(
            Path(order["checkpoint"]),
            order["checkpoint_seconds"],
            on_epoch=epoch,
            should_stop=lambda: warned.is_set() or driver.has_ended(),
        )
        environment = Environment(Path(order["data_dir"]), order["download"])
        result = train_cell(default(), Cell.from_json(cell), environment, torch.device(order["device"]), controls)
        return tell("done", result=result.to_json())
    except Interrupted:
        return tell("interrupted" if driver.ended else "requeued")
    except Exception as error:  # a cell's own failure, of whatever kind
        return tell("failed", error=describe(error), log=traceback.format_exc())
