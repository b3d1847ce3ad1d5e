"""Worker processes whose cells take turns on a pretended GPU."""

import sys
from pathlib import Path

import pytest

import ablate
from ablate import registry
from ablate.errors import SpecError

SITE = Path(__file__).with_name("site")  # gives workers the devices when they start


MODELS = "\n".join(f"{name} = pretended.own_parts:{name}" for name in ("breaking", "hungry", "mixed"))
ENTRY_POINTS = f"""
[{registry.KINDS["model"]}]
{MODELS}
[{registry.KINDS["transform"]}]
of_the_host = pretended.own_parts:of_the_host
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """`own_parts` as an installed plugin, for this process and for workers, which have pretended devices, too."""
    info = tmp_path / "site" / "own_parts-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own_parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(SITE), *sys.path])
    registry.default.cache_clear()
    yield
    registry.default.cache_clear()


@pytest.fixture
def run(spec, tmp_path, plugin):
    """Runs the tiny study on the pretended device, four cells at once."""

    def run(factors, store="store", settings=None, **options):
        spec["base"]["epochs"] = 8  # of five batches, so that cells are trained beside each other
        where = {"store": tmp_path / store, "data_dir": tmp_path / "data", "device": "cuda:0"}
        return ablate.run({**spec, "factors": factors, **(settings or {})}, **{**where, "jobs": 4, **options})

    return run


def test_a_cell_that_breaks_the_device_fails_alone(run):
    """The error comes at whatever is asked of the device next, so any cell of the process may be the one that sees it."""
    study = run({"model": {"breaking": {"model": {"use": "breaking"}}}}, settings={"seeds": 1})
    assert study.cells.set_index("variant").status.to_dict() == {"base": "done", "model=breaking": "failed"}
    assert "illegal memory access" in study.cells.error.dropna().item()
    assert study.provenance[0]["device"] == "Pretended GPU"


def test_a_cell_that_finds_no_memory_beside_others_runs_again_alone(run):
    """Whatever of CUDA's libraries says so, and in whichever words."""
    study = run({"model": {"hungry": {"model": {"use": "hungry"}}}})
    assert set(study.cells.status) == {"done"}


@pytest.mark.parametrize(
    ("field", "change", "told"),
    [
        ("model", {"model": {"use": "mixed"}}, "Expected all tensors to be on the same device"),
        ("train_transforms.noise", {"train_transforms": {"noise": {"use": "of_the_host"}}}, "device type for generator"),
    ],
)
def test_what_works_on_a_cpu_alone_is_told_before_anything_is_trained(field, change, told, run):
    with pytest.raises(SpecError, match=told) as error:
        run({"own": {"changed": change}})
    assert field in str(error.value)
