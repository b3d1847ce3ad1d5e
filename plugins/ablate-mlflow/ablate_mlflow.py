"""Logs every cell that is trained as a run of MLflow, where MLFLOW_TRACKING_URI says so."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ablate.plugin import CellInfo, Study
from ablate.runner.tracking import Log, Patience, Tracker, allowed_name, numbers, outcome, shown

SETTINGS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",  # MLflow's own: 120 s
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MLflow's own: 7
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # the output may be JSON
}
PATIENCE = Patience()
KEY_LENGTH = 200  # MLflow takes 250
METRICS = 500  # MLflow takes 1000 in a request
TAGS = 100
ENDS = {"done": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


@dataclass
class Run:
    """A run of MLflow.

    Attributes:
        id: MLflow's.
        told: Epochs that it has.
    """

    id: str
    told: set[int] = field(default_factory=set)


class Experiment:
    """The runs of a study: a parent, and one for each of its cells."""

    def __init__(self, study: str):
        from mlflow.tracking import MlflowClient

        self.client, self._study = MlflowClient(), study
        self._experiment: str | None = None
        self._parent: str | None = None
        self._finished: dict[str, tuple[CellInfo, str]] = {}  # by key, with MLflow's id of the run

    def tell(self, log: Log) -> None:
        with client_settings():
            log.run = log.run or self._begin(log.cell)
            self._tell(log, log.run)

    def _tell(self, log: Log, run: Run) -> None:
        records = dict(log.waiting)
        if log.end and log.end.result:
            records = {record["epoch"]: record for record in log.end.result.epochs}
        metrics = [number for epoch in sorted(records.keys() - run.told) for number in _metrics(epoch, numbers(records[epoch]))]
        if log.end and log.end.result:
            final = {f"result.{name}": value for name, value in outcome(log.end.result).items()}
            metrics += _metrics(log.epoch, final)
        for start in range(0, len(metrics), METRICS):
            self.client.log_batch(run.id, metrics=metrics[start : start + METRICS], synchronous=True)
        run.told |= records.keys()
        log.waiting.clear()
        if log.end:
            tags = {"ablate.status": log.end.status, "ablate.error": log.end.error or ""}
            self.client.log_batch(run.id, tags=_tags(tags), synchronous=True)
            self.client.set_terminated(run.id, ENDS[log.end.status])
            self._finished[log.cell.key] = (log.cell, run.id)
            log.taken = True

    def _begin(self, cell: CellInfo) -> Run:
        """Finds the cell's run, where an earlier sitting has begun it, or makes one."""
        name = ", ".join(cell.variants)
        self._parent = self._parent or self._run("study", self._study)[0]
        tags = {"mlflow.parentRunId": self._parent, "ablate.study": self._study, "ablate.status": "running"}
        run, known = self._run(f"{name}\n{cell.key}", f"{name}, seed {cell.seed}")
        values = {"variant": name, "seed": cell.seed, "key": cell.key}
        values |= {} if cell.epochs is None else {"epochs": cell.epochs}
        values |= {f"level.{factor}": level for factor, level in cell.levels.items()}
        self.client.log_batch(run, tags=_tags(tags), synchronous=True)
        self._log_params(run, values)
        return Run(run, self._epochs_of(run) if known else set())

    def _epochs_of(self, run: str) -> set[int]:
        """Those that an earlier sitting has told it of; no metric need be in every record."""
        names = [name for name in self.client.get_run(run).data.metrics if not name.startswith("result.")]
        return {metric.step for name in names for metric in self.client.get_metric_history(run, name)}

    def _run(self, what: str, name: str) -> tuple[str, bool]:
        """The id of a run of this study, and whether there was one already; it runs from now on."""
        if self._experiment is None:
            self._experiment = self._find_experiment()
        identity = hashlib.sha256(f"{self._study}\n{what}".encode("utf-8", "surrogatepass")).hexdigest()
        found = self.client.search_runs([self._experiment], f"tags.`ablate.id` = '{identity}'", max_results=1)
        if found:
            run = str(found[0].info.run_id)
            self.client.update_run(run, status="RUNNING")
            return run, True
        made = self.client.create_run(self._experiment, tags={"ablate.id": identity}, run_name=shown(name)[:KEY_LENGTH])
        return str(made.info.run_id), False

    def _find_experiment(self) -> str:
        """The experiment that MLflow's variables name, or else the one of the study's name."""
        given = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if given:
            return given
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or shown(self._study)[:KEY_LENGTH]
        found = self.client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self.client.create_experiment(name))

    def conclude(self, study: Study) -> None:
        from ablate.stats.analysis import analyse

        analysis, metric = analyse(study), study.compare.metric
        variants = {variant.name: variant for variant in study.variants}
        deadline = time.monotonic() + PATIENCE.end
        with client_settings():
            for cell, run in self._finished.values():
                PATIENCE.check(deadline)
                infos = [variants[name] for name in cell.variants if name in variants]
                changes = "\n".join(change for info in infos for change in info.changes)
                self.client.log_batch(run, tags=_tags({"ablate.changes": changes}), synchronous=True)
            parent = self._parent or self._run("study", self._study)[0]
            tags = {"ablate.study": study.name, "ablate.question": study.question, "ablate.answer": analysis.answer}
            for effect in analysis.effects:
                size = f"{metric} {effect.difference:+.4g} ({effect.low:+.4g} to {effect.high:+.4g})"
                text = f"{effect.verdict}: {size}, adjusted p {effect.p_adjusted:.3g}, n {effect.n}"
                tags[f"verdict.{effect.variant}"] = text
            entities = _tags(tags)
            for start in range(0, len(entities), TAGS):
                PATIENCE.check(deadline)
                self.client.log_batch(parent, tags=entities[start : start + TAGS], synchronous=True)
            self.client.set_terminated(parent, _end_of(set(study.cells["status"])))

    def _log_params(self, run: str, values: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        params = [Param(mlflow_key(name), shown(str(value))) for name, value in values.items()]
        for start in range(0, len(params), TAGS):
            self.client.log_batch(run, params=params[start : start + TAGS], synchronous=True)


def connect(study: str) -> Experiment | None:
    return Experiment(study) if os.environ.get("MLFLOW_TRACKING_URI") else None


def _end_of(statuses: set[str]) -> str:
    """MLflow's word for how a study with cells of these statuses ended."""
    if statuses <= {"done"}:
        return "FINISHED"
    return "FAILED" if statuses <= {"done", "failed"} else "KILLED"


def _metrics(epoch: int, values: Mapping[str, float]) -> list[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [Metric(mlflow_key(name), float(value), now, epoch) for name, value in values.items()]


def _tags(values: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(mlflow_key(name), shown(value)) for name, value in values.items()]


def mlflow_key(name: str) -> str:
    """The name where MLflow allows it, else one that is close to it and no other's."""
    return allowed_name(name, r"^\.|[^\w.\- ]", KEY_LENGTH)


@contextmanager
def client_settings() -> Iterator[None]:
    """Short timeouts and no printing, for our own requests only, where the user has set nothing else."""
    ours = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


tracker = Tracker(connect, PATIENCE)
