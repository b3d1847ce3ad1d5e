"""A cluster of three nodes on this machine."""

import os

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # Ray's switch to the loopback address, read when it is imported
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_raylet_start_wait_time_s"] = "300"  # noqa: SIM112  a machine may be busy
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  or they starve beside anything else

import pytest
import ray
from ray.cluster_utils import Cluster

from ablate.testing import misfits

NODE = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}


@pytest.fixture
def spec():
    """Two variants with two seeds."""
    return misfits.study("well", seeds=2)


@pytest.fixture(scope="session", autouse=True)
def pids(tmp_path_factory):
    """The file that slow cells write their process into."""
    with misfits.installed(tmp_path_factory.mktemp("site")) as file:
        yield file


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
