"""A cluster of three nodes on this machine, and components that misbehave on it."""

import os

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch to the loopback address, read when it is imported
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import copy
import sqlite3
import sys
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from ablate import registry

NODE = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
MISFITS = '''
"""A model that misbehaves once it is trained."""
import os, signal, time
from torch import nn
from ablate.components.models import net


class Misfit(nn.Module):
    def __init__(self, model, how):
        super().__init__()
        self.model, self.how, self.calls = model, how, 0

    def forward(self, images):
        self.calls += 1
        if self.calls > 3 and self.training:  # after the trial before the training
            print("about to", self.how, flush=True)
            if self.how == "raise":
                raise RuntimeError("no luck today")
            if self.how == "hang":
                time.sleep(600)
            if self.how == "slow":
                with open(os.environ["MISFIT_PIDS"], "a") as file:
                    file.write(f"{os.getpid()}\\n")
                time.sleep(0.2)
            if self.how == "die" or (self.how == "die once" and not os.path.exists(os.environ["MISFIT_PIDS"] + ".died")):
                open(os.environ["MISFIT_PIDS"] + ".died", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.model(images)


def misfit(info, /, *, how: str = "fine") -> nn.Module:
    """A network that misbehaves.

    Args:
        how: In which way.
    """
    return Misfit(net(info), how)
'''
SPEC = {
    "name": "tiny",
    "base": {
        "dataset": {"use": "digits", "size": 16, "limit": 160},
        "train_transforms": {"crop": None, "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 2,
    },
    "factors": {"batch_norm": {"on": {"model": {"batch_norm": True}}}},
    "seeds": 2,
}


@pytest.fixture
def spec():
    return copy.deepcopy(SPEC)


@pytest.fixture
def misfits(spec):
    """A study of one variant a way to misbehave, beside one that does not."""

    def misfits(*ways, epochs=2, **more):
        spec["base"] |= {"model": {"use": "misfit", "how": "fine"}, "epochs": epochs}
        spec["factors"] = {"way": {way: {"model": {"how": way}} for way in ways}}
        return spec | {"seeds": 1} | more

    return misfits


@pytest.fixture(scope="session", autouse=True)
def pids(tmp_path_factory):
    """Installs the misfits for this process and those that it starts; the file that slow cells write their process into."""
    site = tmp_path_factory.mktemp("site")
    info = site / "misfits-1.0.dist-info"
    info.mkdir()
    (site / "misfits.py").write_text(MISFITS)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misfits\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ablate.models]\nmisfit = misfits:misfit\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        patch.setenv("MISFIT_PIDS", str(site / "pids"))
        registry.default.cache_clear()
        yield site / "pids"
    registry.default.cache_clear()


@pytest.fixture(scope="session")
def cluster(pids):
    """Three nodes of one CPU."""
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    for _ in range(2):
        cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


@pytest.fixture
def address(cluster, monkeypatch):
    """Of the cluster, whole, where the executor finds it."""
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(**NODE)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster.address
    assert not ray.is_initialized()


@pytest.fixture(scope="session")
def table():
    """What every cell of a store gave, bit for bit."""

    def table(store: Path) -> dict[str, str]:
        with sqlite3.connect(store / "store.sqlite") as db:
            return dict(db.execute("SELECT key, weights_sha256 || metrics FROM cells WHERE status = 'done'").fetchall())

    return table
