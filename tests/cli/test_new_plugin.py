"""What `ablate new-plugin` writes is a package that can be installed, and passes its own tests."""

import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from ablate.cli.new_plugin import write
from ablate.errors import EnvironmentProblem, UsageError
from ablate.registry import HOOK, HOOKS, KINDS

GROUPS = {**KINDS, HOOK: HOOKS}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A plugin of every kind."""
    directory = tmp_path_factory.mktemp("plugins")
    return {kind: write(f"ablate-first-{kind}", kind, directory)[0].parent for kind in GROUPS}


def call(command, cwd, **environment):
    command = list(map(str, command))
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_kind_passes_its_own_tests(plugins, tmp_path):
    """Each is declared as pip would declare it, and all of them are tested in one process."""
    for kind, folder in plugins.items():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        info = folder / f"{folder.name.replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
        ((name, target),) = project["entry-points"][GROUPS[kind]].items()
        (info / "entry_points.txt").write_text(f"[{GROUPS[kind]}]\n{name} = {target}\n")
    folders = list(plugins.values())
    path = os.pathsep.join(map(str, [ROOT, *folders]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", tmp_path]
    told = call([*command, "-c", os.devnull, *folders], tmp_path, PYTHONPATH=path, PYTEST_ADDOPTS="")
    assert "passed" in told
    assert "skipped" not in told


def test_what_is_written_is_tidy(plugins):
    rules = ["--isolated", "--line-length", "120", "--select", "E,F,W,I,B,UP,SIM"]
    for folder in plugins.values():
        call([sys.executable, "-m", "ruff", "check", "--no-cache", *rules, "."], folder)
        texts = [path.read_text("utf-8") for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert not any("$" in text for text in texts), "every placeholder is filled"
        (module,) = folder.glob("*.py")
        assert_no_example(folder, module)
        assert len(module.read_text("utf-8").splitlines()) < 50


def assert_no_example(folder, module):
    """What the example is called stays in the example: the package is the author's own."""
    example = module.read_text("utf-8").splitlines()[0].strip('"').partition(",")[0]
    for name in ("pyproject.toml", "README.md"):
        assert example not in (folder / name).read_text("utf-8")


def test_one_is_installed_by_pip_tested_listed_and_gone(plugins, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    scheme = {"base": str(tmp_path / "venv"), "platbase": str(tmp_path / "venv")}
    site = Path(sysconfig.get_path("purelib", "venv", vars=scheme))
    outer = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (site / "outer.pth").write_text(outer)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    folder = plugins["optimizer"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    call([python, "-m", "pip", "install", *offline, folder], tmp_path)
    assert "ablate-first-optimizer 0.1.0" in call([python, "-m", "ablate", "list", "optimizer"], tmp_path)
    assert "Bernstein" in call([python, "-m", "ablate", "show", "optimizer", "first_optimizer"], tmp_path)
    told = call([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder], tmp_path, PYTEST_ADDOPTS="-p no:xdist")
    assert "passed" in told
    call([python, "-m", "pip", "uninstall", "--yes", "--quiet", "ablate-first-optimizer"], tmp_path)
    assert "first" not in call([python, "-m", "ablate", "list", "optimizer"], tmp_path)


def test_files_are_where_a_newcomer_looks(tmp_path):
    written = {path.relative_to(tmp_path).as_posix() for path in write("Ablate.Lion-2", "optimizer", tmp_path)}
    names = ["pyproject.toml", "README.md", ".gitignore", "ablate_lion_2.py", "tests/test_ablate_lion_2.py"]
    assert written == {f"Ablate.Lion-2/{name}" for name in names}
    assert all((tmp_path / path).is_file() for path in written)
    project = tomllib.loads((tmp_path / "Ablate.Lion-2" / "pyproject.toml").read_text())["project"]
    assert project["entry-points"] == {"ablate.optimizers": {"lion_2": "ablate_lion_2:lion_2"}}


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("ablate-lion", "optimiser", "there is no kind 'optimiser'. Did you mean 'optimizer'"),
        ("-lion", "optimizer", "cannot be the name of a package"),
        ("ablate lion", "optimizer", "cannot be the name of a package"),
        ("../lion", "optimizer", "cannot be the name of a package"),
        ("lion\n", "optimizer", "cannot be the name of a package"),
        ("3d-nets", "model", "'3d_nets', and Python cannot have that"),
        ("ablate-2nets", "model", "'2nets', and Python cannot have that"),
        ("ablate-class", "model", "'class', and Python cannot have that"),
        ("ablate-len", "transform", "'len', and Python cannot have that"),
        ("json", "model", "would have the module 'json'"),
        ("torch", "model", "would have the module 'torch'"),
        ("ablate-adam", "optimizer", "would have the optimizer 'adam', and ablate-core has one"),
        ("ablate-torch", "optimizer", "the example imports one"),
        ("ablate-pytest", "model", "the example imports one"),
    ],
)
def test_names_that_cannot_work_are_refused(tmp_path, name, kind, message):
    with pytest.raises(UsageError, match=message):
        write(name, kind, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "ablate-lion").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write("ablate-lion", "optimizer", tmp_path)
    assert not list((tmp_path / "ablate-lion").iterdir())


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        write("ablate-lion", "optimizer", tmp_path / "file")
