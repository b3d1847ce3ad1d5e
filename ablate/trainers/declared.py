"""What trainers of somebody's own code have in common: settings that a spec declares, files that a key stands for, and metrics
that come in as records."""

import ast
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Literal

from ablate.contracts import EPOCH_NUMBERS, Json, Result
from ablate.errors import EnvironmentProblem, Problem, did_you_mean
from ablate.registry import sources
from ablate.spec.patch import join
from ablate.spec.trainer import Controls, Interrupted, Record

from .places import flatten_settings

Goals = dict[str, Literal["maximize", "minimize"]]
LABEL = r"[^\x00-\x1f\x7f=,]{1,100}"
MOST_EPOCHS = 2**53  # up to which a float is one whole number
STATE = ".ablate.json"  # in a cell's folder: what was recorded before an interruption


def lower_is_better(metrics: Goals) -> dict[str, bool | None]:
    return {name: goal == "minimize" for name, goal in metrics.items()}


def metric_problems(metrics: Goals) -> Iterator[Problem]:
    if not metrics:
        yield Problem("metrics", "is empty", 'Declare what is measured, such as {"accuracy": "maximize"}.')
    for name in metrics:
        if not re.fullmatch(LABEL, name):
            yield Problem(join("metrics", name), "is no name for a metric: expected 1 to 100 characters without '=' and ','")


def paths_problems(field: str, paths: Sequence[str]) -> Iterator[Problem]:
    """Files and folders that are not there."""
    for path in paths:
        if not Path(path).expanduser().exists():
            where = Path(path).expanduser().absolute()
            yield Problem(field, f"there is no file or folder {path!r}", f"It was looked for at {where}.")


def setting_problems(base: Mapping[str, Json], changed: Mapping[str, Json]) -> Iterator[Problem]:
    """Where the settings of a variant are not those that the base declares: names that it does not have, and values of another
    type.

    Args:
        base: The settings of the base.
        changed: Those of the variant.
    """
    declared, now = flatten_settings(base), flatten_settings(changed)
    for path, value in now.items():
        if path not in declared:
            hint = did_you_mean(path, declared) if base else ""
            message = "the base declares no such setting"
            yield Problem(f"settings.{path}", message, f"{hint} Each setting has its value in `base.settings`.".strip())
        elif (before := _type(declared[path])) != (after := _type(value)) and "null" not in (before, after):
            yield Problem(f"settings.{path}", f"found {after}, and the base declares {before}", "Give both the same type.")
    for path in declared.keys() - now.keys():
        if not any(other.startswith(f"{path}.") for other in now):
            yield Problem(
                f"settings.{path}", "a level cannot take a setting away, because programs have all of them", "Give a value."
            )


def _type(value: Json) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "null" if value is None else "a list" if isinstance(value, list) else "an object"


