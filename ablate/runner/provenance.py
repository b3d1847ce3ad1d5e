"""Where a cell was trained: machine, packages, and the revision of the working directory."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ablate.registry.sources import version_of


def collect(device: str, executor: str, own_results: bool) -> dict[str, Any]:
    """What a reader needs to know of this machine to judge or to repeat a result.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        executor: Where cells run, as `distribution:name`.
        own_results: Whether they come from the executor itself and not from ablate's training.
    """
    owner = executor.partition(":")[0]
    origin = {"results": "the executor's own, not trained by ablate"} if own_results else {}
    packages = {name: version(name) for name in ("ablate-core", "torch", "torchvision", "numpy")}
    return {
        "packages": packages,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "device": _device_name(device),
        "executor": f"{executor} {packages.get(owner) or version_of(owner)}",
        **origin,
        "git": _git_revision(),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    import torch

    return torch.cuda.get_device_name(device)


def _git_revision() -> str | None:
    """Commit of the working directory, with `+` where it has changes; None outside a repository."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--match="]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603, no shell
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
