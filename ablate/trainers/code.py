"""Somebody's own code that a spec names: a file with what to take from it, or a module that is installed."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ablate.errors import EnvironmentProblem, Problem
from ablate.registry import sources
from ablate.spec.trainer import Record

from . import declared


@dataclass(frozen=True)
class Target:
    """A function or a class by its place."""

    place: str
    name: str

    @classmethod
    def of(cls, text: str) -> "Target":
        """Of `train.py:main` or `package.module:main`."""
        return cls(*text.rpartition(":")[::2])

    @property
    def in_file(self) -> bool:
        return self.place.endswith(".py")

    @property
    def home(self) -> Path:
        """The folder that the code imports from, as `python` has it."""
        return Path(self.place).absolute().parent if self.in_file else Path.cwd()

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

    def problems(self, field: str, expected: str) -> Iterator[Problem]:
        """Why it cannot be called, as far as is known without importing it.

        Args:
            field: The parameter that names it.
            expected: What it should be, such as `a function, as train.py:main or package.module:main`.
        """
        if not self.place or not self.name.isidentifier():
            yield Problem(field, f"expected {expected}")
        elif self.in_file:
            yield from declared.paths_problems(field, [self.place])
        elif self._spec() is None:
            example = expected.partition(" as ")[2].partition(" or ")[0]
            yield Problem(field, f"there is no module {self.place!r}", f"For a file, write its path, as {example}.")


@contextmanager
def loaded(*targets: Target) -> Iterator[list[Any]]:
    """What the targets name, imported; their folders can be imported from inside of this.

    Raises:
        EnvironmentProblem: A file or module does not have it.
    """
    with ExitStack() as folders:
        for home in dict.fromkeys(target.home for target in targets):
            folders.enter_context(importable(home))
        modules = {place: _module(place) for place in dict.fromkeys(target.place for target in targets)}
        for target in targets:
            if not callable(getattr(modules[target.place], target.name, None)):
                raise EnvironmentProblem(f"{target.place} has no function or class {target.name!r}")
        yield [getattr(modules[target.place], target.name) for target in targets]


def _module(place: str) -> ModuleType:
    """A module, or that of a file, executed anew, so that a cell finds nothing in it that another one left."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = str(Path(place).absolute())
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


def identity(targets: Sequence[Target], code: Sequence[str], others: Iterable[str]) -> Record:
    """What a cell depends on of somebody's own code: the content of files, and the versions of what they import.

    Args:
        targets: What is called.
        code: Files and folders that it imports from beside its own.
        others: Files and folders that it reads.
    """
    paths = [*(file for target in targets for file in target.files()), *code]
    packages = declared.imported_packages(declared.python_files(paths))
    for target in targets:
        packages |= target.packages()
    return {"files": declared.digests([*paths, *others]), "packages": packages}


def undeclared_imports(targets: Sequence[Target], code: Sequence[str]) -> None:
    """Refuses modules beside the code that no key stands for: an edit of them would not be noticed."""
    known = [Path(path).absolute() for path in (*(file for target in targets for file in target.files()), *code)]
    owners = declared.owners()
    for home in dict.fromkeys(target.home for target in targets):
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            path = Path(file).absolute() if isinstance(file, str) else None
            if path is None or not path.is_relative_to(home) or "site-packages" in path.parts or name.partition(".")[0] in owners:
                continue
            if not any(path.is_relative_to(one) for one in known):
                raise EnvironmentProblem(f"it imports {path.relative_to(home)}, whose content is in no key: add it to `code`")
