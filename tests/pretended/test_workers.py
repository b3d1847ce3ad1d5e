"""Worker processes whose cells take turns on a pretended GPU."""

import sys
from pathlib import Path

import pytest

import ablate
from ablate import registry

SITE = Path(__file__).with_name("site")  # gives workers the devices when they start


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """`own_parts` as an installed plugin, for this process and for workers, which have pretended devices, too."""
    info = tmp_path / "site" / "own_parts-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own_parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.KINDS['model']}]\nbreaking = pretended.own_parts:breaking\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(SITE), *sys.path])
    registry.default.cache_clear()
    yield
    registry.default.cache_clear()


@pytest.fixture
def run(spec, tmp_path, plugin):
    """Runs the tiny study on the pretended device, four cells at once unless told otherwise."""

    def run(factors, store="store", **options):
        study = {**spec, "factors": factors}
        where = {"store": tmp_path / store, "data_dir": tmp_path / "data", "device": "cuda:0"}
        return ablate.run(study, **{**where, "jobs": 4, **options})

    return run


def test_a_cell_that_breaks_the_device_fails_alone(run):
    """The error comes at whatever is asked of the device next, so any cell of the process may be the one that sees it."""
    study = run({"model": {"breaking": {"model": {"use": "breaking"}}}})
    status = {(cell.variant, cell.seed): cell.status for cell in study.cells.itertuples()}
    print(study.cells[["variant", "seed", "status", "error"]].to_string())
    assert status == {("base", 0): "done", ("base", 1): "done", ("model=breaking", 0): "failed", ("model=breaking", 1): "failed"}
    assert study.cells.error.dropna().str.contains("illegal memory access").all()
    assert study.provenance[0]["device"] == "Pretended GPU"
