"""A Python function as the trainer of a study: the shortest way from code that exists to verdicts."""

import inspect
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

from ablate.contracts import Cell, Environment
from ablate.errors import EnvironmentProblem, Problem
from ablate.registry import Registry
from ablate.registry.params import Bound, PositiveInt
from ablate.spec.trainer import Controls, Interrupted, Record, Steps, Trainer
from ablate.writing import replaced

from . import declared
from .code import Target, identity, loaded, undeclared_imports
from .declared import STATE, Goals, Ledger


def function(
    registry: Registry,
    /,
    *,
    call: str,
    metrics: Goals,
    settings: dict[str, Any] = {},  # noqa: B006  never changed
    ignore: list[str] = [],  # noqa: B006
    code: list[str] = [],  # noqa: B006
    data: list[str] = [],  # noqa: B006
    lock: str | None = None,
    epochs: PositiveInt | None = None,
    threads: Annotated[int, Bound(minimum=1, maximum=1024)] = 1,
) -> Trainer:
    """Calls a Python function for each cell, in a worker process.

    It has the parameters that it needs of these: `config`, the settings as a dictionary; `seed`; `checkpoint`, a folder of its
    own for what it needs to go on, removed when its result is stored; `device`, such as "cpu" or "cuda"; `report`, to be called
    with metrics after an epoch. A generator yields them in place of that. Between two yields it can be interrupted; it is called
    again with the same folder, and yields from where it goes on, with `epoch` in its metrics.

    Args:
        call: The function, as train.py:main, with the path of a file, or as package.module:main.
        metrics: What is measured, each with what is better: maximize or minimize.
        settings: What the study may vary, with the values of the base, whose names and types every level keeps.
        ignore: Names that metrics may have beside, and that are left out.
        code: Files and folders that it imports from beside its own file. Their content is in the key, and so are the versions of
            the packages that they import.
        data: Files and folders that it reads. Their content is in the key.
        lock: A file with the versions of what it needs, such as a lock file. Its content is in the key.
        epochs: How many records it gives, where that is known before.
        threads: Cores that a cell takes; it says how many cells run at once.
    """
    target = Target.of(call)

    def problems() -> Iterator[Problem]:
        yield from declared.metric_problems(metrics)
        yield from target.problems("call", "a function, as train.py:main or package.module:main")
        for field, given in (("code", code), ("data", data), ("lock", [lock] if lock else [])):
            yield from declared.paths_problems(field, given)

    def train(cell: Cell, environment: Environment, device: str, controls: Controls) -> Steps:
        return _train(target, code, settings, Ledger(metrics, ignore, epochs), cell.seed, device, controls)

    return Trainer(
        metrics=declared.lower_is_better(metrics),
        train=train,
        epochs=epochs,
        threads=threads,
        settings=settings,
        identity=lambda device: identity([target], code, [*data, *([lock] if lock else [])]),
        problems=problems,
        reached=_reached,
    )


def _train(
    target: Target, code: Sequence[str], settings: Mapping[str, Any], ledger: Ledger, seed: int, device: str, controls: Controls
) -> Steps:
    with declared.anew_after_failure(controls), loaded(target) as (called,):
        undeclared_imports([target], code)
        sitting = _Sitting(ledger, controls, goes_on="checkpoint" in inspect.signature(called).parameters)
        given = {"config": settings, "seed": seed, "checkpoint": controls.folder, "device": device, "report": sitting.report}
        made = called(**_fitting(called, given))
        if inspect.isgenerator(made):
            for metrics in made:
                yield sitting.take(metrics, "what it yields")
                if controls.should_stop():
                    made.close()
                    raise Interrupted
        elif made is not None:
            sitting.take(made, "what it returns")
        undeclared_imports([target], code)
        return ledger.result(sitting.seconds())


class _Sitting:
    """A call of the function, with what earlier calls recorded where it goes on from its checkpoint."""

    def __init__(self, ledger: Ledger, controls: Controls, goes_on: bool):
        self._ledger, self._controls, self._state = ledger, controls, controls.folder / STATE
        self._began = time.monotonic()
        ledger.numbered = goes_on  # it may begin with any epoch
        if goes_on and self._state.is_file():
            state = json.loads(self._state.read_text())
            self._began -= state["seconds"]
            ledger.records |= {record["epoch"]: record for record in state["records"]}
            ledger.first = state.get("first", 1)
        elif controls.folder.exists():
            shutil.rmtree(controls.folder)
        controls.folder.mkdir(parents=True, exist_ok=True)

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def take(self, metrics: Any, where: str) -> Record:
        record = self._ledger.add(metrics, where)
        records = [self._ledger.records[epoch] for epoch in sorted(self._ledger.records)]
        with replaced(self._state) as temporary:
            temporary.write_text(json.dumps({"seconds": self.seconds(), "records": records, "first": self._ledger.first}))
        return record

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Takes metrics; raises where the run is to stop."""
        self.take(metrics, "what it reports")
        if self._controls.should_stop():
            raise Interrupted


def _fitting(called: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Of what there is to give, what a function has parameters for."""
    parameters = inspect.signature(called).parameters
    if strange := [name for name, p in parameters.items() if name not in given and p.default is p.empty]:
        raise EnvironmentProblem(f"the function needs {', '.join(strange)}. It can have: {', '.join(given)}.")
    if "seed" not in parameters:
        raise EnvironmentProblem("the function has no parameter `seed`, so all seeds would be one run.")
    return {name: given[name] for name in parameters if name in given}


def _reached(controls: Controls, key: str) -> tuple[int, int] | None:
    with suppress(OSError, ValueError):
        return len(json.loads((controls.folder / STATE).read_text())["records"]), 0
    return None
