"""A Slurm cluster as an executor of ablate: a job for each cell, through submitit."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ablate.executors import Run
from ablate.plugin import NonNegativeInt, Positive, PositiveInt, UsageError

CLUSTERS = ("slurm", "local")


@contextmanager
def executor(
    workers: int,
    /,
    *,
    cluster: Literal["slurm", "local"] | None = None,
    folder: str | None = None,
    partition: str | None = None,
    minutes: PositiveInt | None = None,
    cpus: PositiveInt | None = None,
    gpus: NonNegativeInt | None = None,
    memory_gb: Positive | None = None,
    parameters: dict[str, Any] | None = None,
    retries: NonNegativeInt | None = None,
) -> Iterator[Run]:
    """Jobs of Slurm; one that is preempted or reaches its time limit goes on from its checkpoint.

    Each parameter is also read from an environment variable, `ABLATE_SLURM_PARTITION` for `partition` and so on.

    Args:
        cluster: `slurm`, or `local` for submitit's processes on this machine; `slurm` unless given.
        folder: Directory for jobs, shared by all nodes; `slurm` in the run store unless given.
        partition: Where jobs are submitted to; the cluster's default unless given.
        minutes: Time limit of a job; a cell that needs longer is requeued, three times at most. 60 unless given.
        cpus: CPUs of a job; unless given, one for each of the recipe's `devices`. Should be as many as it has `threads` on all of
            them.
        gpus: GPUs of a job; unless given, the recipe's `devices` where the study runs on `cuda`, and none elsewhere.
        memory_gb: Memory of a job in GB; the partition's default unless given.
        parameters: Further options of sbatch, such as `{"account": "lab", "qos": "low"}`; in the environment variable as JSON.
        retries: How often a cell is submitted again after its node failed; 3 unless given.
    """
    from .jobs import Jobs, Limits, run

    del workers  # a job starts when the cluster has room, and nothing can be started ahead
    cluster = _given(cluster, "CLUSTER", str, "slurm")
    if cluster not in CLUSTERS:
        raise UsageError(f"ABLATE_SLURM_CLUSTER is {cluster!r}: expected slurm or local.")
    folder = _given(folder, "FOLDER", str, None)
    limits = Limits(
        partition=_given(partition, "PARTITION", str, None),
        minutes=_given(minutes, "MINUTES", _count(1), 60),
        cpus=_given(cpus, "CPUS", _count(1), None),
        gpus=_given(gpus, "GPUS", _count(0), None),
        memory_gb=_given(memory_gb, "MEMORY_GB", float, None),
        parameters=_given(parameters, "PARAMETERS", _options, {}),
    )
    jobs = Jobs(cluster, Path(folder) if folder else None, limits, _given(retries, "RETRIES", _count(0), 3))
    try:
        yield partial(run, jobs)
    finally:
        jobs.close()


def _given(value: Any, name: str, kind: Callable[[str], Any], default: Any) -> Any:
    """A parameter, or its environment variable, or the default."""
    text = os.environ.get(f"ABLATE_SLURM_{name}")
    if value is not None or not text:
        return default if value is None else value
    try:
        return kind(text)
    except ValueError as error:
        raise UsageError(f"ABLATE_SLURM_{name} is {text!r}: {error}.") from error


def _options(text: str) -> dict[str, Any]:
    options = json.loads(text)
    if not isinstance(options, dict):
        raise ValueError("expected an object of JSON")
    return options


def _count(minimum: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if int(text) < minimum:
            raise ValueError(f"expected {minimum} or more")
        return int(text)

    return count
