"""Trainings on the pretended GPU, for the tests of this folder."""

from pathlib import Path
from typing import Any

import torch
from conftest import SPEC

from ablate.contracts import Cell, Environment, Result
from ablate.engine.train import train, training
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.trainer import Controls

from .graphs import CUDAGraph

EVERYTHING = ("base.model.dropout=0.2", "base.model.batch_norm=true", "base.ema=0.9", "base.grad_clip=1.0")
GPU_0 = torch.device("cuda:0")


def cell_of(folder: Path, *settings: str, device: torch.device = GPU_0, seed: int = 0) -> Cell:
    """A cell of the tiny study with three epochs of five batches, of which the last is full."""
    document = {key: value for key, value in SPEC.items() if key != "factors"}
    plan = make_plan(load(document, ["base.epochs=3", *settings]), default())
    cells = make_cells(plan, default(), environment_of(folder), device.type)
    return next(planned.cell for planned in cells if planned.cell.seed == seed)


def environment_of(folder: Path) -> Environment:
    return Environment(folder / "data", download=False)


def trained(folder: Path, *settings: str, device: torch.device = GPU_0, seed: int = 0, **controls: Any) -> Result:
    """The result of such a cell, trained alone."""
    cell = cell_of(folder, *settings, device=device, seed=seed)
    where = folder / f"{cell.key[:16]} {str(device).replace(':', ' ')}"
    return train(default(), cell, environment_of(folder), device, Controls(where, **controls))


def trained_in_turns(folder: Path, cells: list[Cell], devices: list[torch.device]) -> list[Result]:
    """The results of several cells in one process, a batch of each at a time, as a worker trains them."""
    environment, registry = environment_of(folder), default()
    steps = {
        place: training(registry, cell, environment, device, Controls(folder / f"turn {place}"))
        for place, (cell, device) in enumerate(zip(cells, devices, strict=True))
    }
    results: dict[int, Result] = {}
    while steps:
        for place, one in list(steps.items()):
            try:
                next(one)
            except StopIteration as end:
                results[place] = end.value
                del steps[place]
    return [results[place] for place in range(len(cells))]


def count_replays(monkeypatch: Any) -> list[int]:
    """A list to which each replay of a graph adds."""
    replays: list[int] = []
    replay = CUDAGraph.replay

    def counted(graph: CUDAGraph) -> None:
        replays.append(1)
        replay(graph)

    monkeypatch.setattr(CUDAGraph, "replay", counted)
    return replays
