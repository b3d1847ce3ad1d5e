"""What a process runs on: machine, packages and device."""

import os
import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

MACHINE = ("cpu", "cores", "device")  # of a record of provenance: what tells whether times are those of one machine


@cache
def machine(device: str) -> dict[str, Any]:
    """What this process runs on, which for a worker may be another machine than the driver's; not to be changed."""
    return {
        "packages": {name: version(name) for name in ("ablate-core", "torch", "torchvision", "numpy")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "device": _device_name(device),
    }


def machine_of(record: Mapping[str, Any]) -> str:
    """The machine of a record in words; empty where nobody noted it."""
    cpu, cores, device = (record.get(name) for name in MACHINE)
    parts = [str(device)] if device not in (None, "cpu") else []
    parts += [f"{cpu}, {cores} cores"] if cpu else []
    return " with ".join(parts)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _device_name(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch

    return torch.cuda.get_device_name(device)


def no_kernels(gpu: int) -> str:
    """Why torch cannot compute on the GPU of this number, whose driver it can talk to; empty where it can.

    A build of torch has code for some generations of GPUs. Machine code (`sm_86`) runs on later ones of the same generation,
    what is still to be compiled (`compute_90`) on all later ones, and `sm_90a` on no other.
    """
    import torch

    built = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", name) for name in torch.cuda.get_arch_list()]
    if not any(built):  # ROCm has other names
        return ""
    have = torch.cuda.get_device_capability(gpu)
    for kind, major, minor, exact in (match.groups() for match in built if match):
        made_for = int(major), int(minor)
        later = have >= made_for and (kind == "compute" or have[0] == made_for[0])
        if have == made_for or (later and exact != "a"):
            return ""
    named = f"{torch.cuda.get_device_name(gpu)} (compute capability {have[0]}.{have[1]})"
    return f"this build of torch has no code for the {named}, only for {', '.join(torch.cuda.get_arch_list())}"
