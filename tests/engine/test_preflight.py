"""What the preflight of a recipe finds, each with the place in the recipe; `test_train` has what two images alone show."""

from dataclasses import replace

import pytest
import torch

from ablate.engine import data, preflight_parts
from ablate.engine.preflight import preflight
from ablate.errors import checked
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.study import Compare

CPU = torch.device("cpu")
NORMALIZE = {"use": "normalize", "mean": [0.5], "std": [0.5]}
RESIZE = {"use": "resize", "size": 8}


def recipe_of(spec, environment, *overrides):
    plan = make_plan(load({key: value for key, value in spec.items() if key != "factors"}, overrides), default())
    return make_cells(plan, default(), environment, "cpu")[-1].cell.recipe


def tried(recipe, environment):
    return [(problem.path, problem.message) for problem in preflight(default(), recipe, environment, CPU)]


def some(p=0.5, **transforms):
    return {"use": "random_apply", "p": p, "transforms": transforms}


@pytest.fixture
def stand_in(monkeypatch):
    """Puts another factory in the place of a component, with the parameters of that."""

    def put(kind, name, factory):
        loaded = default().load(kind, name)
        monkeypatch.setitem(default().loaded, (kind, f"ablate-core:{name}"), replace(loaded, imported=factory))

    return put


@pytest.mark.parametrize("p", [1e-6, 0.3, 0.999, 1.0])
def test_what_a_draw_rarely_does_is_done(spec, environment, p):
    spec["base"]["train_transforms"] = {"ra": some(p, r=RESIZE), "n": NORMALIZE}
    ((path, message),) = tried(recipe_of(spec, environment), environment)
    assert path == "train_transforms.ra"
    assert "inside random_apply, a transform has to keep both" in message


@pytest.mark.parametrize("p", [1e-6, 0.5])
def test_a_transform_inside_is_tried_at_any_depth_and_named(spec, environment, p):
    inner = some(p, crop={"use": "random_crop", "size": 99})
    spec["base"]["train_transforms"] = {"ra": some(p, inner=inner), "n": NORMALIZE}
    ((path, message),) = tried(recipe_of(spec, environment), environment)
    assert path == "train_transforms.ra.transforms.inner.transforms.crop"
    assert "smaller than the crop" in message


def test_a_rare_operation_of_torchvision_is_done(spec, environment):
    """Three values for images of one channel, behind a draw of one in a million."""
    rare = {"use": "torchvision", "name": "RandomErasing", "arguments": {"value": [1, 2, 3], "p": 1e-6}}
    spec["base"]["train_transforms"] = {"n": NORMALIZE, "rare": rare}
    ((path, message),) = tried(recipe_of(spec, environment), environment)
    assert (path, "a single value" in message) == ("train_transforms.rare", True)


@pytest.mark.parametrize("p", [1e-6, 1.0])
def test_what_mixes_cannot_be_inside_of_what_has_no_labels(spec, environment, p):
    spec["base"]["train_transforms"] = {"ra": some(p, inner=some(p, m={"use": "mixup"})), "n": NORMALIZE}
    ((path, message),) = tried(recipe_of(spec, environment), environment)
    assert path == "train_transforms.ra.transforms.inner.transforms.m"
    assert "random_apply hands no labels on: name it beside random_apply" in message


@pytest.mark.parametrize(
    ("transforms", "path"),
    [
        ({"m": {"use": "mixup"}, "n": NORMALIZE}, "eval_transforms.m"),
        ({"n": NORMALIZE, "m": {"use": "cutmix", "p": 0.01}}, "eval_transforms.m"),
        ({"ra": some(0.01, m={"use": "mixup"}), "n": NORMALIZE}, "eval_transforms.ra.transforms.m"),
    ],
)
def test_evaluation_does_not_mix(spec, environment, transforms, path):
    spec["base"]["eval_transforms"] = transforms
    ((found, message),) = tried(recipe_of(spec, environment), environment)
    assert (found, "mixes images and their labels" in message) == (path, True)


