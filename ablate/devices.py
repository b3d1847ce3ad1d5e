"""Devices by name, one or several of a kind (`cpu`, `cuda`, `cuda:1`, `cuda:0,2`), and how cells are shared out to them."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from . import places
from .errors import EnvironmentProblem, UsageError

CPU = "cpu"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB)", re.IGNORECASE)
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def kind(device: str) -> str:
    """The type of a device, or of several."""
    return device.partition(":")[0]


def named(device: str) -> tuple[str, ...]:
    """Each of the devices that a text names: `cuda:0` and `cuda:2` of `cuda:0,2`."""
    of_kind, _, indices = device.partition(":")
    return tuple(f"{of_kind}:{index}" for index in indices.split(",")) if indices else (device,)


def part(device: str, count: int) -> str:
    """The first so many of the devices that a text names. Of a kind without numbers, they are counted from 0.

    Raises:
        EnvironmentProblem: There are fewer.
    """
    names = named(device)
    if device == CPU or (count == 1 and len(names) == 1):
        return device
    if len(names) == 1 and ":" not in device:
        names = tuple(f"{device}:{index}" for index in range(count))
    if len(names) < count:
        raise EnvironmentProblem(f"the cell takes {count} devices, and has {device}")
    return f"{kind(device)}:{','.join(name.partition(':')[2] for name in names[:count])}"


def of_run(name: str) -> str:
    """The devices that a run uses: of `auto` and `cuda` all GPUs, one as `cuda` and several as `cuda:0,1`.

    Raises:
        UsageError: There is no such name.
        EnvironmentProblem: There is no such device.
    """
    names = named(name)
    if any(one.endswith(":") for one in names):
        raise UsageError(f"device {name!r}: has no number where one is expected.")
    if len(set(names)) < len(names):
        raise UsageError(f"device {name!r}: names a device twice.")
    if len(instances()) > 1:
        count = _instances_of(name, names)
    else:
        found = [places.device_of(one) for one in names]
        if name not in ("auto", "cuda") or found != ["cuda"]:
            return name if len(names) > 1 else found[0]
        import torch

        count = torch.cuda.device_count()
    if name not in ("auto", "cuda"):
        return name
    return "cuda" if count == 1 else f"cuda:{','.join(map(str, range(count)))}"


def first(device: str) -> str:
    """The device on which recipes are tried, as this process sees it."""
    return kind(device) if len(instances()) > 1 else named(device)[0]


def _instances_of(name: str, names: tuple[str, ...]) -> int:
    """How many MIG instances there are; CUDA itself shows a process the first one alone.

    Raises:
        EnvironmentProblem: There are fewer than the names ask for.
    """
    count = len(instances())
    if name != "auto" and max(int(one.partition(":")[2] or 0) for one in names) >= count:
        raise EnvironmentProblem(f"device {name!r}: {VISIBLE} names {count} MIG instances.")
    return count


def instances(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The MIG instances that the user has made visible; empty where whole GPUs are."""
    return [name for name in environment.get(VISIBLE, "").split(",") if name.strip().startswith("MIG")]


def visible(device: str, environment: Mapping[str, str] = os.environ) -> str:
    """What `CUDA_VISIBLE_DEVICES` has to be for a process that is to see these devices alone: in the user's own names.

    Args:
        device: Such as `cuda:0,2`, which count the devices that are visible now.
        environment: Of this process.
    """
    indices = [int(name.partition(":")[2]) for name in named(device)]
    given = [name.strip() for name in environment.get(VISIBLE, "").split(",") if name.strip()]
    return ",".join(given[index] if given else str(index) for index in indices)


@dataclass(frozen=True)
class Layout:
    """How many cells run at once, and where.

    Attributes:
        jobs: Cells at once.
        slots: Of these, cells that take turns in one process.
        devices: That a cell takes.
        places: The devices of a cell, or of the cells of a process, on this machine: `cuda:0,1` and `cuda:2,3` where each
            takes two; empty on a CPU, and where this machine has too few.
    """

    jobs: int
    slots: int
    devices: int = 1
    places: tuple[str, ...] = ()


def layout(device: str, jobs: int | None, cells: int, threads: int, devices: int, shares: bool) -> Layout:
    """Shares out the devices of a run.

    A cell on several devices counts as so many jobs.

    Args:
        device: As `of_run` gives it.
        jobs: Cells at once that the user asks for; None for as many as there is room for.
        cells: That are to be trained.
        threads: That a cell computes with on each device.
        devices: That a cell takes.
        shares: Whether several cells can take turns in one process on a GPU.
    """
    if device == CPU:
        return Layout(min(max(1, places.jobs_of(jobs, CPU, threads) // devices), cells), 1, devices)
    names = named(device)
    groups = [names[first : first + devices] for first in range(0, len(names) - devices + 1, devices)]
    found = tuple(f"{kind(device)}:{','.join(one.partition(':')[2] for one in group)}".rstrip(":") for group in groups)
    here = max(1, len(found))
    shares = shares and kind(device) == "cuda"
    likely = places.CELLS_ON_GPU * here if shares or not found else here
    at_once = min(max(1, jobs // devices) if jobs else likely, cells)
    return Layout(at_once, -(-at_once // min(here, at_once)) if shares else 1, devices, found)


def size_of(text: str) -> int:
    """Bytes of a size such as `6GB`.

    Raises:
        UsageError: It is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match or float(match[1]) == 0:
        raise UsageError(f"--memory is {text!r}: expected a size, such as 6GB or 500MB.")
    return int(float(match[1]) * _BYTES[match[2].upper()])
