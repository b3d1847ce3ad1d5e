"""CUDA graphs of a training step, and what tells a graph that does what the step does from one that does not.

A graph repeats what the device did while it was captured, on the same memory: what the host decides, draws, counts or assigns
anew in each step is not in it. So a step is tried on a copy of what is trained before it is captured, and compared with a replay.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .build import Parts
from .seeding import global_generators_kept

TOLERANCE = 1e-3  # largest difference of a replayed step from an eager one, relative to the largest change of the tensor
NOISE = 4  # or so many times the difference of two eager ones: sums on a GPU may come in any order

Batch = tuple[Tensor, Tensor]
Make = Callable[[Tensor, Tensor], None]  # makes a step on images and targets


def captured(step: Make, batch: Batch) -> Make:
    """The step as a CUDA graph over copies of its arguments. Nothing is computed yet.

    Raises:
        RuntimeError: There is an operation in it that cannot be captured.
    """
    images, targets = (tensor.clone() for tensor in batch)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
        step(images, targets)

    def replay(new_images: Tensor, new_targets: Tensor) -> None:
        images.copy_(new_images)
        targets.copy_(new_targets)
        graph.replay()

    return replay


def copy_of(parts: Parts) -> Parts:
    """Parts whose model, optimizer and loss are copies; the optimizer's parameters are those of the copied model."""
    memo: dict[int, Any] = {}
    model, loss = deepcopy(parts.model, memo), deepcopy(parts.loss, memo)
    optimizer = object.__new__(type(parts.optimizer))
    memo[id(parts.optimizer)] = optimizer
    vars(optimizer).update(deepcopy(vars(parts.optimizer), memo))  # its own copying leaves out what subclasses add
    return replace(parts, model=model, optimizer=optimizer, loss=loss)


def refusal(parts: Parts, total: Tensor, step: Make, batch: Batch) -> str:
    """Why a graph of a step would not do what the step does; empty where it does.

    Args:
        parts: What the step trains, and changes here.
        total: The running sum that it adds to.
        step: Makes a step.
        batch: Images and targets to try it on.

    Raises:
        RuntimeError: There is an operation in it that cannot be captured.
    """
    with _host_generators_kept(), global_generators_kept():
        names, drawn = noted(parts), _host_generators()
        state = _State(names, total)
        step(*batch)
        if drawn != _host_generators():
            return "the step draws random numbers on the host, and a graph would keep the first ones"
        if changed := next(changes(names, noted(parts)), ""):
            return f"{changed} is another one after each step, and a graph would keep the first one"
        state.restore()
        return difference(state, captured(step, batch), step, batch)


class _State:
    """Tensors that a step changes, as they are now."""

    def __init__(self, names: Mapping[str, Any], total: Tensor):
        own = {id(value): value for value in names.values() if isinstance(value, Tensor)}
        self.tensors = [*own.values(), total]
        self.before = [tensor.detach().clone() for tensor in self.tensors]
        self.device = total.device
        self.rng = torch.cuda.get_rng_state(self.device)

    def after(self, step: Make, batch: Batch) -> list[Tensor]:
        """What a step makes of them, in the host's memory; random numbers are the same each time."""
        torch.cuda.set_rng_state(self.rng, self.device)
        step(*batch)
        return [tensor.detach().to("cpu", copy=True) for tensor in self.tensors]

    @torch.no_grad()
    def restore(self) -> None:
        for tensor, old in zip(self.tensors, self.before, strict=True):
            tensor.copy_(old)
        torch.cuda.set_rng_state(self.rng, self.device)


def compare(parts: Parts, total: Tensor, replay: Make, step: Make, batch: Batch) -> str:
    """Replays a step and makes it, and leaves what the latter did: how the two differ, or nothing."""
    return difference(_State(noted(parts), total), replay, step, batch)


def difference(state: _State, replay: Make, step: Make, batch: Batch) -> str:
    """How a replayed step differs from an eager one in words, beyond what two eager ones differ by; empty where it does not.

    The state is that after an eager step then.
    """
    before = [tensor.cpu() for tensor in state.before]
    replayed = state.after(replay, batch)
    state.restore()
    eager = state.after(step, batch)
    gap = largest_gap(before, eager, replayed)
    if gap <= TOLERANCE:
        return ""
    state.restore()
    if gap <= NOISE * largest_gap(before, eager, state.after(step, batch)):
        return ""
    return f"a replayed step differs from an eager one by {gap:.2g} of its change"


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


def noted(parts: Parts) -> dict[str, Any]:
    """By name, what a graph would keep as it was captured: numbers of model, loss and optimizer, and which tensors they have."""
    found: dict[str, Any] = {}
    for root, thing in (("model", parts.model), ("loss", parts.loss)):
        for place, part in thing.named_modules(prefix=root) if isinstance(thing, nn.Module) else [(root, thing)]:
            for name, value in chain(getattr(part, "__dict__", {}).items(), _closure(part)):
                found |= _flat(f"{place}.{name}", value)
    optimizer = parts.optimizer
    for name, value in (("state", list(optimizer.state.values())), ("param_groups", optimizer.param_groups)):
        found |= _flat(f"optimizer.{name}", value)
    return found


def _closure(function: Any) -> Iterator[tuple[str, Any]]:
    """The variables that a function has from the ones around it."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    for name, cell in zip(code.co_freevars if code else (), cells or (), strict=True):
        yield name, cell.cell_contents


def _flat(place: str, value: Any) -> dict[str, Any]:
    """Tensors, numbers and texts in a value by their places; anything else is left out."""
    if value is None or isinstance(value, Tensor | Number | str):
        return {place: value}
    found: dict[str, Any] = {}
    items: Any = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    for name, item in items:
        found |= _flat(f"{place}.{name}", item)
    return found


def changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """The names of which there is another number, or another tensor."""
    missing = object()
    for name in before | after:
        old, new = before.get(name, missing), after.get(name, missing)
        tensors = isinstance(old, Tensor) or isinstance(new, Tensor)
        if old is not new and (tensors or old != new):
            yield name


def _host_generators() -> tuple[Any, ...]:
    """The states of the generators that code on the host may draw from."""
    numpy = np.random.get_state(legacy=False)
    numpy["state"]["key"] = numpy["state"]["key"].tobytes()
    return random.getstate(), str(numpy), torch.default_generator.get_state().numpy().tobytes()


@contextmanager
def _host_generators_kept() -> Iterator[None]:
    """Python's and numpy's global generators put back afterwards, whatever fails inside."""
    own, numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(own)
        np.random.set_state(numpy)
