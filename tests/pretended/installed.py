"""Puts the pretended devices in the place of torch's CUDA, for the rest of the process."""

import contextlib
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils import backend_registration

from . import KNOWN
from .graphs import GENERATORS, CUDAGraph, Generator, graph
from .machine import GPU, Stream, on_device, on_stream
from .tensors import BACKEND, Mode, Pretended

NAME = "Pretended GPU"
_kept: list[Any] = []  # the mode, which is left with the process


def why_not() -> str:
    """Why this process cannot have pretended devices; empty where it can."""
    version = ".".join(torch.__version__.split(".")[:2])
    if version not in KNOWN:
        return f"the pretended GPU is known to work with torch {' and '.join(KNOWN)}, and this is {version}"
    return "there is a real GPU" if torch.cuda.is_available() else ""


def install(count: int) -> None:
    """Gives this process so many devices.

    Raises:
        RuntimeError: They cannot be had, see `why_not`.
    """
    if why := why_not():
        raise RuntimeError(why)
    GPU.count = count
    torch.set_num_threads(1)  # which autograd's threads keep, one a device: sums of two threads have other bits
    GENERATORS[:] = [Generator(index) for index in range(count)]
    _register()
    _replace_functions()
    _accept_in_optimizers()
    _kept.append(Mode())
    _kept[-1].__enter__()


def _register() -> None:
    """Makes a backend in Python, which autograd and the device guards of C++ know."""

    class Module(backend_registration._DummyBackendModule):
        def device_count(self) -> int:
            return GPU.count

        def current_device(self) -> int:
            return GPU.current

    backend_registration._setup_privateuseone_for_python_backend(BACKEND, backend_module=Module())
    torch._C._ensureCUDADeviceGuardSet()
    torch._C._set_only_lift_cpu_tensors(True)
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.backends.cudnn.enabled = False  # else batch norm takes cuDNN's operation, which the CPU does not have


def _replace_functions() -> None:
    """What is asked of `torch.cuda` and `torch.accelerator`."""
    cuda, accelerator = torch.cuda, torch.accelerator
    properties = SimpleNamespace(name=NAME, major=9, minor=0, total_memory=GPU.total, multi_processor_count=132, warp_size=32)
    functions: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "init": lambda: None,
        "_is_in_bad_fork": lambda: False,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "is_bf16_supported": lambda *_, **__: True,
        "is_current_stream_capturing": lambda: GPU.recording is not None,
        "device_count": lambda: GPU.count,
        "current_device": lambda: GPU.current,
        "get_device_name": lambda device=None: NAME,
        "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: (9, 0),
        "get_arch_list": lambda: ["sm_90"],
        "device": on_device,
        "Stream": Stream,
        "stream": on_stream,
        "current_stream": GPU.stream,
        "default_stream": GPU.default_stream,
        "synchronize": GPU.synchronize,
        "CUDAGraph": CUDAGraph,
        "graph": graph,
        "default_generators": tuple(GENERATORS),
        "get_rng_state": lambda device="cuda": GENERATORS[GPU.index(device)].get_state(),
        "set_rng_state": lambda state, device="cuda": GENERATORS[GPU.index(device)].set_state(state),
        "manual_seed": lambda seed: [GENERATORS[GPU.current].manual_seed(seed)],
        "manual_seed_all": lambda seed: [generator.manual_seed(seed) for generator in GENERATORS],
        "empty_cache": lambda: None,
        "mem_get_info": lambda device=None: (GPU.total - GPU.reserved, GPU.total),
        "memory_reserved": lambda device=None: GPU.reserved,
        "max_memory_reserved": lambda device=None: GPU.reserved,
    }
    for name, function in functions.items():
        setattr(cuda, name, function)
    torch.Tensor.pin_memory = lambda tensor, device=None: tensor
    cuda.random.manual_seed_all = cuda.manual_seed_all
    cuda.graphs.is_current_stream_capturing = cuda.is_current_stream_capturing
    accelerator.current_accelerator = lambda check_available=False: torch.device("cuda")
    accelerator.current_stream = GPU.stream
    accelerator.device_count = cuda.device_count
    accelerator.is_available = cuda.is_available
    cuda.amp.common.amp_definitely_not_available = lambda: False
    on_cpu = torch.autocast  # there are no kernels to cast for
    torch.autocast = lambda kind, *args, **named: contextlib.nullcontext() if kind == "cuda" else on_cpu(kind, *args, **named)


def _accept_in_optimizers() -> None:
    """torch's optimizers take their kernels for many tensors at once only for types that are in these lists."""
    from torch.optim import optimizer
    from torch.utils import _foreach_utils

    for known in (_foreach_utils._foreach_supported_types, optimizer._foreach_supported_types):
        if Pretended not in known:
            known.append(Pretended)
