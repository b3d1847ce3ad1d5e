"""Folders of Hydra's runs and sweeps as a source of runs for `ablate judge`. No code of the runs is imported, nor is Hydra."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ablate.judging import tables
from ablate.judging.grids import read
from ablate.judging.runs import Asked, Run, Runs, flat
from ablate.judging.yaml_files import load
from ablate.plugin import UsageError

NAMES = ("metrics.csv", "metrics.jsonl", "metrics.json", "results.csv", "results.jsonl", "results.json")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
GROUPS = "hydra"  # groups of Hydra's own configuration


def hydra(asked: Asked, /, *, file: str | None = None) -> Runs:
    """Hydra's output folders: each that has `.hydra/overrides.yaml`, with a file of metrics beside it.

    Settings are the chosen groups, the composed configuration, and the overrides. Metrics are an object of JSON (the last
    numbers), or CSV or JSON lines (a row a step).

    Args:
        file: Path of the file with metrics in each folder; the one that is called `metrics` or `results`, or the only table,
            unless given.
    """
    root = Path(asked.place)
    folders = sorted(path.parent.parent for path in root.rglob(".hydra/overrides.yaml"))
    return Runs(tuple(_run(folder, root, file) for folder in folders))


def recognises(place: Any) -> bool:
    """Whether there are folders of Hydra in it."""
    if not isinstance(place, (str, Path)) or not Path(place).is_dir():
        return False
    return next(Path(place).rglob(".hydra/overrides.yaml"), None) is not None


hydra.recognises = recognises


def _run(folder: Path, root: Path, file: str | None) -> Run:
    name = folder.relative_to(root).as_posix() if folder != root else folder.name
    path = _metrics_file(folder, file)
    if path is None:
        return Run(name, _settings(folder), {}, "interrupted", f"it has no {file or 'file of metrics'}")
    return Run(name, _settings(folder), tables.curves(read(path)))


def _settings(folder: Path) -> dict[str, Any]:
    """The chosen groups, then the configuration, then overrides of neither, such as those of a file that was deleted."""
    own = folder / ".hydra"
    settings = {}
    if (own / "hydra.yaml").is_file():
        choices = (((load(own / "hydra.yaml") or {}).get("hydra") or {}).get("runtime") or {}).get("choices") or {}
        settings = {name: value for name, value in choices.items() if not str(name).startswith(GROUPS)}
    config = load(own / "config.yaml") if (own / "config.yaml").is_file() else None
    if isinstance(config, Mapping):
        settings |= flat({str(name): value for name, value in config.items()})
    for name, value in _overrides(own / "overrides.yaml"):
        settings.setdefault(name, value)
    return settings


def _overrides(path: Path) -> Iterator[tuple[str, str]]:
    found = load(path) or []
    if not isinstance(found, list):
        raise UsageError(f"{path}: expected a list of overrides, and this is a {type(found).__name__}.")
    for override in found:
        name, sign, value = str(override).partition("=")
        if sign and not name.startswith(f"{GROUPS}."):
            yield name.lstrip("+~"), value


def _metrics_file(folder: Path, file: str | None) -> Path | None:
    if file is not None:
        return folder / file if (folder / file).is_file() else None
    named = [folder / name for name in NAMES if (folder / name).is_file()]
    if named:
        return named[0]
    others = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.is_file())
    if len(others) > 1:
        raise UsageError(
            f"{folder}: several files may have the metrics: {', '.join(path.name for path in others[:5])}. Choose one with "
            f'--source \'{{"use": "hydra", "file": "{others[0].name}"}}\'.'
        )
    return others[0] if others else None
