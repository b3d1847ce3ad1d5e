"""A run that shares its cells with other machines: finished ones are taken from a remote before training and given to it after.

Nothing of it can fail a run: what cannot be had is trained, what cannot be given is counted. Cells are given by threads of their
own, so that a slow place does not hold the study up before its end.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from ablate.contracts import Cell
from ablate.errors import UsageError
from ablate.executors.believing import unbelievable
from ablate.registry.hooks import CellInfo, hookimpl
from ablate.report.tables import plural
from ablate.store import Store, exchanging, portable
from ablate.store.envelopes import SHORTEST
from ablate.store.objects import Failed, Objects
from ablate.store.portable import Record
from ablate.store.remote import LEASE_SECONDS, Remote

SECRET = "ABLATE_REMOTE_KEY"  # noqa: S105  the name of a variable
AT_ONCE = 8  # requests
WAITING = 64  # cells in memory, of those that were finished before


@contextmanager
def shared(url: str | None, store: Store, warn: Callable[[str], None], keep: bool = False) -> Iterator["Sharing | None"]:
    """What a run shares, and what it says of that at its end; None without a remote.

    Args:
        url: The remote.
        store: The run's own.
        warn: Called with messages for the user.
        keep: Whether weights are to be kept, which what is taken does not have.

    Raises:
        UsageError: The URL or the key is none.
    """
    if url is None:
        yield None
        return
    objects = Objects(url)
    remote = Remote(objects, _secret())
    sharing = Sharing(remote, store, warn)
    try:
        remote.open()
        if not remote.conditional:
            warn(f"{_named(url)} is not known to lease cells: what two machines train at once is trained twice")
    except Failed:
        warn(f"{_named(url)} cannot be reached ({_reasons(objects)}): this run goes on without what is there")
    try:
        yield sharing
    finally:
        sharing.close()
        warn(_summary(url, objects, remote, keep))


def _secret() -> bytes | None:
    given = os.environ.get(SECRET)
    if given is not None and len(given) < SHORTEST:
        raise UsageError(f"{SECRET} has {len(given)} characters. Give it at least {SHORTEST}, the same on all machines.")
    return given.encode() if given else None


def _named(url: str) -> str:
    """The remote without what may be a password."""
    scheme, separator, rest = url.rpartition("://")
    return f"remote {scheme}{separator}{rest.rpartition('@')[2]}"


def _reasons(objects: Objects) -> str:
    return "; ".join(f"{name}: {said}" for name, said in list(objects.counts.reasons.items())[:3]) or "no answer"


def _summary(url: str, objects: Objects, remote: Remote, keep: bool) -> str:
    told, counts = remote.told, objects.counts
    bare = " without weights" if keep and told.taken else ""
    said = [f"{_named(url)}: {plural(told.taken, 'cell')} taken{bare}, {told.given:,} given"]
    if told.lost:
        they = "it" if told.lost == 1 else "them"
        said.append(f"{plural(told.lost, 'cell')} could not be given: running the study again with --remote gives {they}")
    if told.refused:
        why = list(dict.fromkeys(told.refused.values()))
        said.append(f"{plural(len(told.refused), 'cell')} there not believed ({'; '.join(why[:3])})")
    if counts.tried_again:
        tries = f"{counts.tried_again:,} {'try' if counts.tried_again == 1 else 'tries'}"
        said.append(f"{tries} failed, {plural(counts.failed, 'request')} for good ({_reasons(objects)})")
    return "; ".join(said)


class Sharing:
    """Between a store and a remote; a listener, which is told what ends after the store has it.

    Args:
        remote: The place.
        store: Used by the thread that made it alone.
        warn: Called with messages for the user.
    """

    def __init__(self, remote: Remote, store: Store, warn: Callable[[str], None]):
        self._remote, self._store, self._warn = remote, store, warn
        self._to_give: queue.Queue[tuple[str, Record | None, bytes | None] | None] = queue.Queue()
        self._later: set[str] = set()  # keys of what is given at the end
        self._waited_for: set[str] = set()
        self._over = threading.Event()
        for work in (*[self._give] * AT_ONCE, self._renew):
            threading.Thread(target=work, daemon=True).start()

    def exchange(self, cells: Sequence[Cell]) -> None:
        """Takes those of these cells that the store does not have; those that the remote does not have are given at the end."""
        stored = self._store.stored([cell.key for cell in cells])
        self._later |= stored - self._remote.finished
        there = self._remote.finished - stored - self._remote.told.refused.keys()
        common = list({cell.key: cell for cell in cells if cell.key in there}.values())
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for start in range(0, len(common), exchanging.AT_ONCE):
                some = common[start : start + exchanging.AT_ONCE]
                came = zip(some, pool.map(self._remote.take, some), strict=True)
                self._store_all([(cell, *told) for cell, told in came if told])

    def _store_all(self, found: Sequence[tuple[Cell, Record, bytes | None]]) -> set[str]:
        """Stores what is believed of what came.

        Returns:
            The keys of what is stored.
        """
        taken = exchanging.Taken()
        kept = set()
        with self._store.access.transaction() as db:
            for cell, record, said in found:
                wrong = unbelievable(cell, portable.result_of(record, said))
                if wrong is not None:
                    self._remote.refuse(cell.key, wrong)
                elif exchanging.take_result(db, self._store, record, taken):
                    kept.add(cell.key)
                    if said is not None:
                        exchanging.write_predictions(self._store, record, said)
        self._remote.told.taken += taken.cells
        return kept

    def claim(self, cell: Cell, where: Mapping[str, Any]) -> str:
        """As `Store.claim`, of a cell that no other machine trains or has trained."""
        remote = self._remote
        lease = remote.lease(cell.key)
        may_be_there = cell.key not in remote.told.refused and (lease == "mine" or remote.looks_finished(cell.key))
        if may_be_there and (found := remote.take(cell)) and self._store_all([(cell, *found)]):
            remote.release(cell.key)
            return "done"
        if lease == "held":
            self._say_held(cell.key)
            return "held"
        state = self._store.claim(cell, where)
        if state != "claimed":
            remote.release(cell.key)
        return state

    def _say_held(self, key: str) -> None:
        owner = self._remote.holder(key)
        if owner not in self._waited_for:
            self._waited_for.add(owner)
            self._warn(
                f"cells of this study are trained on {owner}, as the remote says: this run waits for them, and trains them where "
                f"nothing is heard of it for {LEASE_SECONDS / 60:g} minutes. Without --remote it waits for nobody"
            )

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str) -> None:
        """Gives what is done, and then the lease back."""
        if status == "done" and self._store.stored([cell.key]):
            self._queue(cell.key)
        else:
            self._to_give.put((cell.key, None, None))

    def _queue(self, key: str) -> None:
        self._later.discard(key)
        file = self._store.kept.predictions_of(key)
        try:
            said = file.read_bytes() if file.is_file() else None
            record = portable.record_of(self._store.access, key)
        except (LookupError, OSError):  # removed in between, or not to be read
            self._remote.told.lost += 1
            self._to_give.put((key, None, None))
        else:
            self._to_give.put((key, record, said))

    def _give(self) -> None:
        while (work := self._to_give.get()) is not None:
            key, record, said = work
            if record is not None:
                self._remote.give(record, said)
            self._remote.release(key)
            self._to_give.task_done()

    def _renew(self) -> None:
        while not self._over.wait(LEASE_SECONDS / 4):
            self._remote.renew()

    def wait(self) -> None:
        """Waits until the remote has what was to be given so far, or has failed to take it."""
        self._to_give.join()

    def close(self) -> None:
        """Gives what the store had before, and waits until all is given; where the place is gone, requests fail at once."""
        for key in sorted(self._later):
            while self._to_give.qsize() > WAITING:
                time.sleep(0.01)
            self._queue(key)
        self.wait()
        for _ in range(AT_ONCE):
            self._to_give.put(None)
        self._over.set()
        self._remote.release_all()
