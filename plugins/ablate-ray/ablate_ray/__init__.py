"""A Ray cluster as an executor of ablate: warm actors train one cell at a time, and a lost worker or node costs no result."""

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from ablate.executors import Run
from ablate.plugin import Bound, EnvironmentProblem, NonNegative, NonNegativeInt, Positive, UsageError

OBJECT_STORE_BYTES = 80_000_000  # of a cluster started here; only short texts cross it
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # "0" is Ray's own switch to the loopback address; it is read at import


@contextmanager
def executor(
    workers: int,
    /,
    *,
    address: str | None = None,
    cpus: Annotated[float, Bound(above=0)] | None = None,
    gpus: NonNegative | None = None,
    checkpoints: str | None = None,
    retries: NonNegativeInt | None = None,
    patience: Positive | None = None,
) -> Iterator[Run]:
    """Actors on a Ray cluster; a cell whose worker or node is lost runs again elsewhere.

    Each parameter is also read from an environment variable, `ABLATE_RAY_ADDRESS` for `address` and so on.

    Args:
        address: Of the cluster, such as `10.0.0.1:6379`, or `auto` for the one that this machine belongs to; `RAY_ADDRESS` where
            it is not given, and where neither is, a cluster of this machine alone that lives as long as the run.
        cpus: CPUs that a cell takes, fractions allowed; unless given, one for each of the recipe's `devices`. Should be as
            many as it has `threads` on all of them.
        gpus: GPUs that a cell takes, fractions allowed; unless given, the recipe's `devices` where the study runs on `cuda`, and
            none elsewhere.
        checkpoints: Directory of saved states, the same on all nodes, or a URL of fsspec such as `s3://bucket/states`; the
            store's own directory unless given.
        retries: How often a cell is tried again after its worker was lost; 3 unless given.
        patience: Seconds that a cluster may take to grow a node which is large enough for a worker; 120 unless given.
    """
    address = address or os.environ.get("ABLATE_RAY_ADDRESS") or os.environ.get("RAY_ADDRESS") or "local"
    cpus = _given(cpus, "CPUS", float, None)
    gpus = _given(gpus, "GPUS", float, None)
    if checkpoints := checkpoints or os.environ.get("ABLATE_RAY_CHECKPOINTS"):
        from .checkpoints import check

        check(checkpoints)
    retries = _given(retries, "RETRIES", int, 3)
    patience = _given(patience, "PATIENCE", float, 120.0)
    with connected(address, workers, cpus or 1.0):
        from .pool import Pool, run

        pool = Pool(cpus, gpus, checkpoints, retries, patience)
        try:
            yield partial(run, pool)
        finally:
            pool.close()


def _given(value: Any, name: str, kind: Callable[[str], Any], default: Any) -> Any:
    """A parameter, or its environment variable, or the default."""
    text = os.environ.get(f"ABLATE_RAY_{name}")
    if value is not None or not text:
        return default if value is None else value
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if value < 0 or (value == 0 and name in ("CPUS", "PATIENCE")):
        raise UsageError(f"ABLATE_RAY_{name} is {text!r}, which is not a number that it can be.")
    return value


@contextmanager
def connected(address: str, workers: int, cpus: float) -> Iterator[None]:
    """A connection to the cluster at `address`, or the one that this process has already.

    Args:
        address: Of a cluster; `local` starts one on this machine, with room for so many workers of so many CPUs.

    Raises:
        UsageError: The address is one of a Ray client.
        EnvironmentProblem: There is no such cluster.
    """
    if address.startswith("ray://"):
        raise UsageError(
            f"{address}: Ray's client protocol has no streams. Run on a node of the cluster, with host:port or auto."
        )
    if address == "local":
        os.environ[LOOPBACK] = "0"
    import ray

    if ray.is_initialized():
        yield
        return
    more: dict[str, Any] = {}
    if address == "local":
        room = max(os.cpu_count() or 1, math.ceil(workers * cpus))
        more = {"include_dashboard": False, "num_cpus": room, "object_store_memory": OBJECT_STORE_BYTES}
        more["_node_ip_address"] = "127.0.0.1"
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **more)
    except Exception as error:  # Ray raises Exception itself where a node does not start
        raise EnvironmentProblem(f"there is no Ray cluster at {address!r}: {error}") from error
    try:
        if address == "local":
            must_be_loopback(ray.get_runtime_context().gcs_address)
        yield
    finally:
        ray.shutdown()


def must_be_loopback(address: str) -> None:
    if not address.startswith("127."):
        raise EnvironmentProblem(
            f"Ray would listen on {address}, because it was imported before with its network on. "
            f"Set {LOOPBACK}=0, or start a cluster yourself and give its address."
        )
