"""What needs no cluster of several nodes."""

import json
import socket
from dataclasses import replace

import ablate_ray
import pytest
import ray
from ablate_ray import worker
from ablate_ray.pool import Pool

from ablate.contracts import Environment
from ablate.errors import EnvironmentProblem, UsageError
from ablate.executors import Settings, order
from ablate.registry import default
from ablate.runner.job import Options, prepare


@pytest.fixture
def cell(spec, tmp_path):
    job = prepare(spec, (), Options(tmp_path / "s", tmp_path / "data", 1, "cpu"))
    return job.cells[0].cell


def messages(cell, tmp_path):
    settings = Settings(1, 1, "cpu", Environment(tmp_path / "data", download=False), tmp_path / "checkpoints")
    return list(worker.messages(order(cell, settings), lambda: False))


def test_a_training_is_told_as_json(cell, tmp_path):
    told = messages(cell, tmp_path)
    assert [message["event"] for message in told] == ["started", "epoch", "epoch", "done"]
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize(
    ("what", "identity"),
    [("torch", {"packages": {"torch": "1.0"}}), ("data", {"data": "0" * 64}), ("engine", {"engine": 0})],
)
def test_a_node_that_would_give_another_result_trains_nothing(cell, tmp_path, what, identity):
    packages = cell.identity["packages"] | identity.pop("packages", {})
    other = replace(cell, identity={**cell.identity, "packages": packages, **identity})
    told = messages(other, tmp_path)
    assert [message["event"] for message in told] == ["started", "failed"]
    assert "differs from the one that planned the study: " + what in told[1]["error"]


def test_a_cluster_of_its_own_listens_on_loopback_only():
    with ablate_ray.connected("local", 3, 0.5):
        host, port = ray.get_runtime_context().gcs_address.rsplit(":", 1)
        assert host == "127.0.0.1"
        assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]
        assert ray.cluster_resources()["CPU"] >= 2
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing; names the address that others know this machine by
            outside = probe.getsockname()[0]
        if outside != "127.0.0.1":
            with pytest.raises(OSError, match=r"refused|unreachable"):
                socket.create_connection((outside, int(port)), timeout=5)
    assert not ray.is_initialized()


def test_a_network_that_is_on_is_refused():
    with pytest.raises(EnvironmentProblem, match="would listen on 10.0.0.1:6379"):
        ablate_ray.must_be_loopback("10.0.0.1:6379")


def test_a_connection_that_exists_is_used_and_kept():
    ray.init(address="local", include_dashboard=False, num_cpus=1, object_store_memory=80_000_000, log_to_driver=False)
    try:
        with ablate_ray.executor(1):
            assert ray.cluster_resources()["CPU"] == 1
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.parametrize("value", ["many", "-1", "0"])
def test_a_wrong_variable_is_named(monkeypatch, value):
    monkeypatch.setenv("ABLATE_RAY_CPUS", value)
    with pytest.raises(UsageError, match="ABLATE_RAY_CPUS is "), ablate_ray.executor(1):
        pass


def test_a_client_address_is_refused():
    with pytest.raises(UsageError, match="no streams"), ablate_ray.executor(1, address="ray://localhost:10001"):
        pass


def test_no_cluster_is_a_problem_of_the_environment():
    with (
        pytest.raises(EnvironmentProblem, match="there is no Ray cluster at 'nonsense'"),
        ablate_ray.executor(1, address="nonsense"),
    ):
        pass


def test_its_parameters_are_ones_that_json_can_set():
    loaded = default().load("executor", "ray")
    assert set(loaded.signature.parameters) == {"address", "cpus", "gpus", "checkpoints", "retries", "patience"}
    assert all(parameter.doc for parameter in loaded.signature.parameters.values())


@pytest.mark.parametrize(
    ("given", "device", "devices", "needs"),
    [
        ({}, "cpu", 1, {"CPU": 1}),
        ({}, "cpu", 2, {"CPU": 2}),
        ({}, "cuda", 1, {"CPU": 1, "GPU": 1}),
        ({}, "cuda:0", 4, {"CPU": 4, "GPU": 4}),
        ({"cpus": 0.5, "gpus": 0.25}, "cuda", 1, {"CPU": 0.5, "GPU": 0.25}),
    ],
)
def test_an_actor_has_the_devices_of_its_cell(tmp_path, given, device, devices, needs):
    environment = Environment(tmp_path, download=False)
    assert Pool(**given).resources(Settings(1, 1, device, environment, tmp_path, devices=devices)) == needs
