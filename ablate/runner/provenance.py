"""Where a study runs: machine, packages, executor, and the revision of the working directory."""

import subprocess
from typing import Any

from ablate.machine import machine
from ablate.registry.sources import version_of


def collect(device: str, executor: str, own_results: bool) -> dict[str, Any]:
    """What a reader needs to know of where a study runs to judge or to repeat its results.

    Args:
        device: `cpu`, `cuda` or `cuda:N`.
        executor: Where cells run, as `distribution:name`.
        own_results: Whether they come from the executor itself and not from ablate's training.
    """
    owner = executor.partition(":")[0]
    origin = {"results": "the executor's own, not trained by ablate"} if own_results else {}
    here = machine(device)
    version = here["packages"].get(owner) or version_of(owner)
    return {**here, "executor": f"{executor} {version}", **origin, "git": _git_revision()}


def _git_revision() -> str | None:
    """Commit of the working directory, with `+` where it has changes; None outside a repository."""
    try:
        command = ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--match="]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603, no shell
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
