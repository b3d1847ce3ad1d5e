"""Python's, NumPy's and torch's global generators, which no component but a model and its training may use."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ablate.engine.seeding import global_generators_kept


@contextmanager
def global_generators(seed: int, *, torch_too: bool = True) -> Iterator[None]:
    """Sets the global generators, and puts them back afterwards.

    Args:
        seed: For all of them.
        torch_too: Whether torch's is set as well.
    """
    python, legacy = random.getstate(), np.random.get_state()
    with global_generators_kept():
        random.seed(seed)
        np.random.seed(seed)
        if torch_too:
            torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


def global_states() -> tuple[Any, ...]:
    """The states of the global generators, to compare."""
    legacy = np.random.get_state(legacy=False)["state"]
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    states = [torch.get_rng_state(), *map(torch.cuda.get_rng_state, gpus)]
    return random.getstate(), legacy["key"].tobytes(), legacy["pos"], *(bytes(state.numpy()) for state in states)


REMEDY = "Draw from the generator that is given, and from no global one: not torch's, not NumPy's, not Python's."
