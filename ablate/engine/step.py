"""One batch of a training: eager, or replayed as a CUDA graph where that gives the same answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ablate.errors import describe

from .build import Parts

EAGER_STEPS = 3  # before a graph is captured: lazy initialisations and the optimizer's state are done by then
TOLERANCE = 1e-3  # largest difference of a replayed step from an eager one, relative to the largest change of the tensor


@contextmanager
def floats(precision: str, device: torch.device) -> Iterator[None]:
    """What float32 means inside, on a GPU: float32 in products and convolutions, or TensorFloat-32 where the recipe names it.

    torch's own default is TensorFloat-32 in convolutions and not in products. It is a setting of the process, so it is put back.
    """
    if device.type != "cuda":
        yield
        return
    backends: Any = torch.backends
    places = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value


class Step:
    """Forward, backward, and the optimizer's step where the accumulation is full.

    Args:
        parts: What the recipe builds.
        recipe: `precision`, `grad_clip` and `accumulate` are used.
        device: Where the model is.
        loss: Running sum of the losses of the images, float64 scalar, added to in place.

    Attributes:
        eager_because: Why steps are not replayed from a graph; empty while they are, or may be.
    """

    def __init__(self, parts: Parts, recipe: Mapping[str, Any], device: torch.device, loss: Tensor):
        self.parts, self.device, self.loss = parts, device, loss
        self.precision, self.grad_clip = recipe["precision"], recipe["grad_clip"]
        self.trainable = [parameter for parameter in parts.model.parameters() if parameter.requires_grad]
        self.rates = [group["lr"] for group in parts.optimizer.param_groups]
        self.eager_because = why_eager(recipe, device, parts.optimizer)
        self.eager_steps = 0
        self.replay: Callable[[Tensor, Tensor], None] | None = None
        self.shape: tuple[torch.Size, torch.Size] | None = None
        if not self.eager_because:
            _prepare_capture(parts.optimizer, device)

    def __call__(self, images: Tensor, targets: Tensor, members: int, update: bool) -> None:
        """Trains on a batch.

        Args:
            images: float32 `[N, C, H, W]`.
            targets: int64 `[N]`, or float32 `[N, classes]`.
            members: Batches whose gradients are averaged.
            update: Whether the optimizer makes its step now.
        """
        shape = images.shape, targets.shape
        if self.replay is not None and shape == self.shape:
            self.replay(images, targets)
            return
        if not self.eager_because and self.replay is None and self.eager_steps >= EAGER_STEPS:
            self._capture(images, targets)
        self._eager(images, targets, members, update)
        self.eager_steps += 1

    def set_rates(self, factor: float) -> None:
        """Sets the learning rate of every group to its first one times `factor`."""
        for group, rate in zip(self.parts.optimizer.param_groups, self.rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * factor)
            else:
                group["lr"] = rate * factor

    def autocast(self) -> Any:
        if self.precision != "bfloat16":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def _eager(self, images: Tensor, targets: Tensor, members: int, update: bool) -> None:
        with self.autocast():
            loss = self.parts.loss(self.parts.model(images), targets)
        (loss / members).backward()
        self.loss.add_(loss.detach().double() * len(images))
        if update:
            if self.grad_clip is not None:
                nn.utils.clip_grad_norm_(self.trainable, self.grad_clip)
            self.parts.optimizer.step()
            self.parts.optimizer.zero_grad(set_to_none=True)

    def _capture(self, images: Tensor, targets: Tensor) -> None:
        """Captures a step and compares a replay of it with the eager one; the state is as before afterwards."""
        state = list(_tensors([self.parts.model.state_dict(), self.parts.optimizer.state_dict(), self.loss]))
        rng = torch.cuda.get_rng_state(self.device)
        before = [tensor.clone() for tensor in state]

        def outcome(step: Callable[[Tensor, Tensor], None]) -> list[Tensor]:
            torch.cuda.set_rng_state(rng, self.device)
            step(images, targets)
            after = [tensor.clone() for tensor in state]
            for tensor, old in zip(state, before, strict=True):
                tensor.copy_(old)
            return after

        try:
            replay = _graph(lambda i, t: self._eager(i, t, 1, True), images, targets)
            replayed, eager = outcome(replay), outcome(lambda i, t: self._eager(i, t, 1, True))
        except RuntimeError as error:  # an operation that cannot be captured; CUDA's errors are RuntimeErrors
            self.eager_because = f"the step cannot be captured as a CUDA graph: {describe(error)}"
        else:
            gap = largest_gap(before, eager, replayed)
            if gap <= TOLERANCE:
                self.replay, self.shape = replay, (images.shape, targets.shape)
            else:
                self.eager_because = f"a replayed step differs from an eager one by {gap:.2g} of its change"
        finally:
            self.parts.optimizer.zero_grad(set_to_none=True)
            for tensor, old in zip(state, before, strict=True):
                tensor.copy_(old)
            torch.cuda.set_rng_state(rng, self.device)


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


def _graph(step: Callable[[Tensor, Tensor], None], images: Tensor, targets: Tensor) -> Callable[[Tensor, Tensor], None]:
    """The step as a CUDA graph over copies of its arguments."""
    own_images, own_targets = images.clone(), targets.clone()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        step(own_images, own_targets)

    def replay(images: Tensor, targets: Tensor) -> None:
        own_images.copy_(images)
        own_targets.copy_(targets)
        graph.replay()

    return replay


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def largest_gap(before: Sequence[Tensor], first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """The largest difference between two outcomes of a step, tensor by tensor relative to the largest change of the first.

    Infinite where only one of the two is finite.
    """
    gaps = [0.0]
    for old, one, other in zip(before, first, second, strict=True):
        if not one.numel() or torch.equal(one, other):
            continue
        difference = (one.double() - other.double()).abs().max()
        change = (one.double() - old.double()).abs().max().clamp(min=torch.finfo(torch.float32).tiny)
        gaps.append(torch.nan_to_num(difference / change, nan=float("inf")).item())
    return max(gaps)
