"""The network, the optimizer and the recipe, against what they say of themselves."""

import json
from itertools import count
from pathlib import Path

import pytest
import torch
from ablate_speedrun import LEAST_VARIANCE, Network, Whitening, network, optimizer
from torch.nn import functional

import ablate
from ablate.contracts import DataInfo, Environment, Horizon
from ablate.engine.train import train
from ablate.plan import make_cells, make_plan
from ablate.registry import build, default
from ablate.spec import load
from ablate.spec.trainer import Controls, Interrupted
from ablate.testing import ModelContract, OptimizerContract

RECIPE = json.loads((Path(__file__).parents[1] / "speedrun.json").read_text())
INFO = DataInfo(3, 16, 16, 10)


class TestNetwork(ModelContract):
    component = {"use": "speedrun", "widths": [8, 16, 16]}


class TestOptimizer(OptimizerContract):
    component = {"use": "speedrun", "lr": 0.01, "bias_factor": 4}


def correlated(seed: int) -> torch.Tensor:
    """Images whose neighbouring pixels and channels are alike, as those of a camera are."""
    noise = torch.randn(64, 3, 24, 24, generator=torch.Generator().manual_seed(seed))
    return functional.avg_pool2d(noise + 2 * noise.mean(1, keepdim=True), 5, stride=1) * torch.tensor([3.0, 2, 1]).view(3, 1, 1)


def components(layer: Whitening, images: torch.Tensor) -> torch.Tensor:
    """What the layer makes of every patch, in columns; the half that is not negated."""
    return layer(images).detach()[:, : layer.width // 2].transpose(0, 1).flatten(1)


def test_the_first_batch_is_white_afterwards():
    layer = Whitening(3)
    images = correlated(0)
    covariance = torch.cov(components(layer, images), correction=0)
    patches = functional.unfold(images, 2).transpose(0, 1).flatten(1)
    variances = torch.linalg.eigvalsh(torch.cov(patches.double(), correction=0))
    expected = torch.diag(variances / (variances + LEAST_VARIANCE)).float()
    torch.testing.assert_close(covariance, expected, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(torch.corrcoef(patches), torch.eye(len(patches)), atol=0.5)  # it was not white before


def test_the_other_half_is_the_negative():
    layer = Whitening(3)
    out = layer(correlated(0))
    torch.testing.assert_close(out[:, :12], -out[:, 12:])


def test_only_the_first_batch_of_a_training_decides():
    layer = Whitening(3).eval()
    layer(correlated(0))
    assert not layer.filters.any()
    layer.train()(correlated(1))
    decided = layer.filters.clone()
    layer(correlated(2))
    assert torch.equal(layer.filters, decided)
    resumed = Whitening(3)
    resumed.load_state_dict(layer.state_dict())
    resumed(correlated(3))
    assert torch.equal(resumed.filters, decided)


def test_evaluation_averages_an_image_with_its_mirror_image():
    images = correlated(0)
    plain = network(INFO, widths=(8, 16, 16), mirror=False)
    plain(images)
    both = network(INFO, widths=(8, 16, 16))
    both.load_state_dict(plain.state_dict())
    plain.eval(), both.eval()
    torch.testing.assert_close(both(images), (plain(images) + plain(images.flip(-1))) / 2)
    assert not torch.allclose(both(images), plain(images))


def test_a_new_block_passes_its_images_on():
    model = network(INFO, widths=(32, 32, 32))
    assert isinstance(model, Network)
    images = torch.randn(2, 24, 8, 8, generator=torch.Generator().manual_seed(0))
    through = model.blocks[1].narrowing[0](images)
    torch.testing.assert_close(through[:, :24], images)
    assert through[:, 24:].std() > 0.1


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="9×9 is the least"):
        network(DataInfo(3, 8, 8, 10))
    network(DataInfo(3, 9, 9, 10)).eval()(torch.zeros(1, 3, 9, 9))


def test_biases_have_a_rate_and_a_penalty_of_their_own():
    model = network(INFO, widths=(8, 16, 16))
    made = optimizer(model, lr=0.5, weight_decay=0.02, bias_factor=10)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    weights, biases = ([names[id(p)] for p in group["params"]] for group in made.param_groups)
    assert all(name.endswith("weight") for name in weights)
    assert all(name.endswith("bias") for name in biases)
    assert len(weights) == 3 * 2 + 1
    assert len(biases) == 3 * 2 + 1
    rates = [(group["lr"], group["weight_decay"], group["nesterov"]) for group in made.param_groups]
    assert rates == [(0.5, 0.02, True), (5.0, 0.002, True)]


def test_the_schedule_of_the_recipe_by_hand():
    plan = make_plan(load(RECIPE), default())
    recipe = plan.reference.recipe
    steps = 49  # batches of 1024 of 50,000 images
    factor = build(default(), "scheduler", recipe["scheduler"], Horizon(recipe["epochs"], steps))
    total = 12 * steps
    peak = 0.25 * total - 1
    assert factor(0) == pytest.approx(1 / 5)
    assert factor(73) == pytest.approx(0.2 + 0.8 * 73 / peak)
    assert factor(146) == pytest.approx(1.0)
    assert factor(300) == pytest.approx(1 + (0.001 - 1) * (300 - peak) / (total - 1 - peak))
    assert factor(total - 1) == pytest.approx(1 / 1000)


NORMALIZE = {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}
DIGITS = RECIPE["base"] | {
    "dataset": {"use": "digits", "size": 16},
    "train_transforms": NORMALIZE,
    "eval_transforms": NORMALIZE,
    "model": {"use": "speedrun", "widths": [16, 32, 32], "mirror": False},
    "batch_size": 128,
    "epochs": 4,
}


def test_it_learns_digits(tmp_path):
    study = ablate.run(RECIPE | {"base": DIGITS, "seeds": 1}, store=tmp_path, device="cpu")
    assert study.cells["status"].tolist() == ["done"]
    assert study.cells["accuracy"].item() > 0.95


@pytest.mark.parametrize("batches", [1, 15])
def test_an_interrupted_training_has_the_same_result(tmp_path, batches):
    """Stopped after the batch that decides on the filters, and in the second epoch."""
    environment = Environment(tmp_path)
    plan = make_plan(load(RECIPE | {"base": DIGITS | {"epochs": 2}, "seeds": 1}), default())
    cell = make_cells(plan, default(), environment, "cpu")[0].cell

    def run(folder, stop=lambda: False):
        return train(default(), cell, environment, torch.device("cpu"), Controls(tmp_path / folder, should_stop=stop))

    asked = count(1)
    with pytest.raises(Interrupted):
        run("stopped", lambda: next(asked) == batches)
    assert run("stopped").weights_sha256 == run("whole").weights_sha256
