"""The training of a cell as a stream of messages: what a worker of an executor does, wherever it runs."""

import re
import socket
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ablate.contracts import Cell, Environment
from ablate.devices import part
from ablate.errors import EnvironmentProblem, describe
from ablate.machine import machine
from ablate.registry import default, sources
from ablate.spec.identity import canonical_json, canonical_recipe, make_cell, recipe_digest, recipe_identity
from ablate.spec.recipe import components
from ablate.spec.trainer import Controls, Extension, Interrupted, trainer_of

from . import Message
from .devices import take_own

PROGRESS_SECONDS = 2.0  # between two messages of how far a training is, at least
PROGRESS_SHARE = 0.01  # and at least this part of the time that it has taken
DIGEST = re.compile("[0-9a-f]{64}")  # SHA-256
NO_MEMORY = re.compile(  # what CUDA and its libraries say of it that torch raises no OutOfMemoryError for
    r"CUDA error: out of memory|_ALLOC_FAILED|_ALLOCATION_FAILED|CU\w+_STATUS_NOT_INITIALIZED|unable to find an engine to execute"
)
_fingerprints: dict[tuple[str, Environment], str] = {}


def messages(order: Message, should_stop: Callable[[], bool], elsewhere: bool = False) -> Iterator[Message | None]:
    """Trains a cell, from its checkpoint where it has one, and tells how it goes; what fails is told and not raised.

    Args:
        order: As `ablate.executors.order` gives it.
        should_stop: Asked after each batch; when it says so, the state is saved and the training ends.
        elsewhere: Whether this may be another machine than the one that planned the study. A difference that would give
            another result is then a failure.

    Yields:
        Messages, which are JSON and have a kind, `event`: `started` first; `epoch` after each epoch, with its `record`; now and
        then `progress`, with the `epochs` that are done; and last `done` with the `result`, `interrupted`, or `failed` with the
        `error` in a line, its `traceback`, whether it was for want of `memory`, and whether the device is `broken` for this
        process, which can train nothing more then. And None after each batch, so that several cells may take turns in one
        process. A cell that is only measured tells its `pace` (`measured`), and is `interrupted`.
    """
    sources.remember(default().distributions)  # unless the worker has done so when it started, before it imported anything
    yield {"event": "started"}
    try:
        last = yield from (_measuring(order) if order.get("measure") else _training(order, should_stop, elsewhere))
    except Interrupted:
        last = {"event": "interrupted"}
    except Exception as error:  # the one place where a cell's failure is caught
        last = failure(error)
    yield last  # when what failed is let go of, with the memory that it had


def failure(error: Exception) -> Message:
    """The message that a cell failed with this exception, which is being handled."""
    message = {"event": "failed", "error": describe(error), "traceback": traceback.format_exc()}
    torch = sys.modules.get("torch")  # not every trainer needs it
    if torch is None:
        return message | {"memory": False, "broken": False}
    chain = list(_chain(error))  # transforms and factories are named by an exception around theirs
    memory = any(isinstance(one, torch.OutOfMemoryError) or NO_MEMORY.search(str(one)) for one in chain)
    return message | {"memory": memory, "broken": not memory and any(isinstance(one, torch.AcceleratorError) for one in chain)}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was raised because of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _training(order: Message, should_stop: Callable[[], bool], elsewhere: bool) -> Generator[Message | None, None, Message]:
    """Tells of epochs and batches, and returns the message that the cell is done."""
    cell = Cell.from_json(order["cell"])
    environment = Environment(Path(order["data_dir"]), order["download"])

    def check() -> dict[str, Any]:
        return as_planned(cell, environment, elsewhere)

    check()
    weights, state = (Path(order[name]) if order.get(name) else None for name in ("weights", "state"))  # or an older form of it
    extends = Extension.from_json(order["extends"]) if order.get("extends") else None
    progress = _Progress()
    controls = Controls(
        Path(order["checkpoint"]), order["checkpoint_seconds"], should_stop, check, weights, state, extends, progress.note
    )
    take_own(order)
    trainer = trainer_of(default(), cell.recipe)
    steps = trainer.train(cell, environment, part(order["device"], trainer.devices), controls)
    begun = False
    while True:
        try:
            record = next(steps)
        except StopIteration as end:
            told = {"trained": check(), "machine": machine(order["device"])}
            return {"event": "done", "result": end.value.to_json() | told}
        if not begun:
            check()  # what a cell needs is imported and read by now: most changes are found before hours of training
            begun = True
        yield None if record is None else {"event": "epoch", "record": record}
        if record is None and progress.due():
            yield {"event": "progress", "epochs": progress.epochs}


