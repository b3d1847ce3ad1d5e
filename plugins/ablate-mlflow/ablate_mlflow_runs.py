"""MLflow's runs as a source for `ablate judge`: a tracking folder, an SQLite store, or a server.

Folder and store are read as files, without MLflow, whose client would change an older store's tables. Artifacts are not touched.
"""

import math
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ablate.judging.runs import Asked, Curve, Run, Runs, Status, last
from ablate.judging.sqlite_files import is_sqlite, opened, tables
from ablate.plugin import EnvironmentProblem, UsageError

STATUSES: Mapping[str, Status] = {
    "FINISHED": "done",
    "FAILED": "failed",
    "KILLED": "interrupted",
    "RUNNING": "running",
    "SCHEDULED": "running",
}
NUMBERS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}  # as files have them
SERVERS = ("http://", "https://", "databricks")
TABLES = {"runs", "params", "metrics", "latest_metrics", "experiments"}
PAGE = 1000  # runs a request
OWN = ("mlflow.", "ablate.")  # tags that are no settings
PARENT = "mlflow.parentRunId"


def mlflow(asked: Asked, /, *, experiment: str | None = None) -> Runs:
    """Runs of MLflow: a tracking folder (`mlruns`), an SQLite store (`mlflow.db`), or the address of a server.

    Settings are the parameters, the tags that are not MLflow's own, and the name of the experiment. Deleted runs are left out,
    and so are runs that only hold others together.

    Args:
        experiment: Name of one; all of them unless given.
    """
    place = str(asked.place)
    if place.startswith(SERVERS):
        runs = list(_of_server(asked, place, experiment))
    else:
        path = Path(place.removeprefix("sqlite:///").removeprefix("file://"))
        runs = list(_of_store(asked, path, experiment) if path.is_file() else _of_folder(asked, path, experiment))
    if experiment is not None and not runs:
        raise UsageError(f"{place}: there are no runs of an experiment {experiment!r}.")
    parents = {run.settings[PARENT] for run in runs if PARENT in run.settings}
    kept = [run for run in runs if run.name not in parents or (asked.metric in run.metrics if asked.metric else run.metrics)]
    notices = [f"{len(runs) - len(kept)} runs that only hold others together are left out"] if len(kept) < len(runs) else []
    told = (Run(r.name, {n: v for n, v in r.settings.items() if n != PARENT}, r.metrics, r.status, r.why) for r in kept)
    return Runs(tuple(told), tuple(notices))


def recognises(place: Any) -> bool:
    """Whether it is a server's address, an SQLite file with MLflow's tables, or a folder with runs as MLflow keeps them."""
    if not isinstance(place, (str, Path)):
        return False
    if str(place).startswith((*SERVERS, "sqlite:///")):
        return str(place).startswith(SERVERS) or recognises(str(place).removeprefix("sqlite:///"))
    path = Path(place)
    if path.is_file():
        return is_sqlite(path) and tables(path) >= TABLES
    return path.is_dir() and any((meta.parent / "params").is_dir() for meta in path.glob("*/*/meta.yaml") if "meta" in meta.name)


mlflow.recognises = recognises


def _settings(params: Mapping[str, Any], tags: Mapping[str, Any], experiment: str) -> dict[str, Any]:
    own = {name: value for name, value in tags.items() if not name.startswith(OWN) or name == PARENT}
    return {"experiment": experiment, **own, **params}


# An SQLite store


def _of_store(asked: Asked, path: Path, experiment: str | None) -> Iterator[Run]:
    try:
        with closing(opened(path)) as db:
            yield from _rows(asked, db, experiment)
    except sqlite3.Error as error:
        raise EnvironmentProblem(f"{path}: cannot be read as a store of MLflow: {error}.") from error


