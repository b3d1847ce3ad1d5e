"""CUDA graphs and the random numbers of a device, of the pretended one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from .machine import GPU, Stream


class Generator:
    """One of `torch.cuda.default_generators`, with a state that can be changed for another one, as CUDA's can.

    A captured operation draws from the state that there was, whichever the generator has when it is replayed.
    """

    def __init__(self, index: int, state: torch.Generator | None = None):
        self.device = torch.device("cuda", index)
        self.state = state or torch.Generator().manual_seed(1234 + index)

    def get_state(self) -> Tensor:
        return self.state.get_state()

    def set_state(self, state: Tensor) -> "Generator":
        self.state.set_state(state)
        return self

    def manual_seed(self, seed: int) -> "Generator":
        self.state.manual_seed(seed)
        return self

    def initial_seed(self) -> int:
        return self.state.initial_seed()

    def clone_state(self) -> "Generator":
        return Generator(self.device.index, self.state.clone_state())

    def graphsafe_get_state(self) -> "Generator":
        return Generator(self.device.index, self.state)

    def graphsafe_set_state(self, other: "Generator") -> "Generator":
        self.state = other.state
        return self


GENERATORS: list[Generator] = []


def drawing(operation: Callable[..., Any], state: torch.Generator) -> Callable[..., Any]:
    """An operation that draws from the CPU's global generator as one that draws from this state."""

    def drawn(*arguments: Any, **named: Any) -> Any:
        kept = torch.default_generator.get_state()
        torch.default_generator.set_state(state.get_state())
        try:
            return operation(*arguments, **named)
        finally:
            state.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(kept)

    return drawn


@dataclass
class Recorded:
    """An operation of a graph, on tensors of the CPU.

    Attributes:
        made: What it gave when it was recorded; what others of the graph read.
        reads: The memory of the device that its arguments have.
        writes: What it changes of them.
        fresh: Whether what it gave is memory of its own.
        state: What it draws from.
    """

    operation: Callable[..., Any]
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    made: Any
    reads: set[int]
    writes: list[Tensor]
    fresh: bool
    state: torch.Generator | None


def memory(tensor: Tensor) -> int:
    """Names the memory of a tensor of the CPU."""
    return tensor.untyped_storage()._cdata  # not its address: what is empty has none


class CUDAGraph:
    """`torch.cuda.CUDAGraph`.

    Attributes:
        recorded: What is done at each replay.
        old: Tensors that were there before the capture, as they were then, and are to be again.
        own: The memory that was made during the capture.
    """

    def __init__(self, keep_graph: bool = False):
        self.recorded: list[Recorded] = []
        self.old: list[tuple[Tensor, Tensor]] = []
        self.own: set[int] = set()

    def keep(self, tensor: Tensor) -> None:
        """Remembers a tensor that an operation is about to change."""
        if memory(tensor) not in self.own:
            self.old.append((tensor, tensor.clone()))

    @torch.no_grad()
    def replay(self) -> None:
        GPU.before("replay")
        stream = GPU.stream()
        stream.clock += 1
        for state in {id(one.state): one.state for one in self.recorded if one.state is not None}.values():
            GPU.writes(("seed", id(state)), stream, "seed of a replay")  # which the device reads, and the host has filled in
        for one in self.recorded:
            self._again(one, stream)

    def _again(self, one: Recorded, stream: Stream) -> None:
        what = f"replayed {one.operation}"
        for place in one.reads:
            GPU.reads(place, stream, what)
        new = one.operation(*one.arguments, **one.named)
        if one.fresh:
            for place, value in zip(_tensors(one.made), _tensors(new), strict=True):
                place.copy_(value)
        for tensor in [*one.writes, *(_tensors(one.made) if one.fresh else [])]:
            GPU.writes(memory(tensor), stream, what)


class graph:  # noqa: N801, as torch.cuda.graph
    """`torch.cuda.graph`."""

    def __init__(self, cuda_graph: CUDAGraph, pool: Any = None, stream: Stream | None = None, **_: Any):
        self.graph, self.stream = cuda_graph, stream

    def __enter__(self) -> None:
        GPU.synchronize()
        if self.stream is None or self.stream is GPU.default_stream():
            raise RuntimeError("CUDA graphs must be captured on a non-default stream.")
        self.drawn = [(one.state, one.get_state()) for one in GENERATORS]
        GPU.recording = self.graph

    @torch.no_grad()
    def __exit__(self, *_: Any) -> None:
        """Undoes what was computed to know the results' shapes, because a capture computes nothing."""
        GPU.recording = None
        for tensor, old in reversed(self.graph.old):
            tensor.copy_(old)
        self.graph.old.clear()
        for state, drawn in self.drawn:
            state.set_state(drawn)


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