@dataclass
class _Progress:
    """How far a training is, and when that is told: often at first, seldom in one of hours, so that messages are few."""

    epochs: float = 0.0
    begun: float = 0.0
    told: float = 0.0

    def note(self, epochs: float) -> None:
        self.epochs = epochs
        if not self.begun:  # with the first batch
            self.begun = self.told = time.monotonic()

    def due(self) -> bool:
        now = time.monotonic()
        if not self.begun or now - self.told < max(PROGRESS_SECONDS, PROGRESS_SHARE * (now - self.begun)):
            return False
        self.told = now
        return True


def _measuring(order: Message) -> Generator[Message | None, None, Message]:
    """Tells the pace of a cell, as far as its trainer knows it, and returns that it was not trained to its end."""
    cell = Cell.from_json(order["cell"])
    trainer = trainer_of(default(), cell.recipe)
    if trainer.pace is not None:
        take_own(order)
        environment = Environment(Path(order["data_dir"]), order["download"])
        steps = trainer.pace(cell, environment, part(order["device"], trainer.devices), order["measure"])
        while True:
            try:
                yield next(steps)
            except StopIteration as end:
                yield {"event": "measured", "pace": asdict(end.value)}
                break
    return {"event": "interrupted"}


def as_planned(cell: Cell, environment: Environment, elsewhere: bool) -> dict[str, Any]:
    """What the cell depends on as this process has it, which is what it was when the study was planned.

    Raises:
        EnvironmentProblem: Packages, code, files or (on another machine) data would give a result that is not this cell's.
    """
    data = fingerprint_here(cell, environment) if elsewhere else cell.identity["data"]
    here = recipe_identity(default(), cell.recipe, data, cell.device, cell.identity.get("executor"))
    other = list(_differences(cell.identity, here, elsewhere))
    if not other:
        other = [f"{file} was edited" for file in sources.edited(here["packages"])]
    if not other and make_cell(cell.recipe, _digest(cell, here), cell.seed, cell.device, here).key != cell.key:
        other = [f"{file} was changed" for file in _files(cell)] or ["the recipe is not the one that was planned"]
    if not other:
        return here
    if elsewhere:
        raise EnvironmentProblem(f"node {socket.gethostname()} differs from the one that planned the study: {', '.join(other)}")
    raise EnvironmentProblem(f"{', '.join(other)} while the study ran. No result of this cell is stored: run the study again.")


def _digest(cell: Cell, identity: dict[str, Any]) -> str:
    return recipe_digest(canonical_recipe(default(), cell.recipe), cell.device, identity)


def _differences(planned: Mapping[str, Any], here: Mapping[str, Any], elsewhere: bool) -> Iterator[str]:
    """What is another one here than where the study was planned, in words."""
    flat = [_flat(identity) for identity in (planned, here)]
    for name in flat[0] | flat[1]:
        before, now = (side.get(name) for side in flat)
        if before == now:
            continue
        content = any(DIGEST.fullmatch(str(value)) for value in (before, now))
        if elsewhere:
            yield f"{name} has another content" if content else f"{name} is {now} and not {before}"
        elif content or str(before).partition("+")[0] == str(now).partition("+")[0]:
            yield f"{name} was edited"
        else:
            yield f"{name} was {before} and became {now}"


def _flat(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Everything in an identity by its own name, such as packages and files."""
    entries = {name: value for name, value in identity.items() if name != "executor"}
    return {
        name: value
        for key, entry in entries.items()
        for name, value in (entry if isinstance(entry, dict) else {key: entry}).items()
    }


def _files(cell: Cell) -> Iterator[str]:
    """The files that a recipe names, whose content is in its key."""
    for loaded, spec in components(default(), cell.recipe):
        for name, parameter in loaded.signature.parameters.items():
            if parameter.path and parameter.path.kind == "file" and spec.get(name) is not None:
                yield spec[name] if isinstance(spec[name], str) else spec[name]["path"]


def fingerprint_here(cell: Cell, environment: Environment) -> str:
    """Of the data as this machine has it; looked at once."""
    trainer = trainer_of(default(), cell.recipe)
    data = canonical_json(trainer.data), environment
    if data not in _fingerprints:
        _fingerprints[data] = trainer.fingerprint(environment)
    return _fingerprints[data]
