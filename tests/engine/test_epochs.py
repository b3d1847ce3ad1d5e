"""What follows the epoch is told it before each, wherever a training goes on."""

import pytest
import torch
from test_train import CPU, cell_of, interrupted, run

from ablate.contracts import DataInfo, Horizon
from ablate.engine.build import Parts
from ablate.engine.epochs import followed_by
from ablate.engine.preflight import preflight
from ablate.registry import default

pytestmark = pytest.mark.usefixtures("own")
FOLLOWING = (
    'base.train_transforms={"grow": {"use": "growing"}, "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}',
    'base.model={"use": "deep"}',
    'base.optimizer={"use": "halving"}',
    "base.epochs=3",
)


def test_it_is_told_each_epoch(spec, environment, tmp_path, own):
    cell = cell_of(spec, environment, *FOLLOWING, 'base.step={"use": "looking"}')
    result = run(cell, environment, tmp_path)
    told = [seen for seen in own.SEEN if isinstance(seen, tuple)]
    for kind in ("transform", "model", "optimizer"):
        epochs = [epoch for name, epoch in told if name == kind]
        assert epochs == [0, 1, 2] if kind != "transform" else epochs[1:] == [0, 1, 2], kind
    sizes = {batch.epoch: batch.images.shape[-1] for batch in own.SEEN if not isinstance(batch, tuple)}
    assert sizes == {0: 8, 1: 12, 2: 16}
    assert result.metrics["accuracy"] is not None


@pytest.mark.parametrize("every", [2, 7])
def test_it_goes_on_bit_for_bit(spec, environment, tmp_path, every):
    cell = cell_of(spec, environment, *FOLLOWING, "base.ema=0.9")
    whole = run(cell, environment, tmp_path / "whole")
    assert interrupted(cell, environment, tmp_path / "parts", every)[0].weights_sha256 == whole.weights_sha256


def test_the_optimizer_follows(spec, environment, tmp_path):
    """A rate that is halved in each epoch is what a schedule of powers of a half gives."""
    plain = ("base.epochs=3", "base.train_transforms.crop=null", 'base.optimizer={"use": "halving"}')
    other = ("base.epochs=3", 'base.optimizer={"use": "sgd", "lr": 0.1}', 'base.scheduler={"use": "exponential", "gamma": 0.5}')
    results = [run(cell_of(spec, environment, *more), environment, tmp_path / str(n)) for n, more in enumerate((plain, other))]
    assert results[0].epochs[-1]["train_loss"] == pytest.approx(results[1].epochs[-1]["train_loss"], rel=1e-5)


def test_the_model_is_built_for_the_images_of_the_last_epoch(own, spec, environment, tmp_path, monkeypatch):
    sizes = []
    real = own.Deep.__init__
    monkeypatch.setattr(own.Deep, "__init__", lambda self, info: sizes.append(info.height) or real(self, info))
    run(cell_of(spec, environment, *FOLLOWING), environment, tmp_path)
    assert sizes == [16]


@pytest.mark.parametrize(
    ("overrides", "path", "says"),
    [
        (
            ('base.model={"use": "net"}', FOLLOWING[0]),
            "model",
            "does not take the images of epoch 1, which are 1×8×8: RuntimeError",
        ),
        (('base.eval_transforms.grow={"use": "growing"}',), "eval_transforms.grow", "every epoch is evaluated alike"),
        (
            ('base.train_transforms.a={"use": "random_apply", "transforms": {"grow": {"use": "growing"}}}',),
            "train_transforms.a.transforms.grow",
            "random_apply hands no epoch on",
        ),
    ],
)
def test_what_cannot_follow_is_known_before(spec, environment, overrides, path, says):
    recipe = cell_of(spec, environment, *overrides).recipe
    recipe["train_transforms"] = (
        dict(reversed(recipe["train_transforms"].items())) if "a." in path else recipe["train_transforms"]
    )
    (problem,) = preflight(default(), recipe, environment, CPU)
    assert problem.path == path
    assert says in problem.message


def test_a_graph_would_keep_the_first_epoch(own):
    model = own.deep(DataInfo(1, 8, 8, 4))
    parts = Parts(model, own.halving(model), lambda step: 1.0, torch.nn.functional.cross_entropy, {}, Horizon(1, 1))
    assert followed_by(parts) == "the model changes with the epoch"
