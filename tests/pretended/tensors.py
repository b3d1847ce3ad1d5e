"""Tensors of the pretended device, and what an operation on them is."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from .graphs import GENERATORS, CUDAGraph, Recorded, drawing, memory
from .machine import GPU, Stream

BACKEND = "pretended"  # what the devices are to C++: as `cuda`, autograd would ask the driver for them
CPU = torch.device("cpu")
aten = torch.ops.aten
INDEXED = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default)
WAITING = ("_local_scalar_dense", "nonzero", "unique", "masked_select")  # their results, or the shapes of these, are the host's


class Pretended(torch.Tensor):
    """A tensor that says it is on a GPU; its values are in `inner`, on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, index: int) -> "Pretended":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device(BACKEND, index),
            requires_grad=False,
        )
        made.inner = inner
        return made

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", torch.Tensor.device.__get__(self).index)

    @property
    def is_cuda(self) -> bool:
        return True

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy it to host memory first."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            with torch.no_grad():
                new = self.detach().clone()
            parameter = isinstance(self, nn.Parameter)
            memo[id(self)] = nn.Parameter(new, self.requires_grad) if parameter else new.requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __repr__(self, **_: Any) -> str:
        return f"Pretended({self.inner!r}, {self.device})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(operation, args, kwargs or {})


class Mode(TorchDispatchMode):
    """For operations that have no tensor of the device among their arguments, and may make one."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatched(operation, args, kwargs or {})


def dispatched(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Does one operation of torch."""
    if "is_pinned" in str(operation):
        return False
    kwargs = {name: value for name, value in kwargs.items() if name != "pin_memory"}
    leaves = tree_leaves((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
    ours = [tensor for tensor in tensors if isinstance(tensor, Pretended)]
    asked = kwargs.get("device")
    if not ours and not _on_gpu(asked):
        return operation(*args, **kwargs)
    GPU.before(operation)
    if operation is aten._to_copy.default and asked is not None:
        target = torch.device("cuda", GPU.index(asked)) if _on_gpu(asked) else torch.device(asked)
        if target != args[0].device:
            return _moved(operation, args[0], kwargs, target)
    if operation is aten.copy_.default:
        if args[0].device != args[1].device:
            GPU.wait(f"copy {args[1].device.type} to {args[0].device.type}", GPU.stream(ours[0].device))
    else:
        _check(operation, tensors, ours)
    index = ours[0].device.index if ours else GPU.index(asked)
    _check_generators(operation, leaves)
    if any(name in str(operation) for name in WAITING):
        GPU.wait(str(operation).split(".")[1], GPU.stream(index))
    if _on_gpu(asked):
        kwargs["device"] = CPU
    known = {memory(tensor.inner) for tensor in ours}
    made = _computed(operation, tree_map(_inner, args), tree_map(_inner, kwargs), known, GPU.stream(index), index)
    wrapped = tree_map(lambda value: _wrapped(value, index), made)
    if operation is aten._local_scalar_dense.default:
        return made
    if isinstance(made, Tensor) or any(result.alias_info for result in operation._schema.returns):
        return return_and_correct_aliasing(operation, args, kwargs, wrapped)
    return wrapped


def _on_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type in ("cuda", BACKEND)


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, Pretended) else value


def _wrapped(value: Any, index: int) -> Any:
    return Pretended(value, index) if isinstance(value, Tensor) and not isinstance(value, Pretended) else value


def _moved(operation: Any, source: Tensor, kwargs: dict[str, Any], target: torch.device) -> Tensor:
    """A copy of a tensor on another device; the host waits, because its memory is pageable."""
    from_gpu = isinstance(source, Pretended)
    stream = GPU.stream(source.device if from_gpu else target)
    if from_gpu:
        GPU.reads(memory(source.inner), stream, str(operation))
    GPU.wait(f"copy {source.device.type} to {target.type}", stream)
    made = operation(_inner(source), **{**kwargs, "device": CPU})
    if memory(made) == memory(_inner(source)):
        made = made.clone()
    if target.type != "cuda":
        return made
    stream = GPU.stream(target)
    stream.clock += 1
    GPU.makes(memory(made), stream)
    stream.synchronize()
    return Pretended(made, target.index)


def _check(operation: Any, tensors: list[Tensor], ours: list[Pretended]) -> None:
    """Refuses tensors of several devices, except numbers of the CPU, and indices of it, which are copied."""
    others = [tensor for tensor in tensors if not isinstance(tensor, Pretended)]
    if others and operation in INDEXED:
        GPU.wait("index by the CPU", GPU.stream(ours[0].device))
        others = []
    devices = sorted({str(tensor.device) for tensor in ours} | {"cpu" for tensor in others if tensor.ndim})
    if len(devices) > 1:
        found = " and ".join(devices)
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {found}! ({operation})"
        )


def _check_generators(operation: Any, leaves: list[Any]) -> None:
    if any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' ({operation})")


def _computed(operation: Any, args: Any, kwargs: Any, known: set[int], stream: Stream, index: int) -> Any:
    """Does an operation on the CPU's tensors as a stream's next work, and records it where a graph is captured.

    Of its arguments, those in the memory `known` are the device's.
    """
    stream.clock += 1
    for place in known if not operation.is_view else ():  # a view looks at no number
        GPU.reads(place, stream, str(operation))
    written = [tensor for tensor in _written(operation, args, kwargs) if memory(tensor) in known]
    graph: CUDAGraph | None = GPU.recording
    if graph is not None:
        for tensor in written:
            graph.keep(tensor)
    state = GENERATORS[index].state if torch.Tag.nondeterministic_seeded in operation.tags else None
    call = operation if state is None else drawing(operation, state)
    with torch.no_grad():
        made = call(*args, **kwargs)
    for tensor in written:
        GPU.writes(memory(tensor), stream, str(operation))
    results = [leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
    fresh = [tensor for tensor in results if memory(tensor) not in known]
    for tensor in fresh:
        GPU.makes(memory(tensor), stream)
    if graph is not None:
        graph.own.update(map(memory, fresh))
        graph.recorded.append(Recorded(call, args, kwargs, made, known, written, bool(fresh), state))
    return made


def _written(operation: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The arguments that an operation changes."""
    if operation is aten.native_batch_norm.default:  # its schema does not say so
        values = list(args[3:5]) if args[5] else []
    else:
        places = [(n, one) for n, one in enumerate(operation._schema.arguments) if one.alias_info and one.alias_info.is_write]
        values = [args[n] if n < len(args) else kwargs.get(one.name) for n, one in places]
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
