"""What a step has to keep. It is called by the engine's own code, on a small network."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ablate.contracts import DataInfo, Horizon
from ablate.engine import checkpoint
from ablate.engine.build import Parts
from ablate.engine.own_step import OwnStep
from ablate.engine.preflight_step import BATCHES
from ablate.engine.seeding import generator, global_rng
from ablate.engine.step import trainable
from ablate.engine.steps import Batch, Training
from ablate.registry import build, default

from .component import ComponentContract
from .optimizers import equal, network
from .randomness import global_generators

IMAGES, BATCH, CLASSES = 64, 16, 4
INFO = DataInfo(1, 6, 6, CLASSES)
EPOCHS = 6


class StepContract(ComponentContract):
    """From a `Training` to a function of a `Batch` that trains on it and gives its loss.

    Attributes:
        model: What a spec would say of a model that the step needs; a small network unless given.
        epochs: Epochs of four batches in which the loss of the network has to fall, with the parameters of `component`.
    """

    kind: ClassVar[str] = "step"
    model: Mapping[str, Any] | None = None
    epochs: int = 5

    def engine_arguments(self) -> tuple[Any, ...]:
        return (self._given(torch.device("cpu")),)

    def built(self, resolved: dict[str, Any], *engine_arguments: Any) -> Any:
        given = {"model": (INFO,), "metric": (CLASSES,), "scheduler": (Horizon(EPOCHS, IMAGES // BATCH),)}
        return build(default(), self.kind, resolved, *engine_arguments, nested=given)

    def _given(self, device: torch.device) -> Training:
        with global_rng(0, "contract"):
            model: nn.Module = network() if self.model is None else build(default(), "model", self.model, INFO)
        model.to(device)
        optimizer = torch.optim.SGD(model.parameters(), 0.05, 0.9)
        horizon = Horizon(EPOCHS, IMAGES // BATCH)
        return Training(model, optimizer, nn.functional.cross_entropy, horizon, IMAGES, CLASSES, device, "float32")

    def training(self, device: torch.device) -> "StepTraining":
        """A small network at its beginning, and the step that trains it."""
        given = self._given(device)
        with global_rng(0, "contract"):
            made = self.make(given)
        return StepTraining(given, made.to(device) if isinstance(made, nn.Module) else made)

    def test_it_gives_the_loss_of_the_batch(self, device: torch.device) -> None:
        training = self.training(device)
        batch = training.batch(0)
        before = batch.images.clone(), batch.labels.clone(), batch.indices.clone()
        loss = training.call(batch)
        assert isinstance(loss, Tensor), f"it gives a {type(loss).__name__}: return the loss, a tensor with one number."
        assert loss.numel() == 1, f"it gives {list(loss.shape)}: return one number, the mean over the images."
        assert torch.isfinite(loss).all(), "the loss is not finite."
        same = all(torch.equal(a, b) for a, b in zip((batch.images, batch.labels, batch.indices), before, strict=True))
        assert same, "it changes the batch, which is a part of the images of others: work on a copy."

    def test_it_makes_steps_of_the_optimizer(self) -> None:
        training = self.training(torch.device("cpu"))
        before = training.weights()
        for number in range(BATCHES):
            training.run(1, first=number)
        assert training.own.updates, (
            f"in {BATCHES} batches it made no step of `training.optimizer`, which `grad_clip`, `ema` and schedules follow: call "
            "`training.update()`."
        )
        assert not equal(before, training.weights()), "the weights are what they were: compute gradients before the update."

    def test_the_loss_falls(self, device: torch.device) -> None:
        training = self.training(device)
        before = training.loss()
        training.run(self.epochs * IMAGES // BATCH)
        after = training.loss()
        assert after < before, (
            f"the loss of a small network went from {before:.4g} to {after:.4g} in {self.epochs} epochs: check the sign of what "
            "is added, and that gradients are 0 before each backward; or try it with more `epochs`."
        )

    def test_equal_starts_give_equal_ends(self) -> None:
        ends = []
        for other in range(2):
            with global_generators(other, torch_too=False):
                ends.append(self.training(torch.device("cpu")).run(6))
        assert equal(*ends), (
            "two equal trainings end differently: draw from `batch.generator` or with torch's functions, and share nothing."
        )

    def test_it_goes_on_from_a_checkpoint_bit_for_bit(self, device: torch.device, tmp_path: Path) -> None:
        for place in (1, 2, 3, 5):
            training = self.training(device)
            training.run(place)
            checkpoint.save(tmp_path / "state", "key", training.state())
            straight = training.run(8 - place, first=place)
            other = self.training(device)
            state = checkpoint.load(tmp_path / "state", "key", device)
            assert state is not None
            other.restore(state)
            assert equal(straight, other.run(8 - place, first=place)), (
                f"a training that goes on after {place} batches differs from one that was not interrupted: keep what the next "
                "batches depend on in `state_dict()`, and take it back in `load_state_dict`."
            )

    def test_it_stops_by_the_records_alone(self) -> None:
        step = self.training(torch.device("cpu")).own.step
        says = bool(self.loaded().says("stops", self.resolve()[0]))
        assert says == hasattr(step, "stop"), (
            "its factory says `stops = True`, and it has no `stop(records)`: write it."
            if says
            else "it has `stop`, and its factory does not say `stops = True`: say so, because plans have to know it."
        )
        if not says:
            return
        records = [{"epoch": n + 1, "train_loss": 1.0, "lr": 0.1, "accuracy": 0.5, "loss": 1.0} for n in range(EPOCHS)]
        asked = [bool(step.stop(records[: n + 1])) for n in range(EPOCHS)]
        again = [bool(step.stop(records[: n + 1])) for n in reversed(range(EPOCHS))][::-1]
        assert asked == again, "whether it stops depends on what it was asked before: compute it from the records."


class StepTraining:
    """A network and the calls of a step on batches of random images, as the engine makes them."""

    def __init__(self, given: Training, step: Any):
        self.given, self.device = given, given.device
        draws = torch.Generator().manual_seed(1)
        self.images = torch.randn(IMAGES, 1, 6, 6, generator=draws).to(self.device)
        self.labels = (self.images.flatten(1)[:, :CLASSES]).argmax(1)
        parts = Parts(given.model, given.optimizer, lambda step: 1.0, given.loss, {}, given.horizon, step)
        self.trainable = trainable(parts)
        self.total = torch.zeros((), dtype=torch.float64, device=self.device)
        self.own = OwnStep(parts, self.trainable, {"grad_clip": None}, self.total)
        given.model.train()

    def batch(self, number: int) -> Batch:
        """Batch `number` of the training, whatever its epoch."""
        epoch, place = divmod(number, IMAGES // BATCH)
        which = torch.arange(place * BATCH, (place + 1) * BATCH, device=self.device)
        images, labels = self.images[which], self.labels[which]

        def view(view: int) -> tuple[Tensor, Tensor]:
            noise = torch.randn(images.shape, generator=generator(view, "view", epoch, place))
            return images + 0.1 * noise.to(self.device), labels

        return Batch(images, labels, which, epoch, place, generator(0, "step/draws", epoch, place), view)

    def call(self, batch: Batch) -> Any:
        """The step itself, without what the engine does with its loss."""
        with global_rng(0, "step", batch.epoch, batch.number):
            return self.own.step(batch)

    def run(self, batches: int, first: int = 0) -> list[Tensor]:
        """Trains on some batches, and returns copies of the weights after them."""
        for number in range(first, first + batches):
            batch = self.batch(number)
            with global_rng(0, "step", batch.epoch, batch.number):
                self.own(batch)
        return self.weights()

    def weights(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self.trainable]

    def state(self) -> dict[str, Any]:
        """What the engine saves of a training."""
        return {
            "model": self.given.model.state_dict(),
            "optimizer": self.given.optimizer.state_dict(),
            "gradients": [parameter.grad for parameter in self.trainable],
            "step": self.own.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.given.model.load_state_dict(state["model"])
        self.given.optimizer.load_state_dict(state["optimizer"])
        self.own.restore(state["step"])
        for parameter, gradient in zip(self.trainable, state["gradients"], strict=True):
            parameter.grad = gradient

    @torch.no_grad()
    def loss(self) -> float:
        """Of all images, as the network is evaluated."""
        self.given.model.eval()
        loss = self.given.loss(self.given.model(self.images), self.labels).item()
        self.given.model.train()
        return loss
