"""A place where machines share finished cells, and say which cells they train.

    cells/KEY        a finished cell
    leases/KEY.N     who trains it, and until when; the N-th, where those before have run out

A lease is taken by creating an object that must not be there, so of two machines one is told that it was too late. Its holder
writes it anew as long as it trains. A machine that says nothing for `LEASE_SECONDS` has lost it. Two machines whose clocks differ
by more, or a place where creation is no single step, may train a cell twice, which wastes time and harms nothing.
"""

import json
import socket
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Literal

from ablate.contracts import Cell

from . import envelopes
from .objects import Failed, Objects
from .portable import KEY, Record

LEASE_SECONDS = 300.0
LOOK_SECONDS = 5.0  # between two listings, while cells are waited for
GENERATIONS = 1000  # leases of one cell
SMALL = 10_000  # bytes of a lease


@dataclass
class Told:
    """What became of a remote's cells.

    Attributes:
        taken: How many came from it.
        given: How many went to it.
        lost: How many could not be given.
        refused: Those that were not believed, by key, and why.
    """

    taken: int = 0
    given: int = 0
    lost: int = 0
    refused: dict[str, str] = field(default_factory=dict)


class Remote:
    """What is known of a place, and what is done there.

    Args:
        objects: The place.
        secret: With which cells and leases are signed, and have to be; None for none.
    """

    def __init__(self, objects: Objects, secret: bytes | None = None):
        self._objects, self._secret = objects, secret
        self.told = Told()
        self.finished: set[str] = set()  # keys of the cells that are there
        self.owner = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        self._mine: dict[str, int] = {}  # leases, by key
        self._held: dict[str, tuple[float, str]] = {}  # those of others: until when, by this machine's clock, and whose
        self._seen: dict[str, float] = {}  # leases that say nothing, and when that was seen first
        self._looked, self._lock = 0.0, threading.Lock()
        self.conditional = False

    def look(self) -> None:
        """Learns which cells are there, by one listing.

        Raises:
            Failed: It cannot be listed.
        """
        self._looked = time.monotonic()
        self.finished = {name for name in self._objects.names("cells") if KEY.fullmatch(name)}

    def open(self) -> None:
        """Learns which cells are there, and whether cells can be leased.

        Raises:
            Failed: Nothing can be learned.
        """
        self.look()
        self.conditional = self._objects.is_conditional()

    def take(self, cell: Cell) -> tuple[Record, bytes | None] | None:
        """A finished cell with what it said of each image, where it is there and is believed.

        The place is asked for a planned cell: what comes has to be of its key, seed, device and identity, and its recipe is not
        looked at, because paths differ between machines.
        """
        try:
            data = self._objects.read(f"cells/{cell.key}", envelopes.LARGEST)
        except Failed:
            return None
        if data is None:
            return None
        try:
            record, said = envelopes.cell_in(cell.key, data, self._secret)
            if (record["seed"], record["device"], record["identity"]) != (cell.seed, cell.device, cell.identity):
                raise ValueError("it is of another seed, device or identity")
        except ValueError as error:
            self.refuse(cell.key, str(error))
            return None
        return {**record, "recipe": cell.recipe}, said

    def refuse(self, key: str, why: str) -> None:
        """Notes that a cell is not believed; it will be written anew."""
        with self._lock:
            self.told.refused[key] = why

    def give(self, record: Record, said: bytes | None) -> None:
        """Writes a finished cell; one that is there and was not refused stays as it is."""
        key = record["key"]
        try:
            data = envelopes.cell(record, said, self._secret)
            if key in self.told.refused or not self.conditional:
                self._objects.write(f"cells/{key}", data)
                new = True
            else:
                new = self._objects.create(f"cells/{key}", data)
            with self._lock:
                self.told.given += new
                self.finished.add(key)
        except (Failed, ValueError):  # or a number that JSON does not have
            with self._lock:
                self.told.lost += 1

    # Leases

    def lease(self, key: str) -> Literal["mine", "held", "none"]:
        """Takes the right to train a cell; `none` where nobody can say who has it, and the cell may be trained all the same."""
        if not self.conditional or key in self._mine:
            return "mine" if key in self._mine else "none"
        until, _ = self._held.get(key, (0.0, ""))
        if time.time() < until:
            return "held"
        try:
            for number in range(GENERATIONS):
                if self._objects.create(f"leases/{key}.{number}", self._lease_of(f"{key}.{number}")):
                    with self._lock:
                        self._mine[key] = number
                    self._held.pop(key, None)
                    return "mine"
                if (end := self._ends(f"{key}.{number}")) is not None and end[0] > time.time():
                    self._held[key] = end
                    return "held"
        except Failed:
            pass
        return "none"

    def _lease_of(self, name: str) -> bytes:
        content = json.dumps({"owner": self.owner, "until": time.time() + LEASE_SECONDS}).encode()
        return envelopes.sealed(name, content, self._secret)

    def _ends(self, name: str) -> tuple[float, str] | None:
        """Until when a lease holds, at most for as long as one does, and whose it is; None where it was given back just now.

        Raises:
            Failed: It cannot be read.
        """
        data = self._objects.read(f"leases/{name}", SMALL)
        if data is None:
            return None
        latest = time.time() + LEASE_SECONDS
        try:
            content = json.loads(envelopes.unsealed(name, data, self._secret))
            return min(float(content["until"]), latest), str(content["owner"])[:100]
        except (ValueError, LookupError, TypeError, RecursionError):  # half-written, or not with this key
            return self._seen.setdefault(name, latest), "somebody"

    def renew(self) -> None:
        """Writes the leases of this machine anew."""
        for key, number in list(self._mine.items()):
            try:
                self._objects.write(f"leases/{key}.{number}", self._lease_of(f"{key}.{number}"))
            except Failed:
                return

    def release(self, key: str) -> None:
        """Gives a lease back, and removes those before it."""
        with self._lock:
            number = self._mine.pop(key, None)
        for each in range(number + 1) if number is not None else ():
            self._objects.remove(f"leases/{key}.{each}")

    def release_all(self) -> None:
        for key in list(self._mine):
            self.release(key)

    def looks_finished(self, key: str) -> bool:
        """Whether a cell that another machine trains is there by now; asked again only after a while."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            try:
                self.look()
            except Failed:
                return False
        return key in self.finished

    def holder(self, key: str) -> str:
        """The machine that trains a cell, as far as is known."""
        owner = self._held.get(key, (0.0, "somebody"))[1]
        return owner.rpartition("-")[0] or owner
