"""What devices other than CPUs and NVIDIA's GPUs need, such as `mps` and `xpu`: they have no float64, or may have none."""

import torch
from torch import Tensor

CPU = torch.device("cpu")
_used: set[str] = set()  # types of devices whose global generators this process seeds


def computes_in_float64(device: torch.device) -> bool:
    return device.type in ("cpu", "cuda")


def sum_on(device: torch.device) -> Tensor:
    """A running sum, a scalar: float64 where the device has it, else float32."""
    dtype = torch.float64 if computes_in_float64(device) else torch.float32
    return torch.zeros((), dtype=dtype, device=device)


def measured_on(device: torch.device) -> torch.device:
    """Where metrics are computed of what a model on this device says: many of them use float64."""
    return device if computes_in_float64(device) else CPU


def use(device: torch.device) -> None:
    """Has the global generator of such a device seeded, too; those that a process does not train on are left alone."""
    if not computes_in_float64(device):
        _used.add(device.type)


def generator_states() -> dict[str, Tensor]:
    """The states of the generators that are seeded here, to be put back."""
    return {of_type: torch.get_device_module(of_type).get_rng_state() for of_type in _used}


def restore_generators(states: dict[str, Tensor]) -> None:
    for of_type, state in states.items():
        torch.get_device_module(of_type).set_rng_state(state)


def seed(number: int) -> None:
    """Seeds the generators of these devices."""
    for of_type in _used:
        torch.get_device_module(of_type).manual_seed(number)
