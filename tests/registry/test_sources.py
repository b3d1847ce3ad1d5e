"""Code and files that change while a study runs: what was planned is what is trained, or nothing is stored."""

import itertools
import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

import ablate
from ablate import registry
from ablate.executors import Settings, order
from ablate.executors.training import messages
from ablate.registry import sources
from ablate.registry.hooks import hookimpl
from ablate.runner.job import Options, prepare
from ablate.store import Store
from ablate.testing.processes import descendants

MODEL = '''
"""A network whose first layer is scaled by numbers that lie elsewhere in the package."""
import json
from pathlib import Path

from torch import nn

from ablate.components.models import net
from ablate.registry.params import FilePath

{imports}


class Scaled(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images * {scale})


def scaled(info, /, *, weights: FilePath | None = None) -> nn.Module:
    """A network.

    Args:
        weights: A file.
    """
    return Scaled(net(info))
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An editable install: a model in a folder of the package `edited`, and what it uses in others."""
    project, site = tmp_path / "project", tmp_path / "site"
    package, info = project / "edited", site / "edited-1.0.dist-info"
    for folder in (package / "models", package / "a", package / "b", info):
        folder.mkdir(parents=True)
    for folder in ("", "models", "a", "b"):
        (package / folder / "__init__.py").write_text("")
    (package / "models" / "scaled.py").write_text(MODEL.format(imports="from edited.helper import SCALE", scale="SCALE"))
    (package / "helper.py").write_text("SCALE = 1.0\n")
    (package / "numbers.json").write_text("[1.0]")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edited\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ablate.models]\nscaled = edited.models.scaled:scaled\n")
    (info / "direct_url.json").write_text(json.dumps({"url": project.as_uri(), "dir_info": {"editable": True}}))
    for folder in (project, site):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sources, "imported", {})
    _look_anew()
    yield package
    _look_anew()


def _look_anew():
    """As in a process that has just started."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "edited"]:
        del sys.modules[name]
    registry.default.cache_clear()
    sources.look_again()


def version():
    sources.look_again()
    return sources.version_of("edited")


@pytest.fixture
def one_cell(spec):
    del spec["factors"]
    return spec | {"base": spec["base"] | {"model": {"use": "scaled"}}, "seeds": 1}


def planned(spec, tmp_path, **options):
    return prepare(spec, (), Options(tmp_path / "s", tmp_path / "data", 1, "cpu", **options)).cells[0].cell


def told(cell, environment, tmp_path):
    settings = Settings(1, 1, "cpu", environment, tmp_path / "checkpoints", checkpoint_seconds=0)
    return messages(json.loads(json.dumps(order(cell, settings))), lambda: False)


def last(messages):
    return [message for message in messages if message is not None][-1]


class Then:
    """A listener that does something when a study is planned, and before a worker has a cell."""

    def __init__(self, do):
        self.do = do

    @hookimpl
    def study_start(self, study):
        self.do()


def run(spec, tmp_path, do=lambda: None):
    from ablate.runner.driver import run_study

    options = Options(tmp_path / "s", tmp_path / "data", 1, "cpu")
    return run_study(spec, (), options, {"then": Then(do)}, pytest.fail)[0].cells.iloc[0]


def wait_for_a_look():
    """A worker imports torch when it has looked at all packages; on a busy machine a study may be planned before. Linux tells."""
    until = time.monotonic() + 60
    while sys.platform == "linux" and not any(_has_torch(process) for process in descendants()):
        assert time.monotonic() < until, "no worker came so far"
        time.sleep(0.05)


def _has_torch(process):
    with suppress(OSError):
        return "libtorch" in Path("/proc", str(process), "maps").read_text(errors="replace")
    return False


@pytest.mark.parametrize("editable", [False, True])
def test_a_release_of_the_core_changes_no_key(monkeypatch, editable):
    """What gives other results counts up its `semantics`; the keys of the first release go on to be found."""
    real = sources.distribution_of

    class Released:
        name, version = "ablate-core", "0.9.7"

        @staticmethod
        def read_text(name):
            return real("ablate-core").read_text(name) if editable else None

    before = dict(sources.packages_of("ablate-core"))
    monkeypatch.setattr(sources, "distribution_of", lambda name: Released if name == "ablate-core" else real(name))
    sources.look_again()
    try:
        assert sources.packages_of("ablate-core") == (before if editable else {"ablate-core": "0.1.0"})
    finally:
        monkeypatch.undo()
        sources.look_again()


def test_the_source_of_an_editable_core_is_in_its_keys():
    """All that trains; of a core that is not editable the release stands for it."""
    files = sources.package_of("ablate-core").files
    assert files, "the tests run in a checkout"
    root = Path(ablate.__file__).parent
    assert {path.relative_to(root).parts[0] for path in files} == set(sources.TRAINING)
    assert {root / "engine" / "train.py", root / "components" / "models.py", root / "trainers" / "command.py"} <= set(files)


@pytest.mark.parametrize(
    "edit",
    [
        lambda package: (package / "helper.py").write_text("SCALE = 2.0\n"),
        lambda package: (package / "numbers.json").write_text("[2.0]"),
        lambda package: (package / "compiled.so").write_bytes(b"code"),
        lambda package: (package / "helper.py").rename(package / "a" / "helper.py"),
    ],
    ids=["a helper elsewhere in the package", "data", "a compiled module", "another place"],
)
def test_everything_of_an_editable_package_is_in_its_digest(project, edit):
    before = version()
    assert version() == before
    (project / ".hidden").write_text("an editor's")
    (project / "__pycache__").mkdir()
    (project / "__pycache__" / "helper.cpython-311.pyc").write_text("made again")
    assert version() == before
    edit(project)
    assert version() != before


def test_two_files_of_one_name_in_each_others_place_are_another_package(project):
    for folder, value in (("a", 1), ("b", 2)):
        (project / folder / "scale.py").write_text(f"SCALE = {value}\n")
    before = version()
    for folder, value in (("a", 2), ("b", 1)):
        (project / folder / "scale.py").write_text(f"SCALE = {value}\n")
    assert version() != before


def test_an_edit_between_the_plan_and_the_import_is_not_stored_under_the_old_codes_key(project, one_cell, tmp_path):
    """On worker processes, which started before the edit and import after it."""

    def edit():
        wait_for_a_look()
        (project / "helper.py").write_text("SCALE = 0.0\n")

    failed = run(one_cell, tmp_path, edit)
    assert failed["status"] == "failed"
    assert failed["error"] == (
        f"{project / 'helper.py'} was edited while the study ran. No result of this cell is stored: run the study again."
    )
    with Store(tmp_path / "s") as store:
        assert store.stored([failed["key"]]) == set()
    again = run(one_cell, tmp_path)
    assert (again["status"], again["accuracy"]) == ("done", pytest.approx(0.1, abs=0.08)), "all images are 0 in the new code"
    assert again["key"] != failed["key"]
    (project / "helper.py").write_text("SCALE = 1.0\n")
    before = run(one_cell, tmp_path)
    assert before["key"] == failed["key"]
    assert before["weights_sha256"] != again["weights_sha256"]


def test_what_was_imported_before_an_edit_goes_on(project, one_cell, environment, tmp_path):
    """A worker that lives long trains what it has imported, and that is what was planned."""
    cell = planned(one_cell, tmp_path)
    heard = told(cell, environment, tmp_path)
    while next(heard) is not None:
        pass  # up to the end of the first batch
    (project / "helper.py").write_text("SCALE = 0.0\n")
    (project / "notes.py").write_text("")
    done = last(heard)
    assert done["event"] == "done"
    assert done["result"]["trained"] == cell.identity


def test_a_data_file_of_the_package_may_have_been_read_at_any_time(project, one_cell, environment, tmp_path):
    cell = planned(one_cell, tmp_path)
    heard = told(cell, environment, tmp_path)
    while next(heard) is not None:
        pass
    (project / "numbers.json").write_text("[0.0]")
    assert f"{project / 'numbers.json'} was edited while the study ran" in last(heard)["error"]
    assert [*(tmp_path / "checkpoints").iterdir()] != [], "what was saved before the edit is good"


def test_a_module_that_is_imported_after_an_edit_is_found_before_anything_is_saved(project, one_cell, environment, tmp_path):
    late = MODEL.format(imports="", scale="__import__('edited.late').late.SCALE")
    (project / "models" / "scaled.py").write_text(late)
    (project / "late.py").write_text("SCALE = 1.0\n")
    cell = planned(one_cell, tmp_path)
    heard = told(cell, environment, tmp_path)
    assert next(heard) == {"event": "started"}
    (project / "late.py").write_text("SCALE = 0.0\n")
    assert f"{project / 'late.py'} was edited" in last(heard)["error"]
    assert not (tmp_path / "checkpoints").exists()


def test_a_process_that_has_old_code_does_not_train_for_the_new_one(project, one_cell, environment, tmp_path):
    """As with an executor that trains in the process of a notebook, where the study is planned again after an edit."""
    assert last(told(planned(one_cell, tmp_path), environment, tmp_path))["event"] == "done"
    (project / "helper.py").write_text("SCALE = 0.0\n")
    assert f"{project / 'helper.py'} was edited" in last(told(planned(one_cell, tmp_path), environment, tmp_path))["error"]
    (project / "helper.py").write_text("SCALE = 1.0\n")
    assert last(told(planned(one_cell, tmp_path), environment, tmp_path))["event"] == "done"


def test_other_packages_than_planned_are_named(spec, environment, tmp_path):
    cell = planned(spec, tmp_path)
    versions = cell.identity["packages"]
    planned_with = versions | {"torch": "1.0", "ablate-core": "0.1.0+0123456789abcdef"}
    other = replace(cell, identity=cell.identity | {"packages": planned_with})
    error = last(told(other, environment, tmp_path))["error"]
    assert f"torch was 1.0 and became {versions['torch']}" in error
    assert "ablate-core was " in error


def test_a_file_of_a_recipe_that_changes_after_the_plan_is_named(project, one_cell, environment, tmp_path):
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"old")
    one_cell["base"]["model"]["weights"] = str(weights)
    cell = planned(one_cell, tmp_path)
    assert last(told(cell, environment, tmp_path))["event"] == "done"
    weights.write_bytes(b"new")
    error = last(told(cell, environment, tmp_path))["error"]
    assert error == f"{weights} was changed while the study ran. No result of this cell is stored: run the study again."
    assert planned(one_cell, tmp_path).key != cell.key


@pytest.mark.parametrize("when", ["before it is read", "while it is decoded"])
def test_a_folder_of_images_that_changes_after_the_plan_gives_no_result(spec, environment, tmp_path, monkeypatch, when):
    """And nothing of it stays in the cache under the name of what was there before."""
    from PIL import Image

    folder, colours = tmp_path / "images", {"black": 0, "white": 255}
    for part, name in itertools.product(("train", "test"), colours):
        (folder / part / name).mkdir(parents=True)
        for index in range(16):
            Image.new("L", (16, 16), colours[name]).save(folder / part / name / f"{index:02}.png")
    del spec["factors"]
    spec["base"]["dataset"] = {"use": "image_folder", "path": str(folder), "channels": 1}
    spec |= {"seeds": 1}

    def swap():
        for part in ("train", "test"):
            Image.new("L", (16, 16), 255).save(folder / part / "black" / "15.png")

    cell = planned(spec, tmp_path)
    if when == "before it is read":
        swap()
    else:
        opened, first = Image.open, iter([swap])
        monkeypatch.setattr(Image, "open", lambda path, **more: (next(first, bool)(), opened(path, **more))[1])
    failed = last(told(cell, environment, tmp_path))
    assert failed["event"] == "failed"
    assert "changed while " + ("the study ran" if when == "before it is read" else "they were decoded") in failed["error"]
    monkeypatch.undo()
    for part in ("train", "test"):
        Image.new("L", (16, 16), 0).save(folder / part / "black" / "15.png")
    assert planned(spec, tmp_path).key == cell.key
    train = registry.build(registry.default(), "dataset", cell.recipe["dataset"], environment).load().train
    assert train.images[train.labels == 0].max() == 0
