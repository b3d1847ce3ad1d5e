"""Hands cells to actors, and understands what they say. A cell whose actor is lost goes to another one."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Any

import ray
from ray.exceptions import RayError

from ablate.executors import CellEnded, CellStarted, Event, Message, Settings, event_of, order
from ablate.plugin import Cell, EnvironmentProblem

from .worker import Worker

POLL_SECONDS = 0.5
STOP_SECONDS = 60  # how long a cell may take to save its state
FORGET_SECONDS = 30  # how long the last states may take to be removed
STILLBORN = 3  # so many workers in a row that die before they are ready are no accident


@dataclass(eq=False)
class Member:
    """An actor and what it does.

    Attributes:
        actor: Its handle.
        news: What is waited for: that it is ready, or the stream of a training; None while it has nothing to do.
        ready: Whether it has started.
        cell: What it trains.
        deadline: Until when its cell may take.
        forgets: The removal of the state of the last cell that it finished.
    """

    actor: Any
    news: Any
    ready: bool = False
    cell: Cell | None = None
    deadline: float = float("inf")
    forgets: Any = None


@dataclass
class Pool:
    """The actors of a run.

    Attributes:
        cpus: That each takes; None for one for each device of a cell.
        gpus: That each takes; None for those of a cell where the study runs on GPUs.
        checkpoints: Directory or URL of saved states; None for the store's directory.
        retries: How often a cell may lose its actor.
        patience: Seconds without a node that is large enough for an actor.
        kind: The class of the actors.
        members: Those that are alive, or are to be.
        again: Cells that lost their actor.
        losses: How often each did.
        stillborn: Actors that died before they were ready, since the last that did not.
        hopeful: When an actor was ready last.
    """

    cpus: float | None = None
    gpus: float | None = None
    checkpoints: str | None = None
    retries: int = 3
    patience: float = 120.0
    kind: type = Worker
    members: list[Member] = field(default_factory=list)
    again: list[Cell] = field(default_factory=list)
    losses: Counter[str] = field(default_factory=Counter)
    stillborn: int = 0
    hopeful: float = 0.0

    @property
    def busy(self) -> list[Member]:
        return [member for member in self.members if member.cell is not None]

    def resources(self, settings: Settings) -> dict[str, float]:
        """What an actor takes, as Ray names it."""
        on_gpus, devices = settings.device != "cpu", settings.devices
        gpus = float(on_gpus * devices) if self.gpus is None else self.gpus
        cpus = float(devices) if self.cpus is None else self.cpus
        return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}

    def fill(self, settings: Settings) -> None:
        """Asks for the actors that are missing; the cluster starts them when it has room."""
        needs = self.resources(settings)
        options: Any = {"num_cpus": needs["CPU"], "num_gpus": needs.get("GPU", 0), "concurrency_groups": {"control": 1}}
        remote: Any = ray.remote(**options)(self.kind)
        while len(self.members) < settings.jobs:
            actor = remote.remote()
            self.members.append(Member(actor, actor.ready.remote()))

    def give(self, member: Member, cell: Cell, settings: Settings) -> None:
        device = settings.device.partition(":")[0]  # an actor sees no GPU but its own
        here = {"device": device, "checkpoint": self.checkpoint(cell, settings)}
        member.cell, member.deadline = cell, float("inf")
        member.news = member.actor.train.remote(json.dumps(order(cell, settings) | here))

    def checkpoint(self, cell: Cell, settings: Settings) -> str:
        return f"{str(self.checkpoints or settings.checkpoints).rstrip('/')}/{cell.key}.safetensors"

    def listen(self) -> list[tuple[Member, Message]]:
        """One message of every actor that has something to say; at least one, or none after a while."""
        by_news = {member.news: member for member in self.members if member.news is not None}
        heard, _ = ray.wait(list(by_news), timeout=POLL_SECONDS)
        if heard:
            heard, _ = ray.wait(list(by_news), num_returns=len(by_news), timeout=0)
        return [(by_news[news], _message(news)) for news in heard]

    def drop(self, member: Member) -> None:
        self.members.remove(member)
        ray.kill(member.actor)

    def close(self) -> None:
        if forgets := [member.forgets for member in self.members if member.forgets is not None]:
            ray.wait(forgets, num_returns=len(forgets), timeout=FORGET_SECONDS)
        for member in list(self.members):
            self.drop(member)


def _message(news: Any) -> Message:
    try:
        if isinstance(news, ray.ObjectRef):
            ray.get(news)
            return {"event": "ready"}
        message: Message = json.loads(ray.get(next(news)))
        return message
    except RayError as error:
        return {"event": "lost", "error": str(error).strip()}


def run(pool: Pool, settings: Settings, take: Callable[[], Cell | None], stop: Flag) -> Iterator[Event]:
    """As `ablate.executors` says.

    Raises:
        EnvironmentProblem: The cluster has no place for a worker, or cannot start one.
    """
    stopped_at: float | None = None
    pool.hopeful = time.monotonic()
    while True:
        if stop.is_set() and stopped_at is None:
            stopped_at = time.monotonic()
            yield from (CellEnded(cell.key, "interrupted") for cell in pool.again)
            pool.again.clear()
            for member in pool.busy:
                member.actor.stop.remote()
        expects = stopped_at is None and _hand_out(pool, settings, take)
        if not pool.busy and not expects:
            return
        for member, message in pool.listen():
            yield from _understand(pool, settings, member, message, stopped_at is not None)
        yield from _late(pool, settings, stopped_at)
        _must_have_room(pool, settings)


def _hand_out(pool: Pool, settings: Settings, take: Callable[[], Cell | None]) -> bool:
    """Gives cells to the actors that are free, and says whether there may be more cells."""
    pool.fill(settings)
    for member in pool.members:
        if member.ready and member.cell is None:
            cell = pool.again.pop() if pool.again else take()
            if cell is None:
                return False
            pool.give(member, cell, settings)
    return True


def _understand(pool: Pool, settings: Settings, member: Member, message: Message, stopping: bool) -> Iterator[Event]:
    if message["event"] == "lost":
        yield from _lost(pool, member, message["error"], stopping)
        return
    if message["event"] == "ready":
        member.ready, member.news = True, None
        pool.stillborn, pool.hopeful = 0, time.monotonic()
        return
    cell = member.cell
    assert cell is not None, "only a training speaks"  # noqa: S101, for the type checker
    event = event_of(cell.key, message)
    if isinstance(event, CellStarted):
        member.deadline = time.monotonic() + (settings.timeout or float("inf"))
    if isinstance(event, CellEnded):
        member.cell = member.news = None
        if event.status == "failed" and settings.device != "cpu":
            pool.drop(member)  # after some errors of a GPU everything fails in that process
    yield event
    if message["event"] == "done":
        member.forgets = member.actor.forget.remote(pool.checkpoint(cell, settings))  # it is stored, now that this goes on


def _lost(pool: Pool, member: Member, error: str, stopping: bool) -> Iterator[Event]:
    """An actor is gone, with its process or its node."""
    pool.drop(member)
    cell = member.cell
    if cell is None:
        pool.stillborn += 1
        if pool.stillborn == STILLBORN:
            raise EnvironmentProblem(f"the Ray cluster cannot start a worker: {error}")
    elif stopping:
        yield CellEnded(cell.key, "interrupted")
    else:
        pool.losses[cell.key] += 1
        if pool.losses[cell.key] <= pool.retries:
            pool.again.append(cell)
            return
        times = f"{pool.losses[cell.key]} times" if pool.retries else "once"
        yield CellEnded(cell.key, "failed", None, f"its worker was lost {times}: {error.splitlines()[0]}", error)


def _late(pool: Pool, settings: Settings, stopped_at: float | None) -> Iterator[Event]:
    """Ends cells that take longer than they may, and those that do not stop when they should."""
    now = time.monotonic()
    for member in pool.busy:
        assert member.cell is not None, "it is busy"  # noqa: S101, for the type checker
        if now > member.deadline:
            pool.drop(member)
            yield CellEnded(
                member.cell.key, "failed", None, f"it took longer than the timeout of {settings.timeout:g} seconds", ""
            )
        elif stopped_at is not None and now > stopped_at + STOP_SECONDS:
            pool.drop(member)
            yield CellEnded(member.cell.key, "interrupted")


def _must_have_room(pool: Pool, settings: Settings) -> None:
    """A cluster whose nodes are taken is waited for; one whose nodes are too small is not, unless it grows."""
    if any(member.ready for member in pool.members) or time.monotonic() < pool.hopeful + pool.patience:
        return
    needs = pool.resources(settings)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if not any(all(node.get(name, 0) >= amount for name, amount in needs.items()) for node in nodes):
        asked = " and ".join(f"{amount:g} {name}" for name, amount in needs.items())
        raise EnvironmentProblem(
            f"no node of the Ray cluster has the {asked} that a cell takes. "
            "Ask for less with ABLATE_RAY_CPUS and ABLATE_RAY_GPUS, or add a node."
        )
    pool.hopeful = time.monotonic()
