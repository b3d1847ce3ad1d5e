"""A run on both GPUs of a machine: a worker each."""

import sys

import pytest

import ablate

from .test_workers import SITE


@pytest.fixture(autouse=True)
def workers_have_devices(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(SITE), *sys.path])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_cells_on_two_gpus_are_what_they_are_on_one(spec, tmp_path):
    where = {"data_dir": tmp_path / "data", "progress": False}
    two = ablate.run(spec, store=tmp_path / "two", device="cuda", jobs=2, **where)
    one = ablate.run(spec, store=tmp_path / "one", device="cuda:1", jobs=1, **where)
    assert (two.cells["status"] == "done").all()
    assert list(two.cells["weights_sha256"]) == list(one.cells["weights_sha256"])
    assert list(two.cells["key"]) == list(one.cells["key"])


def test_each_program_has_a_gpu_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    program = "import os, time; time.sleep(2); print('gpu', os.environ['CUDA_VISIBLE_DEVICES'])"
    (tmp_path / "program.py").write_text(program)
    base = {
        "use": "command",
        "argv": ["{python}", "{here}/program.py", "{seed}", "{args}"],
        "settings": {"x": 1},
        "metrics": {"gpu": "maximize"},
        "pattern": r"gpu (?P<gpu>\d+)$",
    }
    study = {"name": "gpus", "base": base, "factors": {"x": {"1": {}, "2": {"settings": {"x": 2}}}}, "seeds": 1}
    done = ablate.run(study, store=tmp_path / "store", device="cuda", progress=False)
    assert sorted(done.cells["gpu"]) == [4, 6]
