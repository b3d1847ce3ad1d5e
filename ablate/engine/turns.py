"""What a cell has for itself on a GPU while it is its turn: a stream, random numbers, and what the arithmetic is."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch


def on_gpu(precision: str, device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """The turns of one cell: each is a context in which nothing that other cells have in flight can change its bits.

    A replayed graph reads its seed from memory that belongs to the state of the generator. With one state for all cells, dropout
    on one stream would read the seed that another stream's cell has set meanwhile.

    Args:
        precision: Of the recipe.
        device: The GPU.
    """
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))  # the images may still be on their way
    index = torch.cuda.current_device() if device.index is None else device.index
    default: Any = torch.cuda.default_generators[index]
    own = default.clone_state().graphsafe_get_state()

    @contextmanager
    def turn() -> Iterator[None]:
        before = default.graphsafe_get_state()
        default.graphsafe_set_state(own)
        try:
            with torch.cuda.stream(stream), arithmetic(precision):
                yield
        finally:
            default.graphsafe_set_state(before)

    return turn


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """What a GPU computes inside: float32 or, where the recipe names it, TensorFloat-32; in convolutions the same sums each time.

    torch's own defaults are TensorFloat-32 in convolutions and not in products, and convolutions whose sums come in any order.
    They are settings of the process, so they are put back.
    """
    backends: Any = torch.backends
    places = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [place.fp32_precision for place in places]
    chosen = backends.cudnn.deterministic, backends.cudnn.benchmark
    try:
        for place in places:
            place.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        backends.cudnn.deterministic, backends.cudnn.benchmark = True, False
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
        backends.cudnn.deterministic, backends.cudnn.benchmark = chosen
