"""Where things are, and what is said of a place that cannot be trusted."""

import os

import pytest

import ablate
from ablate import places
from ablate.errors import EnvironmentProblem


def mounts(path, kind):
    device = path.stat().st_dev
    return (
        "21 1 0:99 / /proc rw,nosuid shared:5 - proc proc rw\n"
        f"36 35 {os.major(device)}:{os.minor(device)} / /home rw,noatime master:1 - {kind} server:/home rw,vers=4.2\n"
    )


@pytest.mark.parametrize(("kind", "told"), [("nfs4", "nfs4"), ("cifs", "cifs"), ("ext4", None), ("proc", None)])
def test_a_network_file_system_is_known_by_its_mount(tmp_path, monkeypatch, kind, told):
    table = tmp_path / "mountinfo"
    table.write_text(mounts(tmp_path, kind))
    monkeypatch.setattr(places, "MOUNTS", table)
    assert places.network_file_system(tmp_path) == told


def test_where_the_system_does_not_say_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "MOUNTS", tmp_path / "none")
    assert places.network_file_system(tmp_path) is None


def test_a_store_on_a_network_file_system_is_warned_of(spec, tmp_path, monkeypatch):
    table = tmp_path / "mountinfo"
    table.write_text(mounts(tmp_path, "nfs4"))
    monkeypatch.setattr(places, "MOUNTS", table)
    spec["seeds"], spec["base"]["epochs"] = 1, 1
    with pytest.warns(UserWarning, match=r"is on a network file system \(nfs4\): run studies on it from one machine at a time"):
        ablate.run(spec, store=tmp_path / "store", device="cpu", jobs=1)


BUILDS = {  # architectures that a build of torch has code for, the GPU, and whether it can compute on it
    ("sm_75 sm_86 sm_90", (8, 6)): True,
    ("sm_75 sm_86 sm_90", (8, 9)): True,
    ("sm_75 sm_86 sm_90", (8, 0)): False,
    ("sm_75 sm_86 sm_90", (6, 1)): False,
    ("sm_75 sm_86 sm_90", (12, 0)): False,
    ("sm_75 sm_90 compute_90", (12, 0)): True,
    ("sm_75 sm_90a", (9, 0)): True,
    ("sm_75 sm_90a", (9, 1)): False,
    ("sm_100 sm_120", (10, 0)): True,
    ("gfx90a gfx942", (9, 4)): True,
}


@pytest.mark.parametrize(("build", "gpu"), BUILDS)
def test_a_gpu_that_torch_has_no_code_for_is_not_taken_and_it_is_said(build, gpu, monkeypatch):
    import torch

    monkeypatch.setattr(places, "gpu_possible", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", build.split)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: gpu)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "Some GPU")
    if BUILDS[build, gpu]:
        assert places.device_of("auto") == "cuda"
        assert places.device_of("cuda:0") == "cuda:0"
        assert places.passed_over("auto") == ""
        return
    assert places.device_of("auto") == "cpu"
    assert f"has no code for the Some GPU (compute capability {gpu[0]}.{gpu[1]})" in places.passed_over("auto")
    assert places.passed_over("cpu") == ""
    with pytest.raises(EnvironmentProblem, match="has no code for the Some GPU"):
        places.device_of("cuda")
