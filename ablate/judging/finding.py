"""Which source reads a place, and what it finds there."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ablate.errors import SpecError, UsageError, checked, did_you_mean
from ablate.registry import Component, Registry, build, default
from ablate.report.tables import plural
from ablate.spec.recipe import resolve_component
from ablate.writing import storable

from .choosing import condition_of
from .reading import Reading, Wanted, reading_of
from .runs import Asked, Runs

CORE = "ablate-core"
PACKAGES = {  # what tells that a place is of a tracker: a pattern of files in it, and who reads it
    "events.out.tfevents.*": "ablate-tensorboard",
    "*.wandb": "ablate-wandb",
    "meta.yaml": "ablate-mlflow",
    "mlflow.db": "ablate-mlflow",
    ".hydra/overrides.yaml": "ablate-hydra",
}


def read(place: Any, wanted: Wanted, source: str | Mapping[str, Any] | None = None) -> Reading:
    """Finds the runs of a place, and reads them as a comparison.

    Args:
        place: A path, an address, or a pandas frame.
        wanted: What is compared.
        source: Name or component of the source that reads the place; the one that recognises it unless given.

    Raises:
        UsageError: The runs cannot be compared, with what to do about it.
        EnvironmentProblem: They cannot be read.
    """
    called = str(place) if isinstance(place, (str, Path)) else "runs"
    with _uncollected():
        where = tuple(condition_of(condition)[0] for condition in wanted.where)
        asked = Asked(place, wanted.metric, (*wanted.factors, *wanted.blocks), wanted.seed, where)
        used, runs = runs_of(default(), asked, source)
        return reading_of(runs, used, called, wanted)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without looking for garbage: the cells of a large table all stay, and looking through them takes as long as reading."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def runs_of(registry: Registry, asked: Asked, source: str | Mapping[str, Any] | None) -> tuple[str, Runs]:
    """The runs of a place, and the name of the source that gave them.

    Args:
        registry: What is installed.
        asked: The place, and what is asked of it.
        source: A source's name, or its component; the one that recognises the place unless given.

    Raises:
        UsageError: There is nothing there, no source reads it, or what the source finds is wrong.
    """
    spec = {"use": source} if isinstance(source, str) else dict(source or {"use": _recognised(registry, asked.place)})
    resolved, found = checked(resolve_component(registry, "source", spec, "--source"))
    if found:
        raise SpecError("--source", found)
    return resolved["use"].rpartition(":")[2], _storable(build(registry, "source", resolved, asked))


def _storable(found: Runs) -> Runs:
    """Runs whose names and settings UTF-8 can have: bytes of a file's name that are none become escapes."""
    runs = [
        replace(
            run, name=storable(run.name), why=storable(run.why), settings={storable(k): _text(v) for k, v in run.settings.items()}
        )
        for run in found.runs
    ]
    return replace(found, runs=tuple(runs), notices=tuple(map(storable, found.notices)))


def _text(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value


def _recognised(registry: Registry, place: Any) -> str:
    """The source of this place. Those of ablate itself are asked first, so that no other is imported for a table."""
    if isinstance(place, (str, Path)) and "://" not in str(place) and not Path(place).exists():
        folder = Path(place).parent
        there = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        hint = did_you_mean(Path(place).name, there)
        raise UsageError(f"{place}: there is no such file or folder. {hint if hint.startswith('Did') else ''}".strip())
    for own in (True, False):
        names = [c for c in registry.all("source") if (c.distribution == CORE) is own]
        found = [component.qualified_name for component in names if _says(registry, component, place)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(f"{place}: several sources read it: {', '.join(found)}. Choose one with --source.")
    raise UsageError(f"{place}: no source that is installed recognises it. {_hint(registry, place)}")


def _hint(registry: Registry, place: Any) -> str:
    """What to do about a place that no source recognises."""
    package = next(iter(_packages(place)), None)
    if package in {component.distribution for component in registry.all("source")}:
        return f"It has files of a tracker that {package} reads, and no run among them."
    if package:
        return f"`pip install {package}` brings one that does."
    if count := _tables(place):
        return f"It has {plural(count, 'table')}: --source table reads them as one, with their paths as a setting 'file'."
    return f"There is: {', '.join(registry.names('source'))}. Choose one with --source."


def _says(registry: Registry, component: Component, place: Any) -> bool:
    recognises = getattr(registry.load("source", component.qualified_name).factory, "recognises", None)
    return bool(recognises and recognises(place))


def _tables(place: Any) -> int:
    from .table_folders import tables_of

    return len(tables_of(Path(place))) if isinstance(place, (str, Path)) and Path(place).is_dir() else 0


def _packages(place: Any) -> Iterator[str]:
    """Packages whose tracker has left files here."""
    if isinstance(place, (str, Path)) and Path(place).is_dir():
        for pattern, package in PACKAGES.items():
            if next(Path(place).rglob(pattern), None):
                yield package
