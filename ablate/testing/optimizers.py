"""What an optimizer has to keep. Steps are taken by the engine's own code, on a GPU as it does there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ablate.contracts import Horizon
from ablate.engine import checkpoint
from ablate.engine.build import Parts
from ablate.engine.seeding import global_rng
from ablate.engine.step import Step

from .component import ComponentContract
from .randomness import global_generators

RECIPE = {"precision": "float32", "grad_clip": None, "accumulate": 1}


class OptimizerContract(ComponentContract):
    """A `torch.optim.Optimizer` over the trainable parameters of a model.

    Attributes:
        steps: Steps in which the loss of a small network has to fall, with the parameters of `component`.
    """

    kind: ClassVar[str] = "optimizer"
    steps: int = 50

    def engine_arguments(self) -> tuple[Any, ...]:
        return (network(),)

    def training(self, device: torch.device, frozen: int = 0) -> "Training":
        """A small network with its first `frozen` parameters frozen, and the optimizer over it."""
        model = network().to(device).to(memory_format=torch.channels_last)
        for parameter in list(model.parameters())[:frozen]:
            parameter.requires_grad_(False)
        return Training(model, self.make(model), device)

    def test_it_has_every_trainable_parameter_once(self) -> None:
        training = self.training(torch.device("cpu"), frozen=1)
        assert isinstance(training.optimizer, torch.optim.Optimizer), "return a torch.optim.Optimizer."
        names = {id(parameter): name for name, parameter in training.model.named_parameters()}
        held = [id(parameter) for group in training.optimizer.param_groups for parameter in group["params"]]
        assert len(held) == len(set(held)), "a parameter is in two groups: give each to one."
        lost = [names[id(p)] for p in training.model.parameters() if p.requires_grad and id(p) not in held]
        assert not lost, f"{', '.join(lost)} of a small network are in no group: optimize all parameters that require a gradient."
        strange = [place for place in held if place not in names]
        assert not strange, "a group has a parameter that is not the model's: optimize the model's own parameters."

    def test_the_loss_falls(self, device: torch.device) -> None:
        training = self.training(device)
        before = training.loss()
        training.run(self.steps)
        after = training.loss()
        assert after < before, (
            f"the loss of a small network went from {before:.4g} to {after:.4g} in {self.steps} steps: check the sign and the "
            "size of the update, or try it with another learning rate or more `steps`."
        )

    def test_frozen_parameters_stay(self) -> None:
        training = self.training(torch.device("cpu"), frozen=2)
        before = [parameter.detach().clone() for parameter in training.model.parameters()]
        training.run(3)
        after = list(training.model.parameters())
        kept = all(torch.equal(one, other) for one, other in zip(before[:2], after[:2], strict=True))
        assert kept, "a frozen parameter changes: leave out what has no gradient, weight decay included."
        assert not torch.equal(before[2], after[2]), "no parameter changes in three steps."

    def test_equal_starts_give_equal_ends(self) -> None:
        ends = []
        for other in range(2):
            with global_generators(other, torch_too=False):
                ends.append(self.training(torch.device("cpu")).run(5))
        assert equal(*ends), (
            "two equal trainings end differently: draw with torch's functions alone, and share nothing between two."
        )

    def test_it_goes_on_from_a_checkpoint_bit_for_bit(self, device: torch.device, tmp_path: Path) -> None:
        training = self.training(device)
        training.run(3)
        state = {"model": training.model.state_dict(), "optimizer": training.optimizer.state_dict()}
        checkpoint.save(tmp_path / "state", "key", state)
        loaded = checkpoint.load(tmp_path / "state", "key", device)
        assert loaded is not None
        other = self.training(device)
        other.model.load_state_dict(loaded["model"])
        other.optimizer.load_state_dict(loaded["optimizer"])
        straight, resumed = training.run(3, first=3), other.run(3, first=3)
        same = equal if device.type == "cpu" else _close  # on a GPU one of the two may replay a step that the other takes
        assert same(straight, resumed), (
            "a training that goes on from a checkpoint differs from one that was not interrupted: keep what the update depends "
            "on in `self.state[parameter]` or in the groups, so that `state_dict` has it."
        )

    def test_the_learning_rate_is_read_from_its_groups_at_every_step(self, device: torch.device) -> None:
        changes = []
        for factor in (1.0, 0.01):
            training = self.training(device)
            before = training.run(2)
            after = training.run(1, first=2, factor=factor)
            changes.append(sum((one - other).abs().sum().item() for one, other in zip(before, after, strict=True)))
        assert 0 < changes[1] < 0.5 * changes[0], (
            f"with a hundredth of the learning rate, a step changes the weights by {changes[1]:.3g} in place of {changes[0]:.3g}"
            ': use `group["lr"]` in every step, since schedules change it there.'
        )


class Training:
    """A network, its optimizer, and the engine's step on one batch of random images."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device):
        self.model, self.optimizer, self.device = model, optimizer, device
        draws = torch.Generator().manual_seed(1)
        self.images = torch.randn(16, 1, 6, 6, generator=draws).to(device)
        self.labels = torch.randint(4, (16,), generator=draws).to(device)
        cross_entropy = nn.functional.cross_entropy
        parts = Parts(model, optimizer, lambda step: 1.0, cross_entropy, {}, Horizon(1, 1))
        self.step = Step(parts, RECIPE, device, torch.zeros((), dtype=torch.float64, device=device))

    def run(self, steps: int, first: int = 0, factor: float = 1.0) -> list[Tensor]:
        """Takes steps, and returns copies of the weights after them.

        Args:
            steps: How many.
            first: Number of the first, which names what it draws.
            factor: Of the learning rate.
        """
        with _own_stream(self.device):
            for number in range(first, first + steps):
                self.step.set_rates(factor)
                with global_rng(0, "step", 0, number):
                    self.step(self.images, self.labels, 1, True)
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    def loss(self) -> float:
        with torch.no_grad():
            return nn.functional.cross_entropy(self.model(self.images), self.labels).item()


def network() -> nn.Module:
    """A network with parameters of one, two and four dimensions, always the same."""
    with global_rng(0, "contract"):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 4)
        )


@contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """A stream of its own on a GPU, where steps can be captured as graphs."""
    if device.type != "cuda":
        yield
        return
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    stream.synchronize()


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two lists of tensors are the same, bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _close(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in zip(one, other, strict=True))
