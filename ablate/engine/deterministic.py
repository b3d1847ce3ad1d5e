"""What the process is set to while it is a cell's turn: a GPU's arithmetic, and whether only deterministic operations run."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from .turns import on_gpu

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # without which torch lets cuBLAS compute nothing deterministically
OF_ITS_OWN = ":4096:8"  # for every stream


def turn_of(recipe: Mapping[str, Any], device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """The turns of one cell, each a context: on a GPU those of `on_gpu`."""
    turn = on_gpu(recipe["precision"], device) if device.type == "cuda" else nullcontext
    if not recipe.get("deterministic"):
        return turn

    @contextmanager
    def both() -> Iterator[None]:
        with only_deterministic(True), turn():
            yield

    return both


@contextmanager
def only_deterministic(asked: bool) -> Iterator[None]:
    """Where it is asked for, an operation of torch without a deterministic form raises an error inside.

    These are settings of the process, so they are put back.
    """
    if not asked:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(WORKSPACE)
    os.environ.setdefault(WORKSPACE, OF_ITS_OWN)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        if workspace is None:
            del os.environ[WORKSPACE]
