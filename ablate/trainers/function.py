"""A Python function as the trainer of a study: the shortest way from code that exists to verdicts."""

import importlib
import importlib.util
import inspect
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from ablate import sources
from ablate.errors import EnvironmentProblem, Problem
from ablate.params import Bound, PositiveInt
from ablate.records import Cell, Environment
from ablate.registry import Registry
from ablate.writing import replaced

from . import Controls, Interrupted, Record, Steps, Trainer, declared
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
    target = _Target.of(call)
    paths = [*target.files(), *code]
    files = [*paths, *data, *([lock] if lock else [])]

    def problems() -> Iterator[Problem]:
        yield from declared.metric_problems(metrics)
        yield from target.problems()
        for field, given in (("code", code), ("data", data), ("lock", [lock] if lock else [])):
            yield from declared.paths_problems(field, given)

    def identity(device: str) -> Record:
        packages = declared.imported_packages(declared.python_files(paths)) | target.packages()
        return {"files": declared.digests(files), "packages": packages}

    def train(cell: Cell, environment: Environment, device: str, controls: Controls) -> Steps:
        return _train(target, paths, settings, Ledger(metrics, ignore, epochs), cell.seed, device, controls)

    return Trainer(
        metrics=declared.lower_is_better(metrics),
        train=train,
        epochs=epochs,
        threads=threads,
        settings=settings,
        identity=identity,
        problems=problems,
        reached=_reached,
    )


@dataclass(frozen=True)
class _Target:
    """A function by its place: a file of its own, or a module that is installed."""

    place: str
    name: str

    @classmethod
    def of(cls, call: str) -> "_Target":
        return cls(*call.rpartition(":")[::2])

    @property
    def in_file(self) -> bool:
        return self.place.endswith(".py")

    def files(self) -> list[str]:
        """What its code is, as far as no installed package stands for it."""
        if self.in_file:
            return [self.place]
        if self.packages() or not self.place:
            return []
        if (origin := self._spec()) is None:
            return []
        path = Path(origin).parent if Path(origin).name == "__init__.py" else Path(origin)
        return [str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)]

    def packages(self) -> dict[str, str]:
        owners = {} if self.in_file else declared.owners()
        return {n: v for owner in owners.get(self.place.partition(".")[0], ()) for n, v in sources.packages_of(owner).items()}

    def _spec(self) -> str | None:
        with suppress(ImportError, ValueError), importable(Path.cwd()):
            found = importlib.util.find_spec(self.place.partition(".")[0])
            return found.origin if found else None
        return None

    def problems(self) -> Iterator[Problem]:
        if not self.place or not self.name.isidentifier():
            yield Problem("call", "expected a function, as train.py:main or package.module:main")
        elif self.in_file:
            yield from declared.paths_problems("call", [self.place])
        elif self._spec() is None:
            yield Problem("call", f"there is no module {self.place!r}", "For a file, write its path, as train.py:main.")

    def load(self) -> Callable[..., Any]:
        module = _file(str(Path(self.place).absolute())) if self.in_file else importlib.import_module(self.place)
        found = getattr(module, self.name, None)
        if not callable(found):
            raise EnvironmentProblem(f"{self.place} has no function {self.name!r}")
        given: Callable[..., Any] = found
        return given


def _file(path: str) -> ModuleType:
    """The module of a file, executed anew, so that a cell finds nothing in it that another one left."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None:
        raise EnvironmentProblem(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Lets modules of a folder be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with suppress(ValueError):  # the code inside may have removed it
            sys.path.remove(str(folder))


def _train(
    target: _Target, paths: Sequence[str], settings: Mapping[str, Any], ledger: Ledger, seed: int, device: str, controls: Controls
) -> Steps:
    try:
        with importable(_home(target)):
            called = target.load()
            _undeclared_imports(target, paths)
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
            _undeclared_imports(target, paths)
        return ledger.result(sitting.seconds())
    except Interrupted:
        raise
    except Exception:  # of anybody's code: the next run is not to trip over the same state
        (controls.folder / STATE).unlink(missing_ok=True)
        raise


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
        elif controls.folder.exists():
            shutil.rmtree(controls.folder)
        controls.folder.mkdir(parents=True, exist_ok=True)

    def seconds(self) -> float:
        return time.monotonic() - self._began

    def take(self, metrics: Any, where: str) -> Record:
        record = self._ledger.add(metrics, where)
        records = [self._ledger.records[epoch] for epoch in sorted(self._ledger.records)]
        with replaced(self._state) as temporary:
            temporary.write_text(json.dumps({"seconds": self.seconds(), "records": records}))
        return record

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Takes metrics; raises where the run is to stop."""
        self.take(metrics, "what it reports")
        if self._controls.should_stop():
            raise Interrupted


def _home(target: _Target) -> Path:
    """The folder that the code imports from, as `python` has it."""
    return Path(target.place).absolute().parent if target.in_file else Path.cwd()


def _fitting(called: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Of what there is to give, what a function has parameters for."""
    parameters = inspect.signature(called).parameters
    if strange := [name for name, p in parameters.items() if name not in given and p.default is p.empty]:
        raise EnvironmentProblem(f"the function needs {', '.join(strange)}. It can have: {', '.join(given)}.")
    if "seed" not in parameters:
        raise EnvironmentProblem("the function has no parameter `seed`, so all seeds would be one run.")
    return {name: given[name] for name in parameters if name in given}


def _undeclared_imports(target: _Target, paths: Sequence[str]) -> None:
    """Refuses modules beside the function that no key stands for: an edit of them would not be noticed."""
    home, known = _home(target), [Path(path).absolute() for path in paths]
    owners = declared.owners()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        path = Path(file).absolute() if isinstance(file, str) else None
        if path is None or not path.is_relative_to(home) or "site-packages" in path.parts or name.partition(".")[0] in owners:
            continue
        if not any(path.is_relative_to(one) for one in known):
            raise EnvironmentProblem(f"it imports {path.relative_to(home)}, whose content is in no key: add it to `code`")


def _reached(controls: Controls, key: str) -> tuple[int, int] | None:
    with suppress(OSError, ValueError):
        return len(json.loads((controls.folder / STATE).read_text())["records"]), 0
    return None
