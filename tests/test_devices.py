"""Which devices a run has, and how cells are shared out to them; no GPU is needed for it."""

from types import SimpleNamespace

import pytest

import ablate
from ablate import devices, places
from ablate.devices import Layout, layout
from ablate.errors import EnvironmentProblem, UsageError
from ablate.executors import Settings
from ablate.executors.devices import free, must_have_places, next_place, seen_from, take_own


@pytest.fixture
def gpus(monkeypatch):
    """A machine with so many GPUs, as far as torch says."""

    def have(count):
        monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
        monkeypatch.setattr("torch.cuda.device_count", lambda: count)
        monkeypatch.setattr(places, "gpu_possible", lambda: True)
        monkeypatch.setattr(places, "no_kernels", lambda index: "")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return have


@pytest.mark.parametrize(
    ("count", "name", "found"),
    [
        (0, "auto", "cpu"),
        (1, "auto", "cuda"),
        (1, "cuda", "cuda"),
        (1, "cuda:0", "cuda:0"),
        (4, "auto", "cuda:0,1,2,3"),
        (4, "cuda", "cuda:0,1,2,3"),
        (4, "cuda:2", "cuda:2"),
        (4, "cuda:0,2", "cuda:0,2"),
        (4, "cpu", "cpu"),
    ],
)
def test_the_devices_of_a_run(gpus, count, name, found):
    gpus(count)
    assert devices.of_run(name) == found


def test_devices_that_are_not_there_and_names_that_are_none(gpus):
    gpus(2)
    with pytest.raises(EnvironmentProblem, match="device 'cuda:2': this machine has 2 CUDA devices"):
        devices.of_run("cuda:0,2")
    with pytest.raises(UsageError, match="device 'cuda:1,1': names a device twice"):
        devices.of_run("cuda:1,1")
    for name in ("cuda:", "cuda:0,", "cuda:,1"):
        with pytest.raises(UsageError, match="has no number where one is expected"):
            devices.of_run(name)
    for name in ("cuda:a", "cuda:0,b", "cpu:0,1", "gpu"):
        with pytest.raises(UsageError, match="expected auto, cpu, cuda"):
            devices.of_run(name)


def test_mig_instances_are_devices_although_a_process_sees_the_first_alone(gpus, monkeypatch):
    gpus(1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,MIG-b,MIG-c")
    assert devices.of_run("cuda") == "cuda:0,1,2"
    assert devices.of_run("cuda:0,2") == "cuda:0,2"
    assert devices.first("cuda:2") == "cuda"
    assert seen_from("cuda:2") == {"device": "cuda", "visible": "MIG-c"}
    with pytest.raises(EnvironmentProblem, match="CUDA_VISIBLE_DEVICES names 3 MIG instances"):
        devices.of_run("cuda:3")


@pytest.mark.parametrize(
    ("given", "place", "seen"), [("", "cuda:0,1", "0,1"), ("4,6", "cuda:1", "6"), ("GPU-a, GPU-b", "cuda:0,1", "GPU-a,GPU-b")]
)
def test_a_process_sees_its_own_gpus_by_the_names_of_the_user(monkeypatch, given, place, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert seen_from(place) == {"device": "cuda", "visible": seen}


def test_a_process_that_shares_nothing_out_sees_what_there_is():
    assert seen_from(None) == seen_from("cuda") == {}


CORES = places.jobs_of(None, "cpu", 1)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("cpu", 4, 100, 1, 1, True), Layout(4, 1)),
        (("cpu", 4, 100, 1, 2, False), Layout(2, 1, 2)),  # a cell on two devices counts as two jobs
        (("cpu", 1, 100, 1, 2, False), Layout(1, 1, 2)),
        (("cpu", None, 100, 1, CORES, False), Layout(1, 1, CORES)),
        (("cuda", None, 100, 1, 1, True), Layout(16, 16, 1, ("cuda",))),
        (("cuda", None, 3, 1, 1, True), Layout(3, 3, 1, ("cuda",))),
        (("cuda:0,2", None, 100, 1, 1, True), Layout(32, 16, 1, ("cuda:0", "cuda:2"))),
        (("cuda:0,2", 5, 100, 1, 1, True), Layout(5, 3, 1, ("cuda:0", "cuda:2"))),
        (("cuda:0,2", None, 1, 1, 1, True), Layout(1, 1, 1, ("cuda:0", "cuda:2"))),
        (("cuda:0,1,2,3,4", None, 100, 1, 2, False), Layout(2, 1, 2, ("cuda:0,1", "cuda:2,3"))),
        (("cuda:0,1", None, 100, 1, 1, False), Layout(2, 1, 1, ("cuda:0", "cuda:1"))),
        (("cuda", None, 100, 1, 2, False), Layout(16, 1, 2, ())),  # a cluster may have what is missing here
    ],
)
def test_cells_are_shared_out_to_devices(arguments, found):
    assert layout(*arguments) == found


