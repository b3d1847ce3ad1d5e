"""Trials of Optuna's studies as a source of runs for `ablate judge`. torch is not imported."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ablate.judging.runs import Asked, Curve, Run, Runs, Status
from ablate.judging.sqlite_files import is_sqlite, tables
from ablate.plugin import EnvironmentProblem, UsageError, did_you_mean

TABLES = ("studies", "trials", "trial_params")
STATUSES: Mapping[str, Status] = {
    "COMPLETE": "done",
    "FAIL": "failed",
    "PRUNED": "failed",
    "RUNNING": "running",
    "WAITING": "running",
}
SCHEMES = ("sqlite:///", "mysql", "postgresql")


def optuna(asked: Asked, /, *, study: str | None = None) -> Runs:
    """Trials of Optuna: an SQLite file, a journal file, or a database's address.

    Settings are the parameters and the user's attributes of a trial, such as its seed. The metric is `value`, or what the study
    calls it; what was reported on the way is `intermediate`.

    Args:
        study: Name of the study; the only one unless given.
    """
    import optuna as library

    place = str(asked.place)
    try:
        with _quiet(library):
            storage = _storage(library, place)
            names = library.get_all_study_names(storage)
            found = library.load_study(study_name=_chosen(place, names, study), storage=storage)
            trials, metrics, directions = found.get_trials(deepcopy=False), _metrics(found), list(found.directions)
    except UsageError:
        raise
    except Exception as error:  # of a library that reads what anybody wrote
        raise EnvironmentProblem(f"{place}: cannot be read as a storage of Optuna: {error}.") from error
    goals: dict[str, Literal["maximize", "minimize"]] = {}
    for metric, direction in zip(metrics, directions, strict=True):
        if direction.name in ("MAXIMIZE", "MINIMIZE"):
            goals[metric] = "maximize" if direction.name == "MAXIMIZE" else "minimize"
    return Runs(tuple(_run(trial, metrics) for trial in trials), goals=goals)


def recognises(place: Any) -> bool:
    """Whether it is an SQLite file with Optuna's tables, a journal of its, or an address of a database."""
    if not isinstance(place, (str, Path)):
        return False
    path = Path(str(place).removeprefix("sqlite:///"))
    if not path.is_file():
        return str(place).startswith(SCHEMES[1:])
    if is_sqlite(path):
        return tables(path).issuperset(TABLES)
    with path.open("rb") as file:
        return b'"op_code"' in file.read(200)


optuna.recognises = recognises


def _storage(library: Any, place: str) -> Any:
    """The storage, of a file for reading only."""
    path = Path(place.removeprefix("sqlite:///"))
    if not path.is_file():
        return place
    if not is_sqlite(path):
        from optuna.storages.journal import JournalFileBackend

        return library.storages.JournalStorage(JournalFileBackend(str(path)))
    return f"sqlite:///file:{path.absolute()}?mode=ro&uri=true"


def _chosen(place: str, names: list[str], study: str | None) -> str:
    if study is None and len(names) == 1:
        return names[0]
    if study is None:
        shown = ", ".join(names[:8]) or "none"
        raise UsageError(
            f'{place} has {len(names)} studies: {shown}. Choose one with --source \'{{"use": "optuna", "study": NAME}}\'.'
        )
    if study not in names:
        raise UsageError(f"{place} has no study {study!r}. {did_you_mean(study, names)}".strip())
    return study


def _metrics(study: Any) -> list[str]:
    count = len(study.directions)
    return list(study.metric_names or (["value"] if count == 1 else [f"value_{i}" for i in range(count)]))


def _run(trial: Any, metrics: list[str]) -> Run:
    curves = {name: Curve([0], [float(value)]) for name, value in zip(metrics, trial.values or (), strict=False)}
    if trial.intermediate_values:
        steps = sorted(trial.intermediate_values)
        curves["intermediate"] = Curve(steps, [float(trial.intermediate_values[step]) for step in steps])
    why = {"FAIL": "it failed", "PRUNED": "it was pruned"}.get(trial.state.name, "")
    settings = {**{k: v for k, v in trial.user_attrs.items() if not _is_nan(v)}, **trial.params}
    return Run(f"trial {trial.number}", settings, curves, STATUSES.get(trial.state.name, "interrupted"), why)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    level = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.ERROR)
    try:
        yield
    finally:
        library.logging.set_verbosity(level)
