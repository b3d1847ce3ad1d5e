"""Logs every cell that is trained as a run of MLflow, where MLFLOW_TRACKING_URI says so.

What is to be told waits in memory until the server has it. A server that fails or is slow is left alone for a while, so that
it costs a study seconds a minute at most; with the next success, or at the end of the study, it hears what it has missed.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ablate.hooks import CellInfo, hookimpl
from ablate.records import Result
from ablate.report.plain import printable
from ablate.study import Study

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",  # MLflow's own: 120 s
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MLflow's own: 7
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the output may be JSON
}
BUDGET_SECONDS = 10.0  # what the server may take after an event, before it is left alone
END_SECONDS = 60.0  # the same after the last event
PAUSE_SECONDS = 60.0
KEY_LENGTH = 200  # MLflow takes 250
VALUE_LENGTH = 5000  # MLflow takes 6000 in a parameter and 8000 in a tag
METRICS = 500  # MLflow takes 1000 in a request
TAGS = 100
ENDS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


@dataclass
class Log:
    """A cell, and what the server has not heard of it.

    Attributes:
        cell: The cell.
        waiting: Records of epochs by their number.
        end: Status, result and error, once it has ended.
        run: MLflow's id of its run, once there is one.
        told: Epochs that the run has.
    """

    cell: CellInfo
    waiting: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: tuple[str, Result | None, str | None] | None = None
    run: str | None = None
    told: set[int] = field(default_factory=set)


class Tracker:
    """The listener. `study_start` begins a study or a further round of one, and `study_end` forgets it."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._client: Any = None  # an MlflowClient while a study is logged
        self._study = ""
        self._experiment: str | None = None
        self._parent: str | None = None
        self._logs: dict[str, Log] = {}  # by key, of cells that the server does not know all of
        self._finished: dict[str, tuple[CellInfo, str]] = {}  # by key, with MLflow's id of the run
        self._silent_until = 0.0

    @hookimpl
    def study_start(self, study: str) -> None:
        if study == self._study:
            return
        self._forget()
        if os.environ.get("MLFLOW_TRACKING_URI"):
            from mlflow.tracking import MlflowClient

            self._client, self._study = MlflowClient(), study

    @hookimpl
    def cell_start(self, cell: CellInfo) -> None:
        if self._client:
            self._logs[cell.key] = Log(cell)
            self._send(BUDGET_SECONDS)

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        if self._client:
            self._logs.setdefault(cell.key, Log(cell)).waiting[record["epoch"]] = record
            self._send(BUDGET_SECONDS)

    @hookimpl
    def cell_end(self, cell: CellInfo, status: str, result: Result | None, error: str | None) -> None:
        if self._client:
            self._logs.setdefault(cell.key, Log(cell)).end = (status, result, error)
            self._send(BUDGET_SECONDS)

    @hookimpl
    def study_end(self, study: Study) -> None:
        if not self._client:
            return
        try:
            self._silent_until = 0.0
            self._send(END_SECONDS)
            self._conclude(study)
        finally:
            self._forget()

    def _send(self, seconds: float) -> None:
        """Tells the server what waits, unless it is left alone.

        Raises:
            Exception: Whatever MLflow raises; a TimeoutError where the server takes longer than it may.
        """
        now = time.monotonic()
        if now < self._silent_until:
            return
        news = [log for log in self._logs.values() if log.waiting or log.end or not log.run]
        with _settings():
            for log in news:
                try:
                    self._tell(log)
                    _in_time(now + seconds)
                except Exception:
                    self._silent_until = time.monotonic() + PAUSE_SECONDS
                    if log.cell.key in self._logs:  # the others first, next time, should it be this cell that cannot be logged
                        self._logs[log.cell.key] = self._logs.pop(log.cell.key)
                    raise

    def _tell(self, log: Log) -> None:
        cell = log.cell
        if log.run is None:
            self._begin(log)
        records = dict(log.waiting)
        status, result, error = log.end or ("", None, None)
        if result:
            records = {record["epoch"]: record for record in result.epochs}
        metrics = [number for epoch in sorted(records.keys() - log.told) for number in _numbers(epoch, records[epoch])]
        if result:
            final = {"seconds": result.seconds, "parameters": result.parameters, **result.metrics}
            metrics += _numbers(cell.epochs, {f"result.{name}": value for name, value in final.items()})
        for start in range(0, len(metrics), METRICS):
            self._client.log_batch(log.run, metrics=metrics[start : start + METRICS], synchronous=True)
        log.told |= records.keys()
        log.waiting.clear()
        if log.end:
            tags = {"ablate.status": status, "ablate.error": error or ""}
            self._client.log_batch(log.run, tags=_tags(tags), synchronous=True)
            self._client.set_terminated(log.run, ENDS[status])
            self._finished[cell.key] = (cell, str(log.run))
            del self._logs[cell.key]

    def _begin(self, log: Log) -> None:
        """Finds the cell's run, where an earlier sitting has begun it, or makes one."""
        cell, name = log.cell, ", ".join(log.cell.variants)
        self._parent = self._parent or self._run("study", self._study)[0]
        tags = {"mlflow.parentRunId": self._parent, "ablate.study": self._study, "ablate.status": "running"}
        run, known = self._run(f"{name}\n{cell.key}", f"{name}, seed {cell.seed}")
        levels = [level for variant in cell.variants for level in levels_of(variant).items()]
        values = {"variant": name, "seed": cell.seed, "epochs": cell.epochs, "key": cell.key}
        values |= {f"level.{factor}": level for factor, level in levels}
        self._client.log_batch(run, tags=_tags(tags), synchronous=True)
        self._log_params(run, values)
        if known:
            log.told = {metric.step for metric in self._client.get_metric_history(run, "seconds")}
        log.run = run

    def _run(self, what: str, name: str) -> tuple[str, bool]:
        """The id of a run of this study, and whether there was one already; it runs from now on."""
        if self._experiment is None:
            self._experiment = self._find_experiment()
        identity = hashlib.sha256(f"{self._study}\n{what}".encode("utf-8", "surrogatepass")).hexdigest()
        found = self._client.search_runs([self._experiment], f"tags.`ablate.id` = '{identity}'", max_results=1)
        if found:
            run = str(found[0].info.run_id)
            self._client.update_run(run, status="RUNNING")
            return run, True
        made = self._client.create_run(self._experiment, tags={"ablate.id": identity}, run_name=_value(name)[:KEY_LENGTH])
        return str(made.info.run_id), False

    def _find_experiment(self) -> str:
        """The experiment that MLflow's variables name, or else the one of the study's name."""
        given = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if given:
            return given
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _value(self._study)[:KEY_LENGTH]
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _conclude(self, study: Study) -> None:
        """What only the whole study tells: what each variant changes, and the verdicts."""
        from ablate.stats.analysis import analyse

        analysis, metric = analyse(study), study.compare.metric
        variants = {variant.name: variant for variant in study.variants}
        deadline = time.monotonic() + END_SECONDS
        with _settings():
            for cell, run in self._finished.values():
                _in_time(deadline)
                infos = [variants[name] for name in cell.variants if name in variants]
                levels = {f"level.{factor}": level for info in infos for factor, level in info.levels.items()}
                self._log_params(run, levels)
                changes = "\n".join(change for info in infos for change in info.changes)
                self._client.log_batch(run, tags=_tags({"ablate.changes": changes}), synchronous=True)
            parent = self._parent or self._run("study", self._study)[0]
            tags = {"ablate.study": study.name, "ablate.question": study.question, "ablate.answer": analysis.answer}
            for effect in analysis.effects:
                size = f"{metric} {effect.difference:+.4g} ({effect.low:+.4g} to {effect.high:+.4g})"
                text = f"{effect.verdict}: {size}, adjusted p {effect.p_adjusted:.3g}, n {effect.n}"
                tags[f"verdict.{effect.variant}"] = text
            entities = _tags(tags)
            for start in range(0, len(entities), TAGS):
                _in_time(deadline)
                self._client.log_batch(parent, tags=entities[start : start + TAGS], synchronous=True)
            self._client.set_terminated(parent, _end_of(set(study.cells["status"])))

    def _log_params(self, run: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(_key(name), _value(str(value))) for name, value in values.items()]
        for start in range(0, len(params), TAGS):
            self._client.log_batch(run, params=params[start : start + TAGS], synchronous=True)


