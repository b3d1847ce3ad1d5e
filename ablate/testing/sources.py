"""What a source of runs has to keep."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, get_args

import ablate
from ablate.errors import AblateError
from ablate.judging.runs import Asked, Run, Runs, Status

from .component import ComponentContract, _fail

TORCH = """
import json, sys
from ablate.judging.finding import runs_of
from ablate.judging.runs import Asked
from ablate.registry import default
runs_of(default(), Asked(sys.argv[1], sys.argv[2]), json.loads(sys.argv[3]))
print("torch" in sys.modules)
"""


_WRITTEN: dict[type, tuple[TemporaryDirectory[str], Any]] = {}  # of each test class; removed when the process ends


class SourceContract(ComponentContract):
    """A place to the runs that somebody left there. A subclass has a method `write`, which makes such a place.

    Attributes:
        metric: The metric of the runs that is judged.
        runs: How many runs `write` makes, at least two variants with two seeds each.
        goal: Which way the metric is better.
    """

    kind: ClassVar[str] = "source"
    metric: str = "accuracy"
    runs: int = 4
    goal: str = "maximize"

    def write(self, folder: Path) -> Any:
        """Makes runs in an empty folder, as the tool itself does, and returns the place that a user would name."""
        raise NotImplementedError("give the test class a method `write(self, folder)`, which makes runs as the tool does")

    def place(self) -> Any:
        """What `write` has made, once for all tests."""
        own = type(self)
        if own not in _WRITTEN:
            folder = TemporaryDirectory(prefix="ablate-source-")
            _WRITTEN[own] = folder, self.write(Path(folder.name))
        return _WRITTEN[own][1]

    def asked(self) -> Asked:
        return Asked(self.place(), self.metric)

    def engine_arguments(self) -> tuple[Any, ...]:
        return (self.asked(),)

    def found(self) -> Runs:
        runs: Runs = self.make()
        return runs

    def test_it_recognises_its_place_and_no_other(self, tmp_path: Path) -> None:
        recognises = getattr(self.loaded().factory, "recognises", None)
        assert recognises is not None, (
            "it has no attribute `recognises`: a function of a place that says whether it is one of its."
        )
        assert recognises(self.place()), f"it does not recognise {self.place()}, which `write` has made."
        (tmp_path / "notes.md").write_text("nothing of anybody\n")
        for other in (tmp_path, tmp_path / "notes.md"):
            assert not recognises(other), f"it recognises {other}, where there are no runs: look for what only its tool writes."

    def test_it_gives_every_run_as_records(self) -> None:
        found = self.found().runs
        assert len(found) == self.runs, f"it gives {len(found)} runs, and `write` makes {self.runs}."
        names = [run.name for run in found]
        assert len(set(names)) == len(names), f"two runs are called {max(names, key=names.count)!r}: a name finds one run."
        for run in found:
            _check(run)

    def test_it_gives_the_same_again(self) -> None:
        one, other = ([repr(run) for run in self.found().runs] for _ in range(2))
        assert one == other, "a second reading gives other runs, or in another order: sort what the system lists in any order."

    def test_it_changes_nothing(self) -> None:
        before = _files(self.place())
        self.found()
        assert _files(self.place()) == before, "it changes the place: read only, with `mode=ro` where it is a database."

    def test_its_runs_are_judged(self) -> None:
        try:
            study = ablate.judge(self.place(), metric=self.metric, goal=self.goal, source=dict(self.component))  # type: ignore[arg-type]
        except AblateError as error:
            _fail(f"its runs cannot be judged: {error}\nLet `write` make two variants that differ in one setting, with `seed`s.")
        assert len(study.cells) == self.runs
        assert study.effects()["difference"].notna().all(), (
            "no difference is known: a run that is done has a curve of the metric."
        )

    def test_it_imports_no_torch(self) -> None:
        place = self.place()
        if not isinstance(place, (str, Path)):
            return
        path = os.pathsep.join(part for part in sys.path if part)
        command = [sys.executable, "-c", TORCH, str(place), self.metric, json.dumps(dict(self.component))]
        done = subprocess.run(  # noqa: S603, no shell
            command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[-1] == "False", (
            "torch is imported for it, which takes longer than to judge: put it into a module of its own, without torch."
        )


def _check(run: Run) -> None:
    assert run.status in get_args(Status), f"run {run.name!r} has the status {run.status!r}: expected one of {get_args(Status)}."
    for name, value in run.settings.items():
        assert isinstance(name, str), f"run {run.name!r} has a setting {name!r}, whose name is no text."
        assert not isinstance(value, Mapping) or not value, f"run {run.name!r} has the nested setting {name!r}: use `flat`."
    for name, curve in run.metrics.items():
        steps = list(curve.steps)
        assert len(steps) == len(curve.values), f"run {run.name!r}: {name} has {len(steps)} steps and {len(curve.values)} values."
        assert steps == sorted(set(steps)), f"run {run.name!r}: the steps of {name} do not rise: use `last`, which sorts them."


def _files(place: Any) -> dict[str, str]:
    """The digest of every file of a place; nothing of what is no path."""
    if not isinstance(place, (str, Path)):
        return {}
    root = Path(str(place).removeprefix("sqlite:///"))
    paths = [path for path in sorted(root.parent.rglob("*") if root.is_file() else root.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