def _rows(asked: Asked, db: sqlite3.Connection, experiment: str | None) -> Iterator[Run]:
    runs = db.execute(
        "SELECT r.run_uuid, r.status, e.name FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
        "WHERE r.lifecycle_stage = 'active' AND (? IS NULL OR e.name = ?) ORDER BY r.start_time, r.run_uuid",
        (experiment, experiment),
    ).fetchall()
    params, tags = (_by_run(db.execute(f"SELECT run_uuid, key, value FROM {t}")) for t in ("params", "tags"))  # noqa: S608, no input
    latest = db.execute("SELECT run_uuid, key, step, value, is_nan FROM latest_metrics")
    curves: defaultdict[str, dict[str, Curve]] = defaultdict(dict)
    names = set()
    for run, key, step, value, is_nan in latest:
        names.add(key)
        curves[run][key] = Curve([step], [math.nan if is_nan else value])
    metric = asked.metric or (next(iter(names)) if len(names) == 1 else None)
    points: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    history = db.execute("SELECT run_uuid, step, value, is_nan FROM metrics WHERE key = ? ORDER BY timestamp", (metric,))
    for run, step, value, is_nan in history:
        points[run].append((step, math.nan if is_nan else value))
    for run, found in points.items():
        curves[run][str(metric)] = last(Curve(*zip(*found, strict=True)))
    for run, status, name in runs:
        yield Run(run, _settings(params[run], tags[run], name), curves[run], STATUSES.get(status, "interrupted"))


def _by_run(rows: Iterable[tuple[str, str, Any]]) -> defaultdict[str, dict[str, Any]]:
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for run, key, value in rows:
        found[run][key] = value
    return found


# A tracking folder


def _of_folder(asked: Asked, root: Path, experiment: str | None) -> Iterator[Run]:
    from ablate.judging.yaml_files import load

    paths = (path for pattern in ("*/meta.yaml", "*/*/meta.yaml") for path in sorted(root.glob(pattern)))
    found = [(path.parent, load(path)) for path in paths if (path.parent / "params").is_dir() and ".trash" not in path.parts]
    runs = [(folder, meta) for folder, meta in found if isinstance(meta, dict) and meta.get("lifecycle_stage") != "deleted"]
    names = {parent: _experiment(parent, load) for parent in dict.fromkeys(folder.parent for folder, _ in runs)}
    for folder, meta in sorted(runs, key=lambda run: (run[1].get("start_time") or 0, run[0].name)):
        name = names[folder.parent]
        if experiment in (None, name):
            status = meta.get("status")
            told = STATUSES.get(NUMBERS.get(status, str(status)), "interrupted")
            params, tags = ({n: p.read_text("utf-8") for n, p in _entries(folder / part)} for part in ("params", "tags"))
            curves = {n: _curve(p) for n, p in _entries(folder / "metrics") if asked.metric in (None, n)}
            yield Run(folder.name, _settings(params, tags, name), curves, told)


def _experiment(folder: Path, load: Callable[[Path], Any]) -> str:
    meta = load(folder / "meta.yaml") if (folder / "meta.yaml").is_file() else None
    return str(meta["name"]) if isinstance(meta, dict) and "name" in meta else folder.name


def _entries(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files by their names, which have a slash where MLflow made a folder of a part."""
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _curve(path: Path) -> Curve:
    """Lines of a time, a value, and a step."""
    points = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        parts = line.split()
        if not parts:
            continue
        try:
            points.append((int(parts[2]) if len(parts) > 2 else 0, float(parts[1])))
        except (ValueError, IndexError):
            raise UsageError(f"{path}: line {number} is not a time, a value and a step: {line[:50]!r}.") from None
    return last(Curve(*zip(*points, strict=True))) if points else Curve([], [])


# A server


def _of_server(asked: Asked, address: str, experiment: str | None) -> Iterator[Run]:
    from ablate_mlflow import _settings as patience
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=address)
    try:
        with patience():
            found = [e for e in client.search_experiments(ViewType.ACTIVE_ONLY) if experiment in (None, e.name)]
            names = {e.experiment_id: e.name for e in found}
            token: str | None = None
            while names:
                page = client.search_runs(list(names), max_results=PAGE, page_token=token, order_by=["attributes.start_time ASC"])
                for run in page:
                    yield _served(asked, client, run, names[run.info.experiment_id])
                token = page.token
                if not token:
                    return
    except MlflowException as error:
        raise EnvironmentProblem(f"{address}: MLflow does not answer: {str(error)[:300]}") from error


def _served(asked: Asked, client: Any, run: Any, experiment: str) -> Run:
    """One run, with the whole curve of the metric that is asked for."""
    curves = {metric.key: Curve([metric.step], [metric.value]) for metric in run.data._metric_objs}
    metric = asked.metric or (next(iter(curves)) if len(curves) == 1 else None)
    if metric in curves:
        points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]
        curves[metric] = last(Curve(*zip(*points, strict=True)))
    settings = _settings(run.data.params, run.data.tags, experiment)
    return Run(run.info.run_id, settings, curves, STATUSES.get(run.info.status, "interrupted"))
