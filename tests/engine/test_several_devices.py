"""A cell on several devices: two or three processes on this machine, against the same cell in one."""

import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ablate.engine.ranks import group
from ablate.errors import EnvironmentProblem
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.trainer import Controls, trainer_of
from ablate.testing.sittings import in_sittings, trained

TOLERANCE = 1e-5  # of weights, whose size is about 0.1: the sums of a batch come in another order


def cell_of(spec, environment, **fields):
    document = {key: value for key, value in spec.items() if key != "factors"}
    document["base"] |= {"optimizer": {"use": "sgd", "lr": 0.5, "momentum": 0.9}, **fields}
    plan = make_plan(load(document, []), default())
    return make_cells(plan, default(), environment, "cpu")[-1].cell


def run(cell, environment, folder, **controls):
    return trained(trainer_of(default(), cell.recipe), cell, environment, Controls(folder / "state.safetensors", **controls))


def started():
    """Processes that this one has started and not waited for."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def children():
    """Asks for the processes that the test has started; there may be one of a test before, which tidies up at the end."""
    before = started()
    return lambda: started() - before


@pytest.mark.parametrize(
    ("devices", "fields"),
    [
        (3, {"batch_size": 53, "dataset": {"use": "digits", "size": 16, "limit": 160}}),  # the last batch has one image
        (2, {"batch_size": 16, "accumulate": 4, "grad_clip": 0.5, "ema": 0.9, "train_transforms": "crop and mixup"}),
    ],
    ids=["a last batch of one image", "accumulated"],
)
def test_several_devices_give_what_one_gives(spec, environment, tmp_path, devices, fields, children):
    if fields.get("train_transforms"):
        normalize = spec["base"]["train_transforms"]["normalize"]
        crop, mixup = {"use": "random_crop", "size": 16, "padding": 2}, {"use": "mixup"}
        fields |= {"train_transforms": {"crop": crop, "normalize": normalize, "mixup": mixup}}
    one = run(cell_of(spec, environment, **fields), environment, tmp_path / "one", weights=tmp_path / "one.safetensors")
    several = cell_of(spec, environment, **fields, devices=devices)
    many = run(several, environment, tmp_path / "many", weights=tmp_path / "many.safetensors")
    weights, others = load_file(tmp_path / "one.safetensors"), load_file(tmp_path / "many.safetensors")
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=0, atol=TOLERANCE)
    for here, there in zip(one.epochs, many.epochs, strict=True):
        assert there["train_loss"] == pytest.approx(here["train_loss"], rel=1e-5)
        assert there["accuracy"] == here["accuracy"]
    assert one.weights_sha256 != many.weights_sha256
    assert not children()


def test_an_interrupted_training_is_the_whole_one(spec, environment, tmp_path, children):
    fields = {"model": {"use": "net", "batch_norm": True, "dropout": 0.2}, "accumulate": 2, "ema": 0.9}
    cell = cell_of(spec, environment, **fields, devices=2, epochs=1)
    whole = run(cell, environment, tmp_path / "whole", weights=tmp_path / "one.safetensors")
    parts = in_sittings(lambda stop: run(cell, environment, tmp_path / "parts", should_stop=stop), every=2)[0]
    assert parts.weights_sha256 == whole.weights_sha256
    assert [record["train_loss"] for record in parts.epochs] == [record["train_loss"] for record in whole.epochs]
    assert not children()


def test_a_process_that_is_killed_fails_the_cell(spec, environment, tmp_path, children):
    cell = cell_of(spec, environment, devices=2, epochs=500)
    steps = trainer_of(default(), cell.recipe).train(cell, environment, "cpu", Controls(tmp_path / "state.safetensors"))
    next(steps)
    (other,) = children()
    os.kill(int(other), signal.SIGKILL)
    with pytest.raises(EnvironmentProblem, match=r"^the process of its device 1 was killed by signal 9\.$"):
        for _ in steps:
            pass
    assert not children()


def test_what_another_process_raises_is_the_error_of_the_cell(spec, environment, tmp_path, monkeypatch, children):
    """Its state is damaged after the first process has read it."""
    cell = cell_of(spec, environment, devices=2)
    monkeypatch.setattr("ablate.engine.checkpoint.load", lambda *_: None)
    (tmp_path / "state.safetensors").write_bytes(b"no state")
    with pytest.raises(EnvironmentProblem, match=r"^on its device 1: .*state.safetensors: the checkpoint cannot be read"):
        run(cell, environment, tmp_path)
    assert not children()


def test_weights_that_differ_between_processes_are_an_error(tmp_path):
    model = torch.nn.Linear(2, 1)
    model.weight.data.fill_(1)
    with group(0, ["cpu"], tmp_path / "meeting") as ranks:
        ranks.agree(model, 1)
        summed = torch.distributed.all_reduce

        def with_another(tensor, operation):  # whose weights are 2
            model.weight.data.fill_(2)
            there = torch.stack([parameter.double().sum() for parameter in model.parameters()]).view(torch.int64)
            tensor.copy_(torch.maximum(tensor, torch.cat([there, ~there])))

        torch.distributed.all_reduce = with_another
        try:
            with pytest.raises(EnvironmentProblem, match="after epoch 1 the weights differ between its devices"):
                ranks.agree(model, 1)
        finally:
            torch.distributed.all_reduce = summed
