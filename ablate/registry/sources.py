"""What the packages of components are: versions, and for editable installs a digest of their source.

A worker looks at all of them before it imports a component (`remember`). What it imports later is what it saw then, unless a file
was changed in between: `edited` names such files. So a result can be told from one of other code, however long the worker lives.
"""

import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path
from urllib.parse import unquote, urlparse

from ablate.errors import EnvironmentProblem

from .component import HOOKS, normalized

CORE = "ablate-core"
ROOT = Path(__file__).parents[1]  # of the package
TRAINING = (
    "components",
    "engine",
    "trainers",
)  # the folders of the core that decide what a cell gives; its keys need not cover the reports
IN_KEYS = "0.1.0"  # that of the first release; what gives other results counts up its `semantics`, and no release changes more
ROOT = Path(__file__).parents[1]  # of the core's source
Stat = tuple[int, ...]
imported: dict[Path, str] = {}  # what the file of each module had in it when it was noticed that this process had imported it


@dataclass(frozen=True)
class Package:
    """An installed distribution as this process found it first.

    Attributes:
        version: As keys have it, with the digest of its source behind a `+`, where it is an editable install.
        sources: The folders and modules that the digest covers; none where it is not.
        files: The SHA-256 of every file of them.
    """

    version: str
    sources: tuple[Path, ...] = ()
    files: Mapping[Path, str] = field(default_factory=dict)


def remember(names: Iterable[str]) -> None:
    """Looks at these packages, which have components, before any of them is imported."""
    for name in names:
        with suppress(Exception):  # a stranger's metadata; it is told when a recipe names a component of it
            packages_of(name)


def look_again() -> None:
    """Forgets what was found: another study may be planned after a package was edited or upgraded."""
    packages_of.cache_clear()
    package_of.cache_clear()


@cache
def packages_of(name: str) -> Mapping[str, str]:
    """Versions of a distribution and of what it requires, by name; what the core requires is in every cell's identity anyway."""
    found = {normalized(name): package_of(normalized(name)).version}
    if normalized(name) != CORE:
        for requirement in distribution_of(name).requires or ():
            required = re.match(r"[\w.-]+", requirement)
            if required and "extra ==" not in requirement and normalized(required.group()) != CORE:
                found[normalized(required.group())] = version_of(required.group())
    return found


def version_of(name: str) -> str:
    """Version of a distribution as keys have it, with a digest of its source where it is an editable install."""
    try:
        return package_of(normalized(name)).version
    except PackageNotFoundError:
        return "not installed"


def edited(names: Iterable[str]) -> list[str]:
    """Files of these packages that this process has, or may have, read in another state than the one that was digested.

    A module that was imported before its file changed is what was digested. One that was imported after that is not, and data
    files may be read at any time.
    """
    return [str(path) for name in names for path in _edited(name)]


def _edited(name: str) -> list[Path]:
    try:
        package = package_of(name)
    except PackageNotFoundError:
        return []
    _note_imported(package.sources)
    return [path for path in sorted({*package.files, *files_of(package.sources)}) if not _is_as_digested(package, path)]


def _is_as_digested(package: Package, path: Path) -> bool:
    digested = package.files.get(path, "")
    if path in imported:
        return imported[path] == digested
    return path.suffix == ".py" or content(path) == digested


@cache
def package_of(name: str) -> Package:
    installed = distribution_of(name)
    root = _editable_root(installed)
    version = IN_KEYS if normalized(name) == CORE else installed.version
    if root is None:
        return Package(version)
    sources = tuple(_sources(installed, root))
    files = {path: content(path) for path in files_of(sources)}
    _note_imported(sources)
    digest = hashlib.sha256()
    for path in sorted(files):
        where = next(path.relative_to(source.parent) for source in sources if path.is_relative_to(source))
        digest.update(f"{where.as_posix()}\0{files[path]}\n".encode(errors="surrogateescape"))
    return Package(f"{version}+{digest.hexdigest()[:16]}", sources, files)


def record_of(name: str) -> str | None:
    """What was installed of a distribution, file by file; None where its metadata does not say."""
    return distribution_of(normalized(name)).read_text("RECORD")