def digests(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 (hex) of files, and of folders with all that is in them but hidden and compiled files, by their names."""
    return {path: digest(Path(path).expanduser()) for path in dict.fromkeys(paths)}


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file, or of a folder with all that is in it; a file is read again only where it has changed.

    Raises:
        EnvironmentProblem: It is not there.
    """
    if path.is_file():
        return sources.content(path)
    if not path.is_dir():
        raise EnvironmentProblem(f"{path}: there is no such file or folder any more.")
    found = hashlib.sha256()
    for file in sorted(sources.files_of((path,))):
        found.update(f"{file.relative_to(path).as_posix()}\0{sources.content(file)}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def python_files(paths: Iterable[str]) -> list[Path]:
    roots = tuple(Path(path).expanduser() for path in paths)
    return sorted(file for file in sources.files_of(roots) if file.suffix == ".py")


def imported_packages(files: Iterable[Path]) -> dict[str, str]:
    """Versions of the installed distributions that these Python files import, by name."""
    names = {name for file in files for name in _imports(file, sources.content(file))}
    owned = owners()
    return {owner: sources.version_of(owner) for name in sorted(names) for owner in sorted(set(owned.get(name, ())))}


@cache
def owners() -> Mapping[str, Sequence[str]]:
    """The installed distributions that top-level modules belong to."""
    return packages_distributions()


@cache
def _imports(file: Path, content: str) -> frozenset[str]:
    """Top-level modules that a file imports anywhere in it; none where it is not Python, which its import will tell."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return frozenset()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


@contextmanager
def anew_after_failure(controls: Controls) -> Iterator[None]:
    """Has the next run begin anew where this one fails: it is not to trip over the same state."""
    try:
        yield
    except Interrupted:
        raise
    except Exception:  # of anybody's code
        (controls.folder / STATE).unlink(missing_ok=True)
        raise


class Ledger:
    """The records of a cell as they come in.

    Args:
        metrics: What is declared.
        ignore: Names that records may have beside, and that are left out.
        epochs: How many records there are to be; None for any number.

    Attributes:
        records: By their epochs.
        numbered: Whether each has to say its epoch, because what records them may begin with any.
        first: What the program calls its first epoch: 1, or 0 where its first record says so.
    """

    def __init__(self, metrics: Goals, ignore: Sequence[str], epochs: int | None):
        self._metrics, self._ignore, self._epochs = metrics, ignore, epochs
        self.records: dict[int, Record] = {}
        self.numbered = False
        self.first = 1

    def add(self, given: Json, where: str) -> Record:
        """Takes a record. Those of one epoch are one: what a later one has takes the place of what there is, as after a program
        goes on from its checkpoint, and the rest is added, as where training and validation are logged apart.

        Raises:
            EnvironmentProblem: It is no record of what is declared.
        """
        if not isinstance(given, Mapping):
            raise EnvironmentProblem(f"{where}: expected a JSON object with metrics, found {json.dumps(given)[:80]}")
        record: Record = {"epoch": self._epoch(given, where)}
        for name, value in given.items():
            if name in self._ignore or name == "epoch":
                continue
            if name not in self._metrics and name not in EPOCH_NUMBERS:
                hint = did_you_mean(name, self._metrics)
                raise EnvironmentProblem(f"{where}: {name!r} is not declared. {hint} Add it to `metrics`, or to `ignore`.")
            record[name] = _number(name, value, where)
        epoch = record["epoch"]
        self.records[epoch] = {**self.records.get(epoch, {}), **record}
        return self.records[epoch]

    def _epoch(self, given: Mapping[str, Json], where: str) -> int:
        given = {} if "epoch" in self._ignore else given
        if self.numbered and "epoch" not in given:
            raise EnvironmentProblem(f"{where}: has no `epoch`, and after an interruption nobody could tell which one it is")
        epoch = self._counted(given["epoch"], where) if "epoch" in given else max(self.records, default=0) + 1
        if self._epochs is not None and epoch > self._epochs:
            raise EnvironmentProblem(f"{where}: epoch {epoch}, and the recipe has {self._epochs} epochs")
        return epoch

    def _counted(self, said: Json, where: str) -> int:
        """An epoch from 1, of programs that count from 0, too."""
        whole = (isinstance(said, int) and not isinstance(said, bool)) or (isinstance(said, float) and said.is_integer())
        if whole and said == 0 and not self.records:
            self.first = 0
        if not whole or said < self.first or said > MOST_EPOCHS:
            remedy = 'With "epoch" in `ignore`, records are counted.'
            raise EnvironmentProblem(f"{where}: epoch {said!r}: epochs count from 1, or all from 0. {remedy}")
        return int(said) - self.first + 1

    def result(self, seconds: float) -> Result:
        """What the records say in the end.

        Raises:
            EnvironmentProblem: There is no record, or the last one lacks a metric.
        """
        if not self.records:
            raise EnvironmentProblem(f"it ended without a record of its metrics: {', '.join(self._metrics)}")
        records = [self.records[epoch] for epoch in sorted(self.records)]
        if self._epochs is not None and len(records) != self._epochs:
            raise EnvironmentProblem(f"it ended with {len(records)} records, and the recipe has {self._epochs} epochs")
        if self.numbered and (gaps := [epoch for epoch in range(1, max(self.records)) if epoch not in self.records]):
            raise EnvironmentProblem(f"there is no record of epoch {gaps[0]}: its checkpoint was ahead of what it had recorded")
        if lacking := [name for name in self._metrics if name not in records[-1]]:
            have = ", ".join(name for name in records[-1] if name in self._metrics) or "none"
            raise EnvironmentProblem(f"its last record lacks {', '.join(lacking)}; of the declared metrics it has: {have}")
        return Result(records, {name: records[-1][name] for name in self._metrics}, None, seconds, None)


def _number(name: str, value: Json, where: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise EnvironmentProblem(f"{where}: {name} is {json.dumps(value)[:80]}; expected a number")
    if not math.isfinite(value):
        raise EnvironmentProblem(f"{where}: {name} is {value}, which is no finite number")
    return float(value)
