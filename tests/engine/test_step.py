"""What of a step can be seen without a GPU: its eager form, rates as tensors, and the comparison that guards a graph."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn, tensor

from ablate.components import optimizers
from ablate.contracts import Horizon
from ablate.engine.build import Parts
from ablate.engine.graphs import changes, copy_of, largest_gap, noted, refusal
from ablate.engine.step import Step, why_eager
from ablate.engine.turns import arithmetic

RECIPE = {"precision": "float32", "grad_clip": 1.0, "accumulate": 1}


def step_of(optimizer="adam", recipe=RECIPE):
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    made = getattr(optimizers, optimizer)(model, lr=0.1)
    parts = Parts(model, made, lambda step: 1.0, nn.functional.cross_entropy, {}, Horizon(1, 1))
    return Step(parts, recipe, torch.device("cpu"), torch.zeros((), dtype=torch.float64))


def with_rates_as_tensors(step):
    """As a step that may be captured has them."""
    for group in step.parts.optimizer.param_groups:
        group["lr"] = tensor(group["lr"])
    return step


def train(step, batches=5):
    for batch in range(batches):
        step.set_rates(1 / (batch + 1))
        images = torch.randn(4, 3, generator=torch.Generator().manual_seed(batch))
        step(images, torch.arange(4) % 2, 1, True)
    return next(step.parts.model.parameters()).detach().clone()


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
    number, other = step_of(optimizer), with_rates_as_tensors(step_of(optimizer))
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
    return [*(place.fp32_precision for place in places), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark]


@pytest.mark.parametrize(("precision", "meaning"), [("float32", "ieee"), ("bfloat16", "ieee"), ("tf32", "tf32")])
def test_what_float32_means_on_a_gpu_is_what_the_recipe_says_and_is_put_back(precision, meaning):
    before = settings()
    with pytest.raises(KeyError), arithmetic(precision):
        assert settings() == [meaning] * 3 + [True, False]
        raise KeyError
    assert settings() == before


class Assigned(nn.Module):
    """Statistics that are assigned anew, a factor that anneals on the host, and one that does neither."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("total", torch.zeros(3))
        self.factor = 1.0

    def forward(self, images):
        self.mean = 0.9 * self.mean + 0.1 * images.detach().mean(0)
        self.total.add_(images.detach().mean(0))
        self.factor *= 0.9
        return images * self.factor - self.mean


def annealed():
    factor = 1.0

    def loss(logits, targets):
        nonlocal factor
        factor *= 0.5
        return factor * nn.functional.cross_entropy(logits, targets)

    return loss


def test_what_a_graph_would_not_see_is_noted():
    """Each of these changes from step to step, and the first step alone looks the same from a graph."""
    torch.manual_seed(0)
    model = nn.Sequential(Assigned(), nn.Linear(3, 2))
    parts = Parts(model, optimizers.adam(model, lr=0.1), lambda step: 1.0, annealed(), {}, Horizon(1, 1))
    step = with_rates_as_tensors(Step(parts, RECIPE, torch.device("cpu"), torch.zeros((), dtype=torch.float64)))
    train(step, 3)
    before = noted(parts)
    train(step, 1)
    assert sorted(changes(before, noted(parts))) == ["loss.factor", "model.0._buffers.mean", "model.0.factor"]


def test_a_plain_step_changes_nothing_that_a_graph_would_not_see():
    step = with_rates_as_tensors(step_of())
    train(step, 3)
    before = noted(step.parts)
    train(step, 1)
    assert list(changes(before, noted(step.parts))) == []


def test_a_copy_trains_its_own_weights_alone_and_to_the_same_bits():
    step = step_of()
    train(step, 3)
    step.set_rates(1)
    parts = copy_of(step.parts)
    weights = step.parts.model.weight.detach().clone()
    copy = Step(parts, RECIPE, torch.device("cpu"), torch.zeros((), dtype=torch.float64))
    copied = train(copy)
    assert torch.equal(step.parts.model.weight, weights)
    assert torch.equal(copied, train(step))


def test_a_trial_that_fails_leaves_the_hosts_generators_as_they_were(monkeypatch):
    """Else a training whose step cannot be captured would go on with other random numbers."""
    before = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()

    def fails(images, targets):
        random.random(), np.random.rand(), torch.rand(1)
        raise RuntimeError

    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.get_rng_state())
    with pytest.raises(RuntimeError):
        refusal(step_of().parts, torch.zeros(()), fails, (torch.zeros(4, 3), torch.arange(4) % 2))
    after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