def modules_of(name: str) -> list[Path]:
    """The Python files of a distribution, of ablate itself all of them: for knowing that nothing is as it was, not for keys."""
    roots = (ROOT,) if normalized(name) == CORE else package_of(normalized(name)).sources
    if roots:
        return sorted(path for path in files_of(roots) if path.suffix == ".py")
    installed = distribution_of(normalized(name))
    return [Path(str(installed.locate_file(file))) for file in installed.files or () if file.suffix == ".py"]


def installations() -> list[tuple[str, Stat]]:
    """Where each distribution is installed, and when, as the disk tells it: another one after anything is installed again."""
    found = [Path(folder, name) for folder in sys.path if os.path.isdir(folder) for name in sorted(os.listdir(folder))]
    return [(str(path), state(path / "RECORD")) for path in found if path.suffix in (".dist-info", ".egg-info")]


def distribution_of(name: str) -> Distribution:
    """The editable distribution of this name where there are two: a checkout that Python is started in has metadata, too."""
    found = list(distributions(name=name))
    return next((one for one in found if _editable_root(one)), None) or (found[0] if found else distribution(name))


def _editable_root(installed: Distribution) -> Path | None:
    """The project folder of an editable install; None for any other."""
    about = json.loads(installed.read_text("direct_url.json") or "{}")
    return Path(unquote(urlparse(about["url"]).path)) if about.get("dir_info", {}).get("editable") else None


def _sources(installed: Distribution, root: Path) -> Iterator[Path]:
    """The top-level packages and modules of an editable distribution.

    Raises:
        EnvironmentProblem: A component's module has no file.
    """
    if normalized(installed.name) == CORE:
        yield from (ROOT / folder for folder in TRAINING)
        return
    modules = {e.module for e in installed.entry_points if e.group.startswith("ablate.") and e.group != HOOKS}
    found = {_source(module) for module in modules}
    named = (installed.read_text("top_level.txt") or installed.name.replace("-", "_")).split()
    for name in named:
        with suppress(EnvironmentProblem):  # a folder without code, or the name of a distribution that no module has
            source = _source(name)
            if source.is_relative_to(root.resolve()) or source.is_relative_to(root):  # and not of another project
                found.add(source)
    yield from sorted(found)


def _source(module: str) -> Path:
    """The top-level package that a module lies in, or the module's file where it lies in none; parents are not imported.

    Raises:
        EnvironmentProblem: There is no file.
    """
    names = module.split(".")
    for depth in range(1, len(names) + 1):
        spec = _spec(".".join(names[:depth]))
        if spec is not None and spec.origin is not None:
            path = Path(spec.origin)
            return path.parent if path.name == "__init__.py" else path
    raise EnvironmentProblem(
        f"module {module}: has no file, so nothing tells its versions apart. Give its folder an __init__.py."
    )


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None


def files_of(sources: tuple[Path, ...]) -> Iterator[Path]:
    """All files but hidden ones, compiled ones that Python makes again, and those that editors leave."""
    for source in sources:
        if source.is_file():
            yield source
            continue
        seen: set[str] = set()
        for folder, folders, names in os.walk(source, followlinks=True):
            if (real := os.path.realpath(folder)) in seen:
                folders.clear()  # a link to a folder that it lies in
                continue
            seen.add(real)
            folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
            yield from (Path(folder, name) for name in names if name[0] != "." and not name.endswith((".pyc", "~")))


def _note_imported(sources: tuple[Path, ...]) -> None:
    prefixes = tuple(str(source) if source.is_file() else f"{source}{os.sep}" for source in sources)
    for module in list(sys.modules.values()) if sources else ():
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(prefixes) and Path(file) not in imported:
            imported[Path(file)] = content(Path(file))


def state(path: Path) -> Stat:
    """Size, times and place on disk of a file; empty where there is none. No program that writes to it can keep them all."""
    try:
        about = path.stat()
    except OSError:  # a link to nowhere, or a file that was just removed
        return ()
    return about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def content(path: Path) -> str:
    """SHA-256 (hex) of a file, read again only where its size, time or place on disk changed; empty where it cannot be read."""
    return _content(path, state(path))


@lru_cache(maxsize=100_000)
def _content(path: Path, about: Stat) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