def test_a_machine_with_too_few_devices_trains_no_such_cell(tmp_path, environment):
    settings = Settings(1, 1, "cuda", environment, tmp_path, devices=2)
    with pytest.raises(EnvironmentProblem, match="a cell takes 2 devices, and the run has fewer"):
        must_have_places(settings)


def test_processes_are_spread_over_the_places():
    all_, taken = ("cuda:0", "cuda:1"), []
    for _ in range(5):
        taken.append(next_place(all_, taken))
    assert taken == ["cuda:0", "cuda:1", "cuda:0", "cuda:1", "cuda:0"]
    assert next_place((), [None]) is None


@pytest.mark.parametrize(
    ("device", "count", "found"),
    [("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("cuda:1", 1, "cuda:1"), ("cuda", 2, "cuda:0,1"), ("cuda:2,3", 1, "cuda:2")],
)
def test_the_part_of_a_place_that_a_cell_takes(device, count, found):
    assert devices.part(device, count) == found


def test_a_place_that_is_smaller_than_a_cell():
    with pytest.raises(EnvironmentProblem, match="takes 2 devices, and has cuda:1"):
        devices.part("cuda:1", 2)


def test_sizes():
    assert [devices.size_of(text) for text in ("6GB", "1.5 gb", "500MB")] == [6 * 10**9, 15 * 10**8, 5 * 10**8]
    for text in ("6", "0GB", "-1GB", "6 GiB", "all"):
        with pytest.raises(UsageError, match="expected a size, such as 6GB"):
            devices.size_of(text)


def test_a_budget_of_memory_is_for_gpus(spec, tmp_path):
    with pytest.raises(UsageError, match="this one is on a CPU"):
        ablate.run(spec, store=tmp_path, device="cpu", memory="6GB")


@pytest.fixture
def limits(monkeypatch):
    """What a process was limited to, by GPU, on a machine with two of 16 GB, of which 10 are free."""
    told = {}
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda number: SimpleNamespace(total_memory=16 * 10**9))
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (10 * 10**9, 16 * 10**9))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda device: 3 * 10**9)
    monkeypatch.setattr("torch.cuda.set_per_process_memory_fraction", lambda part, number: told.update({number: part}))
    return told


def test_a_process_keeps_to_its_memory(limits, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    take_own({"device": "cuda", "memory": 4 * 10**9})
    assert limits == {0: 0.25, 1: 0.25}
    assert free("cuda", {"memory": 4 * 10**9}) == 10**9
    assert free("cuda", {"memory": None}) == free("cuda", {}) == 10 * 10**9
    with pytest.raises(EnvironmentProblem, match=r"--memory is 20 GB, and GPU 0 has 16 GB\."):
        take_own({"device": "cuda", "memory": 20 * 10**9})


def test_a_process_that_is_not_limited_asks_for_no_gpu(limits):
    take_own({"device": "cpu", "memory": 4 * 10**9})
    take_own({"device": "cuda", "memory": None})
    take_own({"device": "cuda"})  # an order of an older form
    assert not limits
