"""Devices by name: `cpu`, `cuda`, `cuda:1`; and several of one kind, as `cuda:0,2`."""

from .errors import EnvironmentProblem

CPU = "cpu"


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
