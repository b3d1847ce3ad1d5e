"""A step of the recipe's own: what it is given, what holds beside it, and the same bits however often it was interrupted."""

import json

import pytest
import torch
from test_train import AUGMENTED, CPU, cell_of, interrupted, run
from torch import nn

from ablate.contracts import Horizon
from ablate.engine import data
from ablate.engine.build import Parts
from ablate.engine.own_step import OwnStep
from ablate.engine.preflight import preflight
from ablate.engine.seeding import generator
from ablate.engine.step import Step
from ablate.errors import UsageError
from ablate.plan import make_plan
from ablate.registry import default
from ablate.runner.job import Options, prepare
from ablate.spec import load
from ablate.spec.trainer import trainer_of

pytestmark = pytest.mark.usefixtures("own")
VALIDATED = ('base.eval_split="validation"', "base.dataset.validation=0.3")


def step(name, **parameters):
    return f"base.step={json.dumps({'use': name, **parameters})}"


@pytest.mark.parametrize("name", ["plain", "direct"])
def test_the_plain_step_trains_as_no_step_does(spec, environment, tmp_path, name):
    """With all that hangs on an update: clipping, the moving average, the schedule, mixing, mixed precision."""
    more = [
        *(override for override in AUGMENTED if "accumulate" not in override),
        "base.grad_clip=0.5",
        'base.scheduler={"use": "cosine", "per": "step"}',
    ]
    without = run(cell_of(spec, environment, *more), environment, tmp_path / "without")
    own = run(cell_of(spec, environment, *more, step(name)), environment, tmp_path / "own")
    assert own.weights_sha256 == without.weights_sha256
    assert own.metrics == without.metrics
    assert [record["train_loss"] for record in own.epochs] == [record["train_loss"] for record in without.epochs]


def test_a_recipe_without_a_step_keeps_its_key(spec, environment):
    assert "step" not in cell_of(spec, environment).recipe
    assert cell_of(spec, environment).key == cell_of(spec, environment, "base.step=null").key
    assert cell_of(spec, environment).key != cell_of(spec, environment, step("plain")).key


def test_a_batch_says_which_samples_it_has_and_when(spec, environment, tmp_path, own):
    cell = cell_of(spec, environment, step("looking"), "base.train_transforms.crop=null")
    run(cell, environment, tmp_path)
    train = data.load(default(), cell.recipe, cell.seed, environment, CPU).train
    assert [(batch.epoch, batch.number) for batch in own.SEEN] == [(epoch, number) for epoch in range(2) for number in range(5)]
    for epoch in range(2):
        seen = [batch for batch in own.SEEN if batch.epoch == epoch]
        assert torch.equal(
            torch.cat([batch.indices for batch in seen]), torch.randperm(160, generator=generator(cell.seed, "order", epoch))
        )
        for batch in seen:
            assert torch.equal(batch.labels, train.labels[batch.indices])
            torch.testing.assert_close(batch.images, (train.images[batch.indices].float() / 255 - 0.5) / 0.5)
    first = [torch.rand(2, generator=batch.generator).tolist() for batch in own.SEEN]
    assert len({tuple(numbers) for numbers in first}) == len(own.SEEN), "each batch has draws of its own"


