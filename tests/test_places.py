"""Where things are, and what is said of a place that cannot be trusted."""

import os

import pytest

import ablate
from ablate import places


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
