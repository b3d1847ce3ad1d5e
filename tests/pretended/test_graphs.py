"""Which graphs of a step are refused, and that trying one leaves the training as it was."""

import random

import pytest
import torch
from torch import nn

from ablate.components import optimizers
from ablate.contracts import Horizon
from ablate.engine.build import Parts
from ablate.engine.seeding import derive, seed_global
from ablate.engine.step import ReplayDiffers, Step
from ablate.engine.turns import on_gpu

from .machine import GPU
from .trainings import GPU_0, count_replays

RECIPE = {"precision": "float32", "grad_clip": None, "accumulate": 1}
cross_entropy = nn.functional.cross_entropy


class Training:
    """Steps of a small network in turns of its own, each with the draws that belong to its place, as the engine has them."""

    def __init__(self, layer=None, loss=cross_entropy, graphs=True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), *([layer] if layer else []), nn.ReLU(), nn.Linear(8, 2)).to(GPU_0)
        parts = Parts(model, optimizers.adam(model, lr=0.1), lambda step: 1.0, loss, {}, Horizon(1, 1))
        self.total = torch.zeros((), dtype=torch.float64, device=GPU_0)
        self.turn, self.model = on_gpu("float32", GPU_0), model
        self.step = Step(parts, RECIPE, GPU_0, self.total, "" if graphs else "it is not to have any")

    def run(self, first, last):
        """Steps of these numbers, and what the model and the host's generators are after them."""
        for number in range(first, last):
            images = torch.randn(4, 3, generator=torch.Generator().manual_seed(number)).to(GPU_0)
            with self.turn():
                seed_global(derive(0, "step", 0, number))
                self.step(images, torch.arange(4, device=GPU_0) % 2, 1, True)
        with self.turn():
            return [value.cpu() for value in (*self.model.state_dict().values(), self.total)]


class Assigned(nn.Module):
    """Statistics that are assigned anew in each step, as many losses and layers have them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, images):
        self.mean = 0.9 * self.mean + 0.1 * images.detach().mean(0)
        return images - self.mean


class Annealed(nn.Module):
    """A factor that the host counts down."""

    def __init__(self):
        super().__init__()
        self.factor = 1.0

    def forward(self, images):
        self.factor *= 0.8
        return images * self.factor


class Dropped(nn.Module):
    """A layer that the host draws whether to leave out."""

    def forward(self, images):
        return images * 2 if random.random() < 0.5 else images


class DroppedByTorch(nn.Module):
    """The same, drawn from torch's generator of the CPU."""

    def forward(self, images):
        return images * 2 if torch.rand(()) < 0.5 else images


class Asking(nn.Module):
    """What no graph can have: it asks the device for a number; and what a capture would leave behind if it were not of a copy."""

    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, images):
        self.steps.add_(1)
        torch.rand(()), random.random()
        return images * (0.5 if images.sum().item() > 0 else 2.0)


class Sudden(nn.Module):
    """A factor that changes where no tensor and no number of the module does."""

    def __init__(self):
        super().__init__()
        self.settings = iter([])  # nothing that is looked into
        self.factors = {frozenset(): 1.0}

    def forward(self, images):
        return images * max(self.factors.values())


def annealed_loss():
    factor = 1.0

    def loss(logits, targets):
        nonlocal factor
        factor *= 0.5
        return factor * cross_entropy(logits, targets)

    return loss


WRONG = {
    "assigned": (Assigned, "model.1._buffers.mean is another one after each step"),
    "annealed": (Annealed, "model.1.factor is another one after each step"),
    "dropped": (Dropped, "draws random numbers on the host"),
    "dropped by torch": (DroppedByTorch, "draws random numbers on the host"),
    "asking": (Asking, "draws random numbers on the host"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_step_that_a_graph_would_not_do_is_eager_and_as_if_none_had_been_tried(name, monkeypatch):
    layer, why = WRONG[name]
    random.seed(0)
    expected = Training(layer(), graphs=False).run(0, 8)
    replays = count_replays(monkeypatch)
    random.seed(0)
    training = Training(layer())
    got = training.run(0, 8)
    assert why in training.step.eager_because
    assert not replays
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


def test_a_factor_of_the_loss_that_the_host_changes_is_seen_in_its_closure():
    training = Training(loss=annealed_loss())
    training.run(0, 5)
    assert training.step.eager_because == "loss.factor is another one after each step, and a graph would keep the first one"


class AskingOnly(nn.Module):
    def forward(self, images):
        return images * (0.5 if images.sum().item() > 0 else 2.0)


def test_a_capture_that_fails_leaves_the_training_as_it_was():
    expected = Training(AskingOnly(), graphs=False).run(0, 8)
    training = Training(AskingOnly())
    got = training.run(0, 8)
    assert "cannot be captured as a CUDA graph" in training.step.eager_because
    assert "capturing" in training.step.eager_because
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


def test_a_step_that_a_graph_does_is_replayed_to_the_same_bits(monkeypatch):
    expected = Training(nn.Dropout(0.5), graphs=False).run(0, 8)
    replays = count_replays(monkeypatch)
    training = Training(nn.Dropout(0.5))
    got = training.run(0, 8)
    assert training.step.eager_because == ""
    assert len(replays) == 6, "one is tried, and five of eight steps are replayed"
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
    assert not GPU.races


def test_what_the_host_decides_anew_is_found_at_the_next_comparison():
    """Nothing that is looked into says that the factor is another one; so a replay of each epoch is compared with a step."""
    training = Training(layer := Sudden())
    training.run(0, 6)
    layer.factors[frozenset("later")] = 3.0
    training.run(6, 7)  # the graph has the old factor
    training.step.compare_again()
    with pytest.raises(ReplayDiffers, match="differs from an eager one by"):
        training.run(7, 8)


def fails_in_capture(operation):
    if GPU.recording is not None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_want_of_memory_in_a_capture_is_told_and_no_reason_to_be_eager():
    """There may be room when the other cells of the process are done: so the cell runs again, alone."""
    training = Training()
    training.run(0, 3)
    GPU.before = fails_in_capture
    with pytest.raises(torch.OutOfMemoryError):
        training.run(3, 4)


def noisy(scale):
    """Gradients as a GPU has them whose sums come in any order: another one each time."""
    draws = torch.Generator().manual_seed(0)

    class Noisy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, images):
            return images.clone()

        @staticmethod
        def backward(ctx, gradient):
            factors = 1 + scale * torch.rand(gradient.shape, generator=draws)
            return gradient * factors.to(gradient.device) if GPU.recording is None else gradient * 1.0

    return Noisy.apply


class Noise(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.apply_noise = noisy(scale)

    def forward(self, images):
        return self.apply_noise(images)


def test_a_graph_that_differs_as_two_eager_steps_do_is_right(monkeypatch):
    """Sums of bfloat16 in another order differ by more than a thousandth of what a step changes."""
    training = Training(Noise(0.1))
    training.run(0, 5)
    assert training.step.eager_because == ""
    monkeypatch.setattr("ablate.engine.graphs.NOISE", 0)
    training = Training(Noise(0.1))
    training.run(0, 5)
    assert "differs from an eager one" in training.step.eager_because
