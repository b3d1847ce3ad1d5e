"""The family through the registry, as a spec uses it, and every member's state through a checkpoint."""

import json
import math
import re
import textwrap
from pathlib import Path

import pytest
import pytorch_optimizer as library
import torch
from ablate_torch_optimizers import LEFT_OUT, names
from torch import nn

import ablate
from ablate.engine import checkpoint
from ablate.engine.seeding import seed_global
from ablate.errors import SpecError
from ablate.registry import build, default

STEPS, CUT = 14, 5
SHORT = {  # what the optimizer does once in many steps, done within these few
    "alice": {"update_interval": 3},
    "dash": {"precondition_frequency": 3},
    "laprop": {"centered": True, "steps_before_using_centered": 4},
    "ranger": {"k": 4},
    "sara": {"threshold": 0.2, "progressive_iter": 7},
    "shampoo": {"preconditioning_compute_steps": 3},
    "soap": {"precondition_frequency": 3},
    "spam": {"update_proj_gap": 4, "grad_accu_steps": 2, "warmup_epoch": 3},
    "srmm": {"memory_length": 4},
    "stablespam": {"update_proj_gap": 4, "t_max": 10},
}
DIGITS = {
    "name": "pytorch-optimizer-test",
    "base": {
        "dataset": {"use": "digits", "size": 16, "limit": 128},
        "train_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "net"},
        "optimizer": {"use": "pytorch_optimizer", "name": "lion", "lr": 0.0001, "arguments": {"weight_decay": 0.01}},
        "batch_size": 32,
        "epochs": 1,
    },
    "seeds": 1,
}


def small_model() -> nn.Module:
    seed_global(0)
    layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(96, 3))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def make(model: nn.Module, name: str, **settings) -> torch.optim.Optimizer:
    return build(default(), "optimizer", {"use": "pytorch_optimizer", "name": name, **settings}, model)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, rates: list[float], steps: range, factor: float = 1.0) -> None:
    """Steps as the engine makes them: seeded one by one, under a learning rate that changes."""
    for step in steps:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor * (1 + math.cos(step)) / 2
        draws = torch.Generator().manual_seed(step)
        images = torch.randn(8, 3, 8, 8, generator=draws).contiguous(memory_format=torch.channels_last)
        labels = torch.randint(3, (8,), generator=draws)
        seed_global(step)
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def rates_of(optimizer: torch.optim.Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("name", names())
def test_a_training_goes_on_from_its_checkpoint_bit_for_bit(name: str, tmp_path: Path):
    settings = {"arguments": SHORT.get(name, {})}
    whole = small_model()
    optimizer = make(whole, name, **settings)
    rates = rates_of(optimizer)
    train(whole, optimizer, rates, range(STEPS))
    assert all(torch.isfinite(parameter).all() for parameter in whole.parameters())

    begun = small_model()
    optimizer = make(begun, name, **settings)
    train(begun, optimizer, rates, range(CUT))
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, "key", {"model": begun.state_dict(), "optimizer": optimizer.state_dict()})

    state = checkpoint.load(path, "key", torch.device("cpu"))
    resumed = small_model()
    optimizer = make(resumed, name, **settings)
    resumed.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    assert not same(whole, resumed)
    train(resumed, optimizer, rates, range(CUT, STEPS))
    assert same(whole, resumed)


@pytest.mark.parametrize("name", names())
def test_the_learning_rate_of_the_scheduler_is_used(name: str):
    trained = []
    for factor in (1.0, 0.01):
        model = small_model()
        optimizer = make(model, name, arguments=SHORT.get(name, {}))
        train(model, optimizer, rates_of(optimizer), range(8), factor)
        trained.append(model)
    assert not same(*trained)


@pytest.mark.parametrize("name", ["lion", "muon", "adammini"])
def test_frozen_parameters_are_left_out(name: str):
    model = small_model()
    for parameter in model[:4].parameters():
        parameter.requires_grad_(False)
    held = {id(parameter) for group in make(model, name).param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in model[5].parameters()}


def test_a_loaded_state_has_memory_of_its_own():
    """Memory of a file is not aligned as that of a running training is, and products of matrices differ for that."""
    model = small_model()
    optimizer = make(model, "lion")
    train(model, optimizer, rates_of(optimizer), range(1))
    saved = optimizer.state_dict()
    resumed = make(model, "lion")
    resumed.load_state_dict(saved)
    averages = [state["exp_avg"] for state in resumed.state.values()]
    assert len(averages) == len(list(model.parameters()))
    for mine, theirs in zip(averages, saved["state"].values(), strict=True):
        assert torch.equal(mine, theirs["exp_avg"])
        assert mine.data_ptr() != theirs["exp_avg"].data_ptr()


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))


def test_lr_is_the_librarys_unless_given():
    assert rates_of(make(small_model(), "lion")) == [1e-4]
    assert rates_of(make(small_model(), "lion", lr=0.5)) == [0.5]


def test_lists_become_the_tuples_that_the_library_wants():
    assert make(small_model(), "lion", arguments={"betas": [0.8, 0.9]}).defaults["betas"] == (0.8, 0.9)


def test_the_random_state_is_left_alone():
    seed_global(3)
    before = torch.get_rng_state()
    make(small_model(), "lion")
    seed_global(3)
    assert torch.equal(torch.get_rng_state(), before)
    model = small_model()
    before = torch.get_rng_state()
    make(model, "soap")
    assert torch.equal(torch.get_rng_state(), before)


def test_steps_are_not_captured_as_graphs(monkeypatch):
    model = small_model()
    optimizer = make(model, "lion")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match="counters"):
        optimizer.step()


def test_what_is_left_out_is_in_the_library_and_in_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    for name, reason in LEFT_OUT.items():
        assert name in library.get_supported_optimizers()
        assert f"`{name}`" in readme
        assert reason in readme
    assert not set(LEFT_OUT) & set(names())


def readme_spec() -> dict:
    """The study in the README."""
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    return json.loads(textwrap.dedent(re.search(r"^    \{\n.*?^    \}\n", text, re.MULTILINE | re.DOTALL).group()))


def test_the_study_of_the_readme_runs(tmp_path):
    study = ablate.run(readme_spec(), store=tmp_path, device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 4
    assert study.cells["weights_sha256"].nunique() == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('base.optimizer.name="lino"', "Did you mean 'lion'"),
        ('base.optimizer.name="sophiah"', "has no name 'sophiah'"),
        ('base.optimizer.arguments={"beta": [0.9, 0.99]}', r"no argument 'beta'.*It takes: betas, fixed_decay, foreach"),
        ('base.optimizer.arguments={"lr": 0.1}', "beside `arguments`"),
        ('base.optimizer.arguments={"betas": [0.9]}', "'lion' does not work with"),
        ('base.optimizer.arguments={"weight_decay": -1.0}', "weight_decay must be non-negative"),
        ("base.optimizer.lr=0", "> 0"),
    ],
)
def test_mistakes_are_told_before_training(override, message, tmp_path):
    with pytest.raises(SpecError, match=message):
        ablate.run(DIGITS, overrides=[override], store=tmp_path, device="cpu")
