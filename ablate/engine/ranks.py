"""One cell on several devices: a process for each, and the same training in all of them.

Each process has all images in the same order with the same draws, and trains on its slice of each batch; before the optimizer's
step the gradients are summed over the processes. The first one is the worker itself. It alone evaluates, records and saves; the
others are started by it, and end with it.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ablate.contracts import Cell, Environment
from ablate.errors import EnvironmentProblem
from ablate.spec.trainer import Controls

from .accelerators import sum_on

BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
PATIENCE = timedelta(days=7)  # others wait while the first one evaluates; that a process has ended is known otherwise
END_SECONDS = 5  # in which a process that failed has told how
SEVERAL = "gradients are summed over several devices"  # why there is no graph
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


@dataclass(frozen=True)
class Ranks:
    """The processes that train a cell together, as one of them sees them.

    Attributes:
        rank: This one's number; 0 is the first.
        count: How many they are.
        device: This one's.
        loss: Sum of the losses of its images since the gradients were summed last, float64 scalar.
    """

    rank: int
    count: int
    device: torch.device
    loss: Tensor

    def own(self, batch: Tensor) -> Tensor:
        """Its slice of a batch; none where the batch has fewer images than there are processes."""
        return batch.tensor_split(self.count)[self.rank]

    def sum(self, trainable: Sequence[nn.Parameter], total: Tensor) -> None:
        """Sums gradients, and the losses since the last time, over all processes.

        Args:
            trainable: The parameters. One that has no gradient in any process has none afterwards.
            total: What the sum of the losses is added to, float64 scalar.
        """
        has = [float(parameter.grad is not None) for parameter in trainable]
        said = torch.cat([self.loss[None], torch.tensor(has, dtype=self.loss.dtype, device=self.device)])
        dist.all_reduce(said)
        total.add_(said[0])
        self.loss.zero_()
        some = [parameter for parameter, count in zip(trainable, said[1:].tolist(), strict=True) if count]
        for parameter in some:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        _one_by_dtype([parameter.grad for parameter in some if parameter.grad is not None], dist.all_reduce)

    def share_buffers(self, model: nn.Module) -> None:
        """Gives every process the first one's buffers, such as the averages of batch normalization."""
        _one_by_dtype(list(model.buffers()), lambda all_: dist.broadcast(all_, 0))

    def agree(self, model: nn.Module, epoch: int) -> None:
        """Looks whether the weights are the same in all processes.

        Raises:
            EnvironmentProblem: They are not.
        """
        sums = torch.stack([parameter.detach().double().sum() for parameter in model.parameters()]).view(torch.int64)
        both = torch.cat([sums, ~sums])
        dist.all_reduce(both, dist.ReduceOp.MAX)
        if not torch.equal(both[: len(sums)], ~both[len(sums) :]):
            raise EnvironmentProblem(
                f"after epoch {epoch} the weights differ between its devices: something in the recipe changes them by what is "
                "not the same in all processes. Train it on one device."
            )

    def wait(self) -> None:
        """Until all processes are here."""
        dist.all_reduce(torch.zeros(1, device=self.device))


def _one_by_dtype(tensors: Sequence[Tensor], communicate: object) -> None:
    """Communicates tensors as one of each type, because each call costs, and copies back what came."""
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):  # in the same order everywhere
        some = [tensor for tensor in tensors if tensor.dtype == dtype]
        joined = torch.cat([tensor.reshape(-1) for tensor in some])
        communicate(joined)  # type: ignore[operator]
        for tensor, piece in zip(some, joined.split([tensor.numel() for tensor in some]), strict=True):
            tensor.copy_(piece.view(tensor.shape))


@contextmanager
def group(rank: int, devices: Sequence[str], meeting: Path) -> Iterator[Ranks]:
    """The processes together, as this one sees them, from when all of them are there.

    Args:
        rank: This one's number.
        devices: Of each.
        meeting: A file by which they find each other.
    """
    device = torch.device(devices[rank])
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    before = {name: os.environ.get(name) for name in INTERFACES}
    os.environ.update(dict.fromkeys(INTERFACES, loopback))
    try:
        store: Any = dist.FileStore(str(meeting), len(devices))  # type: ignore[attr-defined]
        backend = BACKENDS[device.type]
        bound = device if device.type == "cuda" else None
        dist.init_process_group(backend, store=store, rank=rank, world_size=len(devices), timeout=PATIENCE, device_id=bound)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    try:
        yield Ranks(rank, len(devices), device, sum_on(device))
    finally:
        dist.destroy_process_group()


@contextmanager
def first(cell: Cell, environment: Environment, devices: Sequence[str], controls: Controls) -> Iterator[Ranks]:
    """The first process, in the worker, with the others started beside it; at the end they are ended.

    Raises:
        EnvironmentProblem: One of the others failed.
    """
    with tempfile.TemporaryDirectory(prefix="ablate-ranks-") as folder:
        meeting = Path(folder) / "meeting"
        order = {
            "cell": cell.to_json(),
            "data_dir": str(environment.data_dir),
            "devices": list(devices),
            "meeting": str(meeting),
            "checkpoint": str(controls.checkpoint),
            "memory": torch.cuda.get_per_process_memory_fraction(devices[0]) if devices[0] != "cpu" else 1.0,
        }
        others = [_start({**order, "rank": rank}) for rank in range(1, len(devices))]
        ending = threading.Event()
        try:
            _must_be_ready(others)
            with group(0, devices, meeting) as ranks:
                if ranks.device.type == "cuda":
                    for process in others:
                        threading.Thread(target=_abort_with, args=(process, ending), daemon=True).start()
                yield ranks
        except RuntimeError as error:  # as that a connection was closed
            raise _told(others) or error from error
        finally:
            ending.set()
            for process in others:
                process.kill()
            for process in others:
                process.communicate()


def _start(order: dict[str, object]) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "ablate.engine.rank"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # signals of a terminal are for the driver
    )
    assert process.stdin is not None  # noqa: S101, for the type checker
    with suppress(BrokenPipeError):  # it has ended already, which is seen where it is missed
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
    return process


def _must_be_ready(others: Sequence["subprocess.Popen[str]"]) -> None:
    """Waits until the others are about to join: whoever joins waits for all.

    Raises:
        EnvironmentProblem: One ended before.
    """
    for process in others:
        assert process.stdout is not None  # noqa: S101, for the type checker
        if not process.stdout.readline():
            raise _told(others) or EnvironmentProblem("a process of its other devices cannot be started.")


def _abort_with(process: "subprocess.Popen[str]", ending: threading.Event) -> None:
    """Ends what waits for a process that has ended; on a CPU a connection that is closed says so by itself."""
    process.wait()
    if not ending.is_set() and dist.group.WORLD is not None:
        dist.group.WORLD.abort()


def _told(others: Sequence["subprocess.Popen[str]"]) -> Exception | None:
    """What one of the other processes says of its failure; None where none has ended."""
    for rank, process in enumerate(others, 1):
        try:
            code = process.wait(END_SECONDS if rank == 1 else 0.1)
        except subprocess.TimeoutExpired:
            continue
        assert process.stdout is not None  # noqa: S101, for the type checker
        said = process.stdout.read().strip()
        if not said:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            return EnvironmentProblem(f"the process of its device {rank} {how}.")
        message = json.loads(said)
        kind = torch.OutOfMemoryError if message["memory"] else EnvironmentProblem
        return kind(f"on its device {rank}: {message['error']}")
    return None