def levels_of(variant: str) -> dict[str, str]:
    """The levels that the name of a variant has; no name of a factor or a level has `=` or `,` in it."""
    return dict(part.split("=", 1) for part in variant.split(",") if "=" in part)


def _end_of(statuses: set[str]) -> str:
    """MLflow's word for how a study with cells of these statuses ended."""
    if statuses <= {"done"}:
        return "FINISHED"
    return "FAILED" if statuses <= {"done", "failed"} else "KILLED"


def _numbers(epoch: int, record: Mapping[str, Any]) -> list[Any]:
    """The numbers of a record as metrics of MLflow."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    numbers = {name: value for name, value in record.items() if name != "epoch" and isinstance(value, (int, float))}
    return [Metric(_key(name), float(value), now, epoch) for name, value in numbers.items() if not isinstance(value, bool)]


def _tags(values: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(_key(name), _value(value)) for name, value in values.items()]


def _key(name: str) -> str:
    """The name where MLflow allows it, else one that is close to it and no other's."""
    allowed = re.sub(r"^\.|[^\w.\- ]", "_", name)[:KEY_LENGTH]
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return name if allowed == name else f"{allowed}-{digest}"


def _value(text: str) -> str:
    return printable(text)[:VALUE_LENGTH]


def _in_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"the server is slow: it is left alone for {PAUSE_SECONDS:g} s, or until the end of the study")


@contextmanager
def _settings() -> Iterator[None]:
    """Short timeouts and no printing, for our own requests only, where the user has set nothing else."""
    ours = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


tracker = Tracker()
