"""The GPUs of this machine and the processes of a run: which each has, what it sees of them, and how much memory it takes."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ablate.devices import CPU, VISIBLE, kind, visible
from ablate.errors import EnvironmentProblem

from . import Settings


def must_have_places(settings: Settings) -> None:
    """Looks whether this machine has the devices that a cell takes.

    Raises:
        EnvironmentProblem: It has fewer.
    """
    if settings.device != CPU and settings.devices > 1 and not settings.places:
        raise EnvironmentProblem(
            f"a cell takes {settings.devices} devices, and the run has fewer. Name more by --device, such as cuda:0,1, or give "
            "the recipe fewer `devices`."
        )


def next_place(places: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """The place that the fewest processes have, the first of equal ones; None where none are shared out."""
    count = Counter(taken)
    return min(places, key=lambda place: count[place], default=None)


def seen_from(place: str | None) -> dict[str, str]:
    """What an order says of its device to a process that sees the GPUs of a place alone, in the user's own names."""
    if place is None or not place.startswith("cuda:"):
        return {}
    return {"device": kind(place), "visible": visible(place)}


def take_own(order: Mapping[str, Any]) -> None:
    """Has this process see the GPUs of its order alone, before it uses any, and keep to the memory that it may take.

    Raises:
        EnvironmentProblem: A GPU has less memory than that.
    """
    if order.get("visible"):
        os.environ[VISIBLE] = order["visible"]
    if order.get("memory") is None or kind(order["device"]) != "cuda":
        return
    import torch

    for number in range(torch.cuda.device_count()):
        total = torch.cuda.get_device_properties(number).total_memory
        if order["memory"] > total:
            raise EnvironmentProblem(f"--memory is {order['memory'] / 1e9:g} GB, and GPU {number} has {total / 1e9:.3g} GB.")
        torch.cuda.set_per_process_memory_fraction(order["memory"] / total, number)


def free(device: str, order: Mapping[str, Any]) -> int:
    """Bytes of a GPU that this process may still take."""
    import torch

    left: int = torch.cuda.mem_get_info(device)[0]
    if order.get("memory") is not None:
        left = min(left, order["memory"] - torch.cuda.memory_reserved(device))
    return left
