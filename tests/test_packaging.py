"""What is published: sdists and wheels that are whole, and install without this checkout."""

import shutil
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.packages import PLUGINS, ROOT, build, call, environment

NAMES = sorted(path.parent.name for path in PLUGINS.glob("*/pyproject.toml"))
LEFT_OUT = shutil.ignore_patterns("*.egg-info", "build", ".*", "__pycache__")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel of the core, built from its sdist; beside it lies the sdist."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "ablate", source / "ablate", ignore=LEFT_OUT)
    return build(source, folder)


def test_the_wheel_has_every_file_of_the_package(built):
    here = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ablate").rglob("*") if path.is_file()}
    here = {name for name in here if "__pycache__" not in name and not name.endswith(".pyc")}
    with zipfile.ZipFile(built) as wheel:
        there = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert here == there


def test_the_sdist_has_licence_readme_and_metadata(built):
    (sdist,) = built.parent.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO", "ablate/py.typed", "ablate/spec.schema.json"} <= names


def test_the_wheel_runs_a_study_without_the_checkout(built, tmp_path, spec, write):
    python = environment(tmp_path / "venv", Path(sys.executable))
    call(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", built, cwd=tmp_path)
    where = call(python, "-c", "import ablate; print(ablate.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    told = call(python, "-m", "ablate", "run", write(spec), "--store", tmp_path / "store", cwd=tmp_path)
    assert "batch_norm=on" in told
    assert (tmp_path / "store" / "reports" / "tiny" / "report.html").is_file()
    assert "ablate-example" in call(python, "-m", "ablate", "new-plugin", "ablate-example", "--kind", "loss", cwd=tmp_path)


@pytest.mark.parametrize("name", ["ablate-timm", "ablate-ray"])  # a module, and a folder; `tests.packages` builds all
def test_a_package_builds_whole(name, tmp_path):
    source = shutil.copytree(PLUGINS / name, tmp_path / name, ignore=LEFT_OUT)
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == name
    wheel = build(source, tmp_path)
    modules = {p.relative_to(source).as_posix() for p in source.rglob("*.py") if "tests" not in p.relative_to(source).parts}
    with zipfile.ZipFile(wheel) as archive:
        assert {file for file in archive.namelist() if ".dist-info/" not in file} == modules
        (declared,) = [file for file in archive.namelist() if file.endswith("/entry_points.txt")]
        assert "ablate." in archive.read(declared).decode()


@pytest.mark.parametrize("name", NAMES)
def test_a_package_says_how_to_install_and_test_it(name):
    project = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text("utf-8"))["project"]
    assert "test" in project["optional-dependencies"]
    assert f"pip install {name}" in (PLUGINS / name / "README.md").read_text("utf-8")


def test_an_extra_of_the_core_names_each_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    others = ("dev", "docs", "photographs", "remote", "testing")
    named = {package for name, packages in extras.items() if name not in others for package in packages}
    assert named == set(NAMES)