def test_good_recipes_with_draws_are_let_through_and_random_evaluation_is_said(spec, environment):
    chain = {
        "ra": some(0.3, a={"use": "random_horizontal_flip"}, b=some(0.1, c={"use": "random_crop", "size": 16, "padding": 2}))
    }
    spec["base"]["train_transforms"] = {**chain, "mix": {"use": "mixup"}, "n": NORMALIZE}
    spec["base"]["eval_transforms"] = {"flip": {"use": "random_horizontal_flip"}, "n": NORMALIZE}
    recipe = recipe_of(spec, environment, "base.batch_size=200", "base.eval_every=3")
    notices, found = checked(preflight(default(), recipe, environment, CPU))
    assert found == []
    assert {notice.path: notice.message for notice in notices} == {
        "eval_transforms.flip": "draws at random, so that metrics depend on what it draws for each image",
        "batch_size": "200 is more than the 160 training images: an epoch is one batch of them all",
        "eval_every": "3 is more than the 2 epochs: only the last one is evaluated",
    }


def test_a_loss_without_soft_labels_is_told_of_what_mixes(spec, environment, stand_in):
    stand_in("loss", "cross_entropy", lambda **_: lambda logits, labels: logits.gather(1, labels[:, None]).mean())
    spec["base"]["train_transforms"] = {"m": {"use": "mixup"}, "n": NORMALIZE}
    ((path, message),) = tried(recipe_of(spec, environment), environment)
    assert path == "loss"
    assert message.startswith("it does not take the soft labels [2, 10] that transforms which mix images give")


class Sharpness(torch.optim.SGD):
    """Needs the loss again in each step, as SAM does."""

    def step(self, closure):
        closure()


class Late(torch.optim.SGD):
    """Fails where it has a state to read."""

    def step(self, closure=None):
        if self.state["second"]:
            raise RuntimeError("no second step")
        self.state["second"] = True


class Unsaved(torch.optim.SGD):
    """Keeps what no checkpoint can hold."""

    def step(self, closure=None):
        self.state[self.param_groups[0]["params"][0]]["own"] = object()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Sharpness, "closure"),
        (Late, "no second step"),
        (Unsaved, "a checkpoint could not hold its state: a checkpoint cannot hold a object"),
    ],
)
def test_an_optimizer_makes_two_steps_and_its_state_can_be_saved(spec, environment, stand_in, optimizer, message):
    stand_in("optimizer", "sgd", lambda model, /, *, lr, **_: optimizer(model.parameters(), lr))
    ((path, found),) = tried(recipe_of(spec, environment), environment)
    assert (path, message in found) == ("optimizer", True)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), -0.5])
def test_a_schedule_is_looked_at_to_its_end(spec, environment, stand_in, factor):
    steps = 5 * 2
    stand_in("scheduler", "constant", lambda horizon, /, **_: lambda step: factor if step == steps - 1 else 1.0)
    ((path, message),) = tried(recipe_of(spec, environment), environment)
    assert path == "scheduler"
    assert message == f"gives the factor {factor:g} of the learning rate at step 9 of 10; expected ≥ 0"


def test_a_moving_average_is_made(spec, environment, monkeypatch):
    def refuses(model, decay):
        raise RuntimeError("cannot be copied")

    monkeypatch.setattr(preflight_parts, "average", refuses)
    assert tried(recipe_of(spec, environment, "base.ema=0.9"), environment) == [("ema", "RuntimeError: cannot be copied")]


@pytest.mark.parametrize(
    ("overrides", "images"),
    [
        ((), 40),
        (('base.eval_split="validation"',), 29),
        (('base.eval_split="validation"', 'base.select="accuracy"'), 40),
        (('base.split="by_seed"',), 40),
    ],
)
def test_a_margin_is_at_least_one_of_the_images_that_the_result_is_told_on(spec, environment, overrides, images):
    """An epoch that is selected on the validation images is told on the test images."""
    spec["base"]["dataset"] |= {"limit": 40} | ({"validation": 0.02} if "validation" in "".join(overrides) else {})
    recipe = recipe_of(spec, environment, *overrides)
    told = data.load(default(), recipe, 0, environment, CPU)
    assert len((told.test if recipe["select"] else told.evaluation).labels) == images
    too_small, enough = 0.99 / images, 1 / images

    def found(margin):
        compare = Compare("accuracy", "last", "base", margin=margin)
        return [(p.path, p.message) for p in preflight(default(), recipe, environment, CPU, compare)]

    assert found(enough) == []
    assert found(too_small) == [
        ("compare.margin", f"{too_small:g} is less than one of the {images} images that 'accuracy' is a part of")
    ]
