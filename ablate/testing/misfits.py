"""For tests of executors: a model that misbehaves once it is trained, studies that have it, who listens, and what a store has."""

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from ablate import registry
from ablate.components.models import net
from ablate.contracts import DataInfo
from ablate.engine.preflight import FEW
from ablate.registry.hooks import CellInfo, hookimpl

PIDS = "ABLATE_MISFIT_PIDS"
NORMALIZE = {"use": "normalize", "mean": [0.5], "std": [0.5]}
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: misfits\nVersion: 1.0\n",
    "entry_points.txt": "[ablate.models]\nmisfit = ablate.testing.misfits:misfit\n",
}


@contextmanager
def installed(folder: Path) -> Iterator[Path]:
    """Makes `misfit` a component for this process and for those that it starts.

    Args:
        folder: Where its metadata is written.

    Yields:
        The file into which a slow cell writes its process at every step, a line each.
    """
    info = folder / "misfits-1.0.dist-info"
    info.mkdir()
    for name, text in METADATA.items():
        (info / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv(PIDS, str(folder / "pids"))
        registry.default.cache_clear()
        yield folder / "pids"
    registry.default.cache_clear()


def study(*ways: str, epochs: int = 2, **more: Any) -> dict[str, Any]:
    """A tiny study with a variant for each way to misbehave, `way=NAME`, and the base, which does not; one seed.

    Args:
        ways: See `misfit`; any other name is for one that behaves well.
        epochs: Epochs of each cell.
        more: Further keys of the spec.
    """
    base = {
        "dataset": {"use": "digits", "size": 16, "limit": 160},
        "train_transforms": {"normalize": NORMALIZE},
        "eval_transforms": {"normalize": NORMALIZE},
        "model": {"use": "misfit"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": epochs,
    }
    return {"name": "tiny", "base": base, "factors": {"way": {way: {"model": {"how": way}} for way in ways}}, "seeds": 1} | more


def table(store: Path) -> dict[str, str]:
    """What every cell of a store gave, bit for bit: the digest of its weights and its metrics, by its key."""
    with sqlite3.connect(store / "store.sqlite") as db:
        return dict(db.execute("SELECT key, weights_sha256 || metrics FROM cells WHERE status = 'done'").fetchall())


class Listener:
    """Counts the cells that begin and the epochs that end, and does something after the first epoch."""

    def __init__(self, do: Callable[[], object] = lambda: None):
        self.started, self.epochs, self._do = 0, 0, do

    @hookimpl
    def cell_start(self, cell: CellInfo) -> None:
        self.started += 1

    @hookimpl
    def epoch_end(self, cell: CellInfo, record: dict[str, Any]) -> None:
        self.epochs += 1
        if self.epochs == 1:
            self._do()


def misfit(info: DataInfo, /, *, how: str = "fine") -> nn.Module:
    """A network that misbehaves in training.

    Args:
        how: `raise`, `hang`, `slow`, `die` (by signal 9), or `die once` (in one process of all).
    """
    return Misfit(net(info), how)


class Misfit(nn.Module):
    """See `misfit`."""

    def __init__(self, model: nn.Module, how: str):
        super().__init__()
        self.model, self.how = model, how

    def forward(self, images: Tensor) -> Tensor:
        if self.training and len(images) > FEW:  # not in the preflight, which is another process's
            print("about to", self.how, flush=True)
            self._misbehave(Path(os.environ[PIDS]))
        logits: Tensor = self.model(images)
        return logits

    def _misbehave(self, pids: Path) -> None:
        died = pids.with_suffix(".died")
        match self.how:
            case "raise":
                raise RuntimeError("no luck today")
            case "hang":
                time.sleep(600)
            case "slow":
                with pids.open("a") as file:
                    file.write(f"{os.getpid()}\n")
                time.sleep(0.2)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die once" if not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
