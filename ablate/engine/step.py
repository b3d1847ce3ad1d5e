"""One batch of a training: eager, or replayed as a CUDA graph where that gives the same answer."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ablate.errors import describe

from . import graphs
from .build import Parts
from .epochs import followed_by
from .steps import EAGER, autocast

EAGER_STEPS = 3  # before a graph is captured: lazy initialisations and the optimizer's state are done by then


class ReplayDiffers(Exception):
    """A graph stopped to do what the step does: what it trained since the last comparison may be wrong. The message says how."""


class Step:
    """Forward, backward, and the optimizer's step where the accumulation is full.

    Args:
        parts: What the recipe builds.
        recipe: `precision`, `grad_clip` and `accumulate` are used.
        device: Where the model is.
        loss: Running sum of the losses of the images, float64 scalar, added to in place.
        eager_because: Why no graph is to be tried, whatever the recipe; empty where it may be.

    Attributes:
        eager_because: Why steps are not replayed from a graph; empty while they are, or may be.
    """

    def __init__(self, parts: Parts, recipe: Mapping[str, Any], device: torch.device, loss: Tensor, eager_because: str = ""):
        self.parts, self.recipe, self.device, self.loss = parts, recipe, device, loss
        self.trainable = trainable(parts)
        self.rates = [group["lr"] for group in parts.optimizer.param_groups]
        self.eager_because = eager_because or self._why_eager()
        self.eager_steps = 0
        self.replay: graphs.Make | None = None
        self.shape: tuple[torch.Size, torch.Size] | None = None
        self.compared = False
        if not self.eager_because:
            _prepare_capture(parts.optimizer, device)

    def __call__(self, images: Tensor, targets: Tensor, members: int, update: bool) -> None:
        """Trains on a batch.

        Args:
            images: float32 `[N, C, H, W]`.
            targets: int64 `[N]`, or float32 `[N, classes]`.
            members: Batches whose gradients are averaged.
            update: Whether the optimizer makes its step now.

        Raises:
            ReplayDiffers: The first replay since `compare_again` does not do what the step does.
        """
        shape = images.shape, targets.shape
        if self.replay is None and not self.eager_because and self.eager_steps >= EAGER_STEPS:
            self._capture(images, targets)
        if self.replay is None or shape != self.shape:
            self._eager(images, targets, members, update)
            self.eager_steps += 1
        elif self.compared:
            self.replay(images, targets)
        else:
            how = graphs.compare(self.parts, self.loss, self.replay, self._full, (images, targets))
            if how:
                raise ReplayDiffers(how)
            self.compared = True

    def compare_again(self) -> None:
        """Has the next replay compared with an eager step: what the host decides may have changed since the last one."""
        self.compared = False

    def _why_eager(self) -> str:
        if self.parts.step:
            return EAGER
        return why_eager(self.recipe, self.device, self.parts.optimizer) or followed_by(self.parts)

    def set_rates(self, factor: float) -> None:
        """Sets the learning rate of every group to its first one times `factor`."""
        for group, rate in zip(self.parts.optimizer.param_groups, self.rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor

    def autocast(self) -> Any:
        return autocast(self.device, self.recipe["precision"])

    def _eager(self, images: Tensor, targets: Tensor, members: int, update: bool) -> None:
        self.backward(images, targets, members)
        if update:
            self.update()

    def backward(self, images: Tensor, targets: Tensor, share: float) -> None:
        """Adds the gradients of the mean loss of these images, divided by `share`, to those that are there."""
        with self.autocast():
            loss = self.parts.loss(self.parts.model(images), targets)
        (loss / share).backward()
        self.loss.add_(loss.detach().to(self.loss.dtype) * len(images))

    def update(self) -> None:
        """A step of the optimizer, after which there are no gradients."""
        if self.recipe["grad_clip"] is not None:
            nn.utils.clip_grad_norm_(self.trainable, self.recipe["grad_clip"])
        self.parts.optimizer.step()
        self.parts.optimizer.zero_grad(set_to_none=True)

    def _full(self, images: Tensor, targets: Tensor) -> None:
        """A step of a recipe that does not accumulate."""
        self._eager(images, targets, 1, True)

    def _capture(self, images: Tensor, targets: Tensor) -> None:
        """Captures the step where a graph does the same, which is found out on a copy of what is trained.

        Raises:
            OutOfMemoryError: There is no room for it now. There may be when no other cell has any.
        """
        batch = images, targets
        try:
            parts, loss = graphs.copy_of(self.parts), self.loss.clone()
            copy = Step(parts, self.recipe, self.device, loss, eager_because="it is tried")
            self.eager_because = graphs.refusal(parts, loss, copy._full, batch)
            if not self.eager_because:
                self.replay, self.shape, self.compared = graphs.captured(self._full, batch), (images.shape, targets.shape), True
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # components are anybody's code, and CUDA refuses to capture what waits for the device
            torch.cuda.synchronize(self.device)  # an error that leaves the device unusable is raised here again
            self.parts.optimizer.zero_grad(set_to_none=True)
            self.eager_because = f"the step cannot be captured as a CUDA graph: {describe(error)}"


def trainable(parts: Parts) -> list[nn.Parameter]:
    """The model's parameters that are trained, and after them those that a step of the recipe's own gave to the optimizer."""
    own = {id(parameter): parameter for parameter in parts.model.parameters() if parameter.requires_grad}
    if parts.step:
        own |= {id(parameter): parameter for group in parts.optimizer.param_groups for parameter in group["params"]}
    return list(own.values())


def why_eager(recipe: Mapping[str, Any], device: torch.device, optimizer: torch.optim.Optimizer) -> str:
    """Why a training cannot have a graph; empty where it may be tried."""
    if device.type != "cuda":
        return f"device {device.type} has no graphs"
    if recipe["accumulate"] != 1:
        return "gradients are accumulated"
    if not all(group.get("fused") or "capturable" in group for group in optimizer.param_groups):
        return f"{type(optimizer).__name__} reads its learning rate on the host, and a graph would keep the first one"
    return ""


def _prepare_capture(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """What torch's optimizers need in a graph: counters and the learning rate on the device."""
    for group in optimizer.param_groups:
        if "capturable" in group:
            group["capturable"] = True
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float32, device=device)
