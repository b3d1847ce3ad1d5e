"""What of a step can be seen without a GPU: its eager form, rates as tensors, and the comparison that guards a graph."""

import math

import pytest
import torch
from torch import nn, tensor

from ablate.components import optimizers
from ablate.engine.build import Parts
from ablate.engine.step import Step, floats, largest_gap, why_eager
from ablate.records import Horizon

RECIPE = {"precision": "float32", "grad_clip": 1.0, "accumulate": 1}


def step_of(optimizer="adam", recipe=RECIPE):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    made = getattr(optimizers, optimizer)(model, lr=0.1)
    parts = Parts(model, made, lambda step: 1.0, nn.functional.cross_entropy, {}, Horizon(1, 1))
    return Step(parts, recipe, torch.device("cpu"), torch.zeros((), dtype=torch.float64))


def train(step, batches=5):
    for batch in range(batches):
        step.set_rates(1 / (batch + 1))
        images = torch.randn(4, 3, generator=torch.Generator().manual_seed(batch))
        step(images, torch.arange(4) % 2, 1, True)
    return step.parts.model.weight.detach().clone()


def test_without_a_gpu_steps_are_eager_and_say_why():
    step = step_of()
    train(step)
    assert step.replay is None
    assert step.eager_because == "device cpu has no graphs"
    assert step.loss > 0


def test_only_optimizers_that_read_their_rate_on_the_device_may_have_a_graph():
    """With any other, a schedule would do nothing, and the comparison of one step could not see it."""
    gpu = torch.device("cuda")
    for name in ("sgd", "adam", "adamw", "rmsprop", "nadam", "radam"):
        assert why_eager(RECIPE, gpu, step_of(name).parts.optimizer) == ""
    assert "Adagrad reads its learning rate on the host" in why_eager(RECIPE, gpu, step_of("adagrad").parts.optimizer)
    assert why_eager(RECIPE | {"accumulate": 2}, gpu, step_of("sgd").parts.optimizer) == "gradients are accumulated"


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_rate_that_is_a_tensor_trains_as_a_number_does(optimizer):
    """A graph reads the learning rate from the device; torch's fused kernels take it so on every device."""
    number, other = step_of(optimizer), step_of(optimizer)
    for group in other.parts.optimizer.param_groups:
        group["lr"] = tensor(group["lr"])
    torch.testing.assert_close(train(number), train(other), rtol=1e-6, atol=1e-7)
    assert isinstance(other.parts.optimizer.param_groups[0]["lr"], torch.Tensor)
    assert float(other.parts.optimizer.param_groups[0]["lr"]) == pytest.approx(0.1 / 5)


def test_the_gap_is_relative_to_what_the_step_changed():
    before, first = [tensor([1.0, 2.0]), tensor(3)], [tensor([1.0, 2.5]), tensor(4)]
    assert largest_gap(before, first, first) == 0
    assert largest_gap(before, first, [tensor([1.0, 2.4]), tensor(4)]) == pytest.approx(0.2, rel=1e-6)
    assert largest_gap(before, first, [tensor([1.0, 2.5]), tensor(5)]) == 1
    assert math.isinf(largest_gap(before, first, [tensor([1.0, math.nan]), tensor(4)]))
    assert math.isinf(largest_gap(before, [tensor([1.0, math.nan]), tensor(4)], first))
    assert largest_gap(before, before, [tensor([1.0, 2.1]), tensor(3)]) > 1, "a change where there is to be none"


def settings():
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    return [place.fp32_precision for place in places]


@pytest.mark.parametrize(("precision", "meaning"), [("float32", "ieee"), ("bfloat16", "ieee"), ("tf32", "tf32")])
def test_what_float32_means_on_a_gpu_is_what_the_recipe_says_and_is_put_back(precision, meaning):
    before = settings()
    with pytest.raises(KeyError), floats(precision, torch.device("cuda")):
        assert settings() == [meaning] * 3
        raise KeyError
    assert settings() == before


def test_on_a_cpu_it_is_left_alone():
    before = settings()
    with floats("float32", torch.device("cpu")):
        assert settings() == before
