"""Random numbers from counters: every draw is named by (seed, purpose, epoch, index).

So a result depends on nothing but its cell: not on the order of the cells, the worker, or where the training was interrupted.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from . import accelerators


def derive(seed: int, purpose: str, epoch: int = 0, index: int = 0) -> int:
    """A 63-bit seed for one purpose at one place of a training; different counters give independent seeds."""
    name = f"{seed}/{purpose}/{epoch}/{index}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big") >> 1


def generator(seed: int, purpose: str, epoch: int = 0, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A private generator for one purpose at one place of a training."""
    return torch.Generator(device=device).manual_seed(derive(seed, purpose, epoch, index))


@contextmanager
def global_rng(seed: int, purpose: str, epoch: int = 0, index: int = 0) -> Iterator[None]:
    """torch's global generators set from a counter, and put back afterwards.

    Layer constructors and dropout have no generator argument: they draw from the global one, so it is set for them.
    """
    with global_generators_kept():
        seed_global(derive(seed, purpose, epoch, index))
        yield


@contextmanager
def global_generators_kept() -> Iterator[None]:
    """torch's global generators of the devices that are in use put back afterwards.

    Those of other devices are left alone, because to ask for them is to use them: every worker on a CPU would take memory of
    every GPU.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    others = accelerators.generator_states()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            accelerators.restore_generators(others)


def seed_global(seed: int) -> None:
    """Sets torch's global generators of the devices that are in use.

    `torch.manual_seed` also queues the seed, with a stack trace, for devices that were never used; in a training loop that costs
    time, and memory without end.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    accelerators.seed(seed)
