"""What a job does: it trains one cell, and writes what happens as lines of JSON into a file on the shared folder.

submitit pickles the call that it submits, which here is a `Training` and a text, and the job reads that pickle. Its result is
None: what the driver reads is the JSON.
"""

import json
import threading
import time
from pathlib import Path

from submitit.helpers import DelayedSubmission

from ablate.executors import Message
from ablate.plugin import default
from ablate.registry import sources

LOOK_SECONDS = 2.0  # between two looks at the sign of life
ORPHAN_SECONDS = 300.0  # more than a network file system takes to show a change
SAVE_SECONDS = 60.0  # Slurm kills a job 90 seconds after it has warned it


class Training:
    """The callable that is submitted."""

    thread: threading.Thread | None = None
    ending: str | None = None

    def __call__(self, order: str) -> None:
        """Trains a cell beside the main thread, which Slurm's signals reach.

        Args:
            order: `ablate.executors.order` as text, with the files for `events` and for the sign that the driver is `alive`.
        """
        self.warned = threading.Event()
        self.thread = threading.Thread(target=self._train, args=(json.loads(order),), daemon=True)
        self.thread.start()
        self.thread.join()

    def _train(self, order: Message) -> None:
        self.ending = train(order, self.warned)

    def checkpoint(self, order: str) -> DelayedSubmission | None:
        """Called by submitit before the job is preempted or runs out of time: saves the state, and asks to go on later.

        Returns:
            What is to be done later; None where the cell has ended meanwhile.
        """
        if self.thread is not None:
            self.warned.set()
            self.thread.join(SAVE_SECONDS)
        return DelayedSubmission(Training(), order) if self.ending in (None, "requeued") else None


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


def train(order: Message, warned: threading.Event) -> str:
    """Writes the messages of `ablate.executors.training`, the last of which it names: `done`, `failed`, `interrupted` where the
    driver wants the cell to stop, or `requeued` where the job is to go on later.
    """
    sources.remember(default().distributions)  # before what it looks at is imported
    from ablate.executors.training import messages

    driver = SignOfLife(Path(order["alive"]))
    for message in messages(order, lambda: warned.is_set() or driver.has_ended(), elsewhere=True):
        if message is None:
            continue
        if message["event"] == "interrupted" and not driver.ended:
            message["event"] = "requeued"
        with Path(order["events"]).open("a") as file:  # closed each time, so that a network file system shows it
            file.write(json.dumps(message, allow_nan=False) + "\n")
        last: str = message["event"]
    return last
