"""What the pretended devices have in common: which streams there are, what they did, and in which order."""

from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

import torch

PLACE = "/ablate/"  # in the paths of code whose races and waits are told


class Stream:
    """A queue of work.

    Attributes:
        clock: Counts what was queued.
        after: Up to where other streams are finished before what is queued next.
        finished: Its clock when the host last waited for it.
    """

    def __init__(self, device: Any = None, priority: int = 0, **_: Any):
        self.device = torch.device("cuda", GPU.index(device))
        self.clock = self.finished = 0
        self.after: dict[Stream, int] = {}
        GPU.streams.add(self)

    def wait_stream(self, other: "Stream") -> None:
        for stream, clock in {**other.after, other: other.clock}.items():
            self.after[stream] = max(self.after.get(stream, 0), clock)

    def synchronize(self) -> None:
        for stream, clock in {**self.after, self: self.clock}.items():
            stream.finished = max(stream.finished, clock)

    def is_capturing(self) -> bool:
        return GPU.recording is not None

    def sees(self, other: "Stream", clock: int) -> bool:
        """Whether what another stream did at a time is finished before what is queued here next."""
        return other is self or clock <= other.finished or clock <= self.after.get(other, 0)


@dataclass
class _Use:
    """Who wrote a piece of memory last, and who has read it since."""

    writer: Stream
    clock: int
    readers: dict[Stream, int] = field(default_factory=dict)


class Machine:
    """The devices of this process.

    Attributes:
        count: How many there are.
        current: The one that `cuda` means.
        recording: The graph that is captured now.
        races: By operation and place in the code, uses of memory that another stream may not have finished.
        waits: By kind and place in the code, how often the host waited for a device.
        before: Called with each operation before it is done, to let it fail.
        total: Bytes of memory of each device, as they are told.
        reserved: Bytes of them that torch has, as they are told.
    """

    def __init__(self) -> None:
        self.count, self.current = 0, 0
        self.streams: WeakSet[Stream] = WeakSet()
        self.default: dict[int, Stream] = {}
        self.chosen: dict[int, Stream] = {}
        self.recording: Any = None
        self.races: Counter[tuple[str, str]] = Counter()
        self.waits: Counter[tuple[str, str]] = Counter()
        self.before: Callable[[Any], None] = lambda operation: None
        self.total, self.reserved = 8 << 30, 1 << 29
        self.uses: dict[Hashable, _Use] = {}

    def forget(self) -> None:
        """Begins to count anew, with operations that do not fail."""
        self.races.clear()
        self.waits.clear()
        self.before = lambda operation: None
        self.total, self.reserved = 8 << 30, 1 << 29

    def index(self, device: Any) -> int:
        """The number of a device, as `cuda:1`, `cuda`, a number or nothing may name it."""
        if device is None or isinstance(device, int):
            return self.current if device is None else device
        index = torch.device(device).index
        return self.current if index is None else index

    def default_stream(self, device: Any = None) -> Stream:
        index = self.index(device)
        if index not in self.default:
            self.default[index] = Stream(index)
        return self.default[index]

    def stream(self, device: Any = None) -> Stream:
        """The one in which a device queues work now."""
        index = self.index(device)
        return self.chosen.get(index) or self.default_stream(index)

    def synchronize(self, device: Any = None) -> None:
        for stream in list(self.streams):
            stream.synchronize()

    def wait(self, kind: str, stream: Stream) -> None:
        """The host waits for a stream.

        Raises:
            RuntimeError: It cannot, because what is queued is recorded and not done.
        """
        if self.recording is not None:
            raise torch.AcceleratorError(f"CUDA error: operation not permitted when stream is capturing ({kind})")
        self.waits[kind, _place()] += 1
        stream.synchronize()

    def reads(self, memory: Hashable, stream: Stream, what: str) -> None:
        use = self.uses.get(memory)
        if use is None:
            return
        if not stream.sees(use.writer, use.clock):
            self.races[what, _place()] += 1
        use.readers[stream] = stream.clock

    def writes(self, memory: Hashable, stream: Stream, what: str) -> None:
        """A stream writes into memory that is there already."""
        use = self.uses.get(memory)
        if use is not None:
            others = {use.writer: use.clock, **use.readers}
            if not all(stream.sees(other, clock) for other, clock in others.items()):
                self.races[what, _place()] += 1
        self.makes(memory, stream)

    def makes(self, memory: Hashable, stream: Stream) -> None:
        """A stream writes into memory that was free: torch gives a stream what was its own, so nobody else uses that."""
        self.uses[memory] = _Use(stream, stream.clock)


@contextmanager
def on_stream(stream: Stream | None) -> Any:
    """`torch.cuda.stream`."""
    before = GPU.current, dict(GPU.chosen)
    if stream is not None:
        GPU.current = stream.device.index
        GPU.chosen[GPU.current] = stream
    try:
        yield stream
    finally:
        GPU.current, GPU.chosen = before


class on_device:  # noqa: N801, as torch.cuda.device
    """`torch.cuda.device`."""

    def __init__(self, device: Any):
        self.index = GPU.index(device)

    def __enter__(self) -> None:
        self.before, GPU.current = GPU.current, self.index

    def __exit__(self, *_: Any) -> None:
        GPU.current = self.before


def _place() -> str:
    """Where in ablate's code this is, as `file.py:12`; `torch` where it is not."""
    import sys

    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if PLACE in path and "/tests/" not in path:
            return f"{path.rpartition(PLACE)[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return "torch"


GPU = Machine()
