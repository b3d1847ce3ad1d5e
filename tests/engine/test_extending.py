"""What keeps a longer training from going on where a shorter one ended."""

import pytest
import torch

from ablate.engine.extending import problems
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load

GROWING = {"growing": {"use": "growing"}, "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}


def told(spec, environment, before=2, **recipe):
    spec["base"] |= {"epochs": 6, **recipe}
    plan = make_plan(load({key: value for key, value in spec.items() if key != "factors"}), default())
    cell = make_cells(plan, default(), environment, "cpu")[0].cell
    return [(problem.path, problem.message) for problem in problems(default(), cell, environment, torch.device("cpu"), before)]


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"scheduler": {"use": "step", "step_size": 2, "gamma": 0.5}},
        {"scheduler": {"use": "constant", "warmup_epochs": 1}},
        {"eval_every": 2},
        {"ema": 0.9, "accumulate": 3},
    ],
    ids=str,
)
def test_what_does_not_know_the_length_can_go_on(spec, environment, recipe):
    assert told(spec, environment, **recipe) == []


def test_a_schedule_is_looked_at_up_to_where_the_shorter_one_ends(spec, environment):
    path, message = told(spec, environment, scheduler={"use": "cosine"})[0]
    assert (path, message) == ("scheduler", "of 6 epochs its rates in epoch 2 differ from those of 2")
    assert told(spec, environment, scheduler={"use": "cosine", "warmup_epochs": 1}) == [], "both are at their start there"


def test_an_epoch_that_is_not_evaluated_on_the_way_has_other_records(spec, environment):
    assert told(spec, environment, eval_every=4) == [("eval_every", "epoch 2 is evaluated as the last of 2, and not as one of 6")]


@pytest.mark.parametrize(
    ("recipe", "field", "why"),
    [
        ({"sampler": {"use": "every_other"}}, "sampler", "is given the length of the training"),
        ({"step": {"use": "plain"}}, "step", "is given the length of the training"),
        ({"train_transforms": GROWING}, "train_transforms.growing", "it is told the epoch"),
        ({"model": {"use": "deep"}}, "model", "it is told the epoch"),
        ({"optimizer": {"use": "halving"}}, "optimizer", "it is told the epoch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_told_the_length_is_named(spec, environment, own, recipe, field, why):
    ((path, message),) = told(spec, environment, **recipe)
    assert path == field
    assert why in message
