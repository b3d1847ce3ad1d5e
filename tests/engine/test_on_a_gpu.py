"""What the engine does for a GPU, as far as it can be seen without one."""

import pytest
import torch

from ablate.contracts import DataInfo
from ablate.engine.data import CHUNK
from ablate.engine.prepared import GPU_CHUNK, chunk_of
from ablate.engine.seeding import global_rng
from ablate.engine.step import ReplayDiffers, Step
from ablate.engine.train import train
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.trainer import Controls

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_where_a_replay_differs_the_whole_cell_is_trained_anew_without_graphs(spec, environment, tmp_path, monkeypatch):
    """What the replays before it have trained may be wrong, and the checkpoint with it."""
    document = {key: value for key, value in spec.items() if key != "factors"}
    plan = make_plan(load(document, ["base.epochs=3"]), default())
    cell = make_cells(plan, default(), environment, "cpu")[-1].cell
    whole = train(default(), cell, environment, CPU, Controls(tmp_path / "whole"))
    call, why, batches = Step.__call__, [], []

    def differs_later(step, images, targets, *more):
        why.append(step.eager_because)
        batches.append(len(images))
        if len(batches) == 12:
            raise ReplayDiffers("a replayed step differs")
        with torch.no_grad():
            if "differs" not in step.eager_because:  # what a wrong replay would have done to the weights
                next(step.parts.model.parameters()).mul_(1.5)
        call(step, images, targets, *more)

    monkeypatch.setattr(Step, "__call__", differs_later)
    again = train(default(), cell, environment, CPU, Controls(tmp_path / "again", checkpoint_seconds=0))
    assert again.weights_sha256 == whole.weights_sha256
    assert again.metrics == whole.metrics
    assert [record["epoch"] for record in again.epochs] == [1, 2, 3]
    assert why[0] == "device cpu has no graphs"
    assert why[-1].startswith("a replayed step differs in epoch ")


@pytest.mark.parametrize(("side", "images"), [(32, 21845), (224, 445)])
def test_the_images_that_a_gpu_transforms_at_once_have_so_many_bytes(side, images):
    form = DataInfo(3, side, side, 10)
    assert chunk_of(GPU, [form]) == images == GPU_CHUNK // (4 * 3 * side * side)
    assert chunk_of(GPU, [DataInfo(3, 32, 32, 10), form]) == images, "the largest form decides"
    assert chunk_of(GPU, [DataInfo(3, 20000, 20000, 10)]) == 1
    assert chunk_of(CPU, [form]) == CHUNK


def test_a_worker_on_a_cpu_asks_for_no_gpu(monkeypatch):
    """To ask for the state of a GPU's generator takes memory of it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("it counted GPUs"))
    before = torch.get_rng_state()
    with global_rng(0, "test"):
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
