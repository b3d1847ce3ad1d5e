"""What the page shows, part by part, made anew where the store has changed: once, however many look at it.

How far the study is takes milliseconds, and is made at every change. The report takes seconds for a thousand cells, and the
machine has models to train: so it is made while somebody looks, the verdicts first and for no more than a fifth of the time, and
the rest of it more seldom.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ablate.report.content import page, verdicts
from ablate.report.live import problem_part, state_part
from ablate.report.web import parts
from ablate.store import Store

LOOK_SECONDS = 0.1  # between two looks at whether the store has changed
LOOK_AT_ALL_SECONDS = 2.0  # and at what changes without a word: a driver that was killed
KINDS = ("state", "problem of state", "report", "problem of report")  # of parts, in their order
REST = 4.0  # times as long as the processor was at work on the verdicts, before they are made again
REST_OF_ALL = 16.0  # the same of the whole report


@dataclass(frozen=True)
class Update:
    """What has changed.

    Attributes:
        version: A number that counts up.
        order: The identifiers of all parts, as they stand in the page.
        changed: Those that have changed, as HTML.
    """

    version: int
    order: tuple[str, ...]
    changed: Mapping[str, str]


class Live:
    """The parts of the page, each with the version that it is of.

    Args:
        directory: That of the store.
        study: The name of the study.
    """

    def __init__(self, directory: Path, study: str):
        self.directory, self.study = directory, study
        self.ended = threading.Event()
        self._news = threading.Condition()
        self._version, self._viewers = 0, 0
        self._told: dict[str, dict[str, tuple[int, str]]] = {kind: {} for kind in KINDS}
        self._change = 0  # counts up with what a report would show

    @contextmanager
    def running(self) -> Iterator[None]:
        """Follows the study until the block ends."""
        ways = {"state": self._look, "report": self._tell}
        threads = [threading.Thread(target=self._each, args=one, daemon=True) for one in ways.items()]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ended.set()
            with self._news:
                self._news.notify_all()
            for thread in threads:
                thread.join(timeout=30)

    @contextmanager
    def viewing(self) -> Iterator[None]:
        """Somebody looks while the block runs."""
        with self._news:
            self._viewers += 1
            self._news.notify_all()
        try:
            yield
        finally:
            with self._news:
                self._viewers -= 1

    @property
    def viewers(self) -> int:
        return self._viewers

    def since(self, version: int, seconds: float = 0.0) -> Update | None:
        """What has changed after a version; it is waited for so many seconds, and None if nothing has."""
        with self._news:
            self._news.wait_for(lambda: self._version > version or self.ended.is_set(), seconds)
            if self._version <= version:
                return None
            told = {name: part for kind in KINDS for name, part in self._told[kind].items()}
            return Update(self._version, tuple(told), {name: html for name, (own, html) in told.items() if own > version})

    def _each(self, kind: str, way: Callable[[Store], None]) -> None:
        """Opens the store and makes the parts of a kind, again and again; what goes wrong is a part, too."""
        while not self.ended.is_set():
            try:
                with Store(self.directory, create=False, read_only=True) as store:
                    way(store)
            except Exception as error:  # in a thread, where nobody else would hear of it
                self._put(f"problem of {kind}", {f"problem-{kind}": problem_part(error)})
                self.ended.wait(LOOK_AT_ALL_SECONDS)

    def _look(self, store: Store) -> None:
        seen: tuple[int, int] | None = None
        next_look = 0.0
        while not self.ended.wait(LOOK_SECONDS if seen is not None else 0):
            change = store.change(), store.kept.thumbnails_changed(self.study)  # which are made after the last cell
            if change != seen or time.monotonic() >= next_look:
                now = store.now(self.study)
                self._put("state", {"state": state_part(self.study, now)})
                if change != seen:
                    with self._news:
                        self._change += 1
                        self._news.notify_all()
                seen, next_look = change, time.monotonic() + LOOK_AT_ALL_SECONDS

    def _tell(self, store: Store) -> None:
        told = whole = 0  # the changes that the verdicts have, and the whole report
        rested = rested_from_all = 0.0  # from when on each may be made again
        while not self.ended.is_set():
            with self._news:
                now, change, looked = time.monotonic(), self._change, self._viewers > 0
                due = [rested] if change > told and (looked or not told) else []
                due_of_all = [rested_from_all] if whole < told and (looked or not whole) else []
                if not any(at <= now for at in (*due, *due_of_all)):
                    self._news.wait(min((at - now for at in (*due, *due_of_all)), default=None))
                    continue
            begun, first = time.thread_time(), any(at <= now for at in due)
            made = parts((verdicts if first else page)(store.study(self.study)))
            took, told = time.thread_time() - begun, change
            if first:
                self._put("report", {name: html for name, (_, html) in self._told["report"].items()} | made)
                rested = time.monotonic() + REST * took
            else:
                self._put("report", made)
                whole, rested_from_all = change, time.monotonic() + REST_OF_ALL * took

    def _put(self, kind: str, html: Mapping[str, str]) -> None:
        """Has these parts in place of all of their kind; those that are as they were keep their version."""
        with self._news:
            before = self._told[kind]
            new = self._version + 1
            after = {name: before[name] if before.get(name, (0, ""))[1] == made else (new, made) for name, made in html.items()}
            problem = f"problem of {kind}"
            if list(after.items()) != list(before.items()) or self._told.get(problem):
                self._told |= {kind: after} | ({problem: {}} if problem in KINDS else {})
                self._version = new
                self._news.notify_all()