def test_views_are_the_same_samples_augmented_anew(spec, environment, tmp_path, own):
    crop = 'base.train_transforms.crop={"use": "random_crop", "size": 16, "padding": 4}'
    run(cell_of(spec, environment, crop, step("looking"), "base.epochs=1"), environment, tmp_path)
    batch = own.SEEN[1]
    views = [batch.images, batch.view(1)[0], batch.view(2)[0]]
    assert all(view.shape == batch.images.shape and view.dtype == torch.float32 for view in views)
    assert not any(torch.equal(views[i], views[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert torch.equal(batch.view(1)[0], views[1]), "a view is the same whenever it is asked for"
    assert torch.equal(batch.view(1)[1], batch.labels)
    middle = views[0][:, :, 6:10, 6:10]
    assert not torch.equal(middle, own.SEEN[0].images[:, :, 6:10, 6:10])


@pytest.mark.parametrize("every", [1, 2, 4])
def test_what_a_step_keeps_goes_on_bit_for_bit(spec, environment, tmp_path, every):
    """Weights of its own in the optimizer, a memory of every sample, gradients that wait, views, draws."""
    more = [override for override in AUGMENTED if "accumulate" not in override]
    cell = cell_of(spec, environment, *more, step("with_memory"), 'base.optimizer={"use": "adam", "lr": 0.01}')
    assert list(preflight(default(), cell.recipe, environment, CPU)) == []
    whole = run(cell, environment, tmp_path / "whole")
    parts = interrupted(cell, environment, tmp_path / "parts", every)[0]
    assert parts.weights_sha256 == whole.weights_sha256
    assert [record["train_loss"] for record in parts.epochs] == [record["train_loss"] for record in whole.epochs]


def test_a_step_can_end_the_training(spec, environment, tmp_path):
    cell = cell_of(spec, environment, *VALIDATED, step("until"), "base.epochs=5")
    result = run(cell, environment, tmp_path / "whole")
    assert [record["epoch"] for record in result.epochs] == [1, 2]
    assert result.epochs[-1]["stopped"] == "the step ended it 3 epochs before the last"
    assert result.metrics == {name: result.epochs[-1][name] for name in ("accuracy", "loss")}
    assert interrupted(cell, environment, tmp_path / "parts", 3)[0].weights_sha256 == result.weights_sha256
    two = run(cell_of(spec, environment, *VALIDATED, "base.epochs=2"), environment, tmp_path / "two")
    assert two.weights_sha256 == result.weights_sha256, "as a training of two epochs"


def test_it_is_asked_after_epochs_that_were_evaluated(spec, environment, tmp_path):
    cell = cell_of(spec, environment, *VALIDATED, step("until"), "base.epochs=9", "base.eval_every=3")
    assert [record["epoch"] for record in run(cell, environment, tmp_path).epochs] == [1, 2, 3]


def test_the_length_of_such_a_training_is_known_to_nobody(spec, environment):
    cell = cell_of(spec, environment, *VALIDATED, step("until"))
    trainer = trainer_of(default(), cell.recipe)
    assert trainer.epochs is None
    with pytest.raises(UsageError, match="may have ended the training before"):
        make_plan(load(spec, (*VALIDATED, step("until"), 'compare={"at": 2}')), default())


def test_the_test_images_decide_nothing_before_the_end(spec, environment, tmp_path):
    (problem,) = preflight(default(), cell_of(spec, environment, step("until")).recipe, environment, CPU)
    assert problem.path == "step"
    assert "asks for 'loss', and the metrics are of the test images" in problem.message
    by_loss = cell_of(spec, environment, step("until", metric="train_loss"), "base.epochs=4")
    assert list(preflight(default(), by_loss.recipe, environment, CPU)) == []
    assert len(run(by_loss, environment, tmp_path).epochs) == 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("idle", "made no step of the optimizer in 64 batches"),
        ("wordless", "gave NoneType; expected the loss of the batch"),
        ("unsaveable", "cannot hold a set"),
        ("undeclared", "its factory does not say `stops = True`"),
        ("of_a_pair", "no dict of outputs"),
    ],
)
def test_what_cannot_work_is_known_before_anything_is_trained(spec, environment, name, says):
    (problem,) = preflight(default(), cell_of(spec, environment, step(name)).recipe, environment, CPU)
    assert problem.path == "step"
    assert says in problem.message


def test_a_model_may_give_anything_to_a_step(spec, environment, tmp_path):
    cell = cell_of(spec, environment, step("of_a_pair"), 'base.model={"use": "pair"}')
    assert list(preflight(default(), cell.recipe, environment, CPU)) == []
    assert run(cell, environment, tmp_path).metrics["accuracy"] is not None


def test_a_step_makes_the_updates(spec, tmp_path):
    with pytest.raises(UsageError, match="the recipe's own step makes the updates"):
        prepare(spec, [step("plain"), "base.accumulate=2"], Options(tmp_path / "s", tmp_path / "d", 1, "cpu"))


def test_a_gpu_replays_no_graph_of_it():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy
    parts = Parts(model, optimizer, lambda step: 1.0, loss, {}, Horizon(1, 1), lambda batch: torch.zeros(()))
    recipe = {"precision": "float32", "grad_clip": None, "accumulate": 1}
    step = Step(parts, recipe, torch.device("cuda"), torch.zeros((), dtype=torch.float64))
    assert step.eager_because == "the recipe has a step of its own"


def test_clipping_is_not_promised_where_a_closure_computes_gradients():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.LBFGS(model.parameters())
    parts = Parts(model, optimizer, lambda step: 1.0, nn.functional.cross_entropy, {}, Horizon(1, 1), lambda batch: None)
    OwnStep(parts, list(model.parameters()), {"grad_clip": 1.0}, torch.zeros(()))
    with pytest.raises(ValueError, match="grad_clip cannot clip the gradients that a closure computes"):
        optimizer.step(lambda: torch.zeros(()))
