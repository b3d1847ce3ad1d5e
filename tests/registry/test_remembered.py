"""What imports have told is the same when it is remembered, and nothing that is wrong with the cache matters."""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from ablate.components.datasets import cifar10
from ablate.contracts import Environment
from ablate.registry import KINDS, BrokenComponent, Registry, default, discover
from ablate.registry.params import Nested
from ablate.registry.remembered import SAID, Memory
from ablate.spec.identity import data_fingerprint

PROGRAM = """
import json, sys
from importlib.metadata import distributions
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from ablate.registry import discover
from ablate.registry.remembered import Memory
registry = discover(distributions(path=[sys.argv[1]]))
registry.memory = Memory(Path(sys.argv[2]))
loaded = registry.load("optimizer", "thing")
told = [sorted(loaded.signature.parameters), loaded.has("arch", sys.argv[3]), "ablate_thing" in sys.modules]
exec(sys.argv[4])
registry.memory.save()
print(json.dumps(told))
"""
MODULE = """
from typing import Annotated
from ablate.registry.params import Choices

def names():
    return ["a", "b"]

def thing(model, /, *, arch: Annotated[str, Choices(names)], lr: float = 0.1):
    '''A thing.'''
"""


def remembering(folder: Path) -> Registry:
    registry = discover(distributions())
    registry.memory = Memory(folder)
    return registry


def install(folder: Path, version: str = "1.0", module: str = MODULE, record: bool = True) -> None:
    for old in folder.glob("*.dist-info/*"):
        old.unlink()
    info = folder / "ablate_thing-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ablate-thing\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("[ablate.optimizers]\nthing = ablate_thing:thing\n")
    if record:
        (info / "RECORD").write_text(f"ablate_thing.py,sha256={hash(module)},{len(module)}\n")
    (folder / "ablate_thing.py").write_text(module)


@pytest.fixture(autouse=True)
def _nothing_seen(monkeypatch):
    monkeypatch.setattr("ablate.registry.remembered.first_stamps", {})


def started(
    folder: Path, cache: Path, member: str = "a", meanwhile: str = "", python: Sequence[str] = (sys.executable,)
) -> "subprocess.Popen[str]":
    command = [*python, "-B", "-c", PROGRAM, str(folder), str(cache), member, meanwhile]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def told(folder: Path, cache: Path, member: str = "a", **how: Any) -> list:
    """The parameters, whether the family has the member, and whether the module was imported; in a new process."""
    process = started(folder, cache, member, **how)
    said = process.communicate()[0]
    assert process.returncode == 0
    return json.loads(said)


def test_what_is_remembered_is_what_an_import_tells(tmp_path):
    first = remembering(tmp_path)
    names = [(kind, c.qualified_name) for kind in KINDS for c in first.all(kind) if c.distribution == "ablate-core"]
    imported = {name: first.load(*name) for name in names}
    first.memory.save()
    again = remembering(tmp_path)
    for name in names:
        recalled = again.load(*name)
        assert recalled.imported is None, name
        assert recalled.signature.schema() == imported[name].signature.schema(), name
        assert recalled.signature.doc == imported[name].signature.doc
        assert list(recalled.signature.parameters) == list(imported[name].signature.parameters)
        for parameter, expected in imported[name].signature.parameters.items():
            found = recalled.signature.parameters[parameter]
            same = ("required", "default", "nested", "path", "absent")
            assert all(getattr(found, part) == getattr(expected, part) for part in same), (name, parameter)
            assert bool(found.choices) == bool(expected.choices)
        told = {attribute: getattr(imported[name].factory, attribute, None) for attribute in SAID}
        assert recalled.said == {attribute: value for attribute, value in told.items() if not callable(value)}, name
    spec = {"use": "torchvision", "arch": "resnet18", "pretrained": False, "freeze_backbone": True}
    assert again.load("model", "torchvision").says("semantics", spec) == first.load("model", "torchvision").says(
        "semantics", spec
    )
    assert again.load("transform", "random_apply").signature.parameters["transforms"].nested == Nested("transform", many=True)


def test_a_fingerprint_is_remembered_only_where_the_content_is_fixed(tmp_path):
    environment = Environment(tmp_path / "data", download=False)
    first = remembering(tmp_path / "cache")
    fixed = {"use": "ablate-core:cifar10", "validation": 0.1, "limit": None}
    read = {"use": "ablate-core:digits", "size": 8, "channels": 1, "validation": 0, "limit": 20}
    made = [data_fingerprint(first, spec, environment) for spec in (fixed, read)]
    assert made[0] == cifar10(environment, validation=0.1).fingerprint()
    first.memory.save()
    again = remembering(tmp_path / "cache")
    recall = again.memory.recall
    assert list(recall(again.find("dataset", "cifar10"))["fingerprints"].values()) == [made[0]]
    assert recall(again.find("dataset", "digits"))["fingerprints"] == {}
    assert [data_fingerprint(again, spec, environment) for spec in (fixed, read)] == made


def test_a_check_imports_no_torch_the_second_time(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("ABLATE_DATA_DIR", str(tmp_path / "data"))
    spec = Path(__file__).parents[2] / "specs" / "q7.json"
    code = "import sys; from ablate.runner.job import *; prepare(sys.argv[1], [], Options(device='cpu', download=False)); "
    code += "print(*sorted({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    command = [sys.executable, "-c", code, str(spec)]
    first, second = (subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2))
    assert "torch" in first
    assert second == "\n"


def test_a_changed_package_is_imported_again(tmp_path):
    folder, cache = tmp_path / "site", tmp_path / "cache"
    install(folder)
    assert told(folder, cache) == [["arch", "lr"], True, True]
    assert told(folder, cache) == [["arch", "lr"], True, False]
    install(folder, version="1.1")
    assert told(folder, cache) == [["arch", "lr"], True, True]
    install(folder, version="1.1", module=MODULE.replace("lr: float", "rate: float"))  # another build of the same version
    assert told(folder, cache) == [["arch", "rate"], True, True]
    (folder / "ablate_thing.py").write_text(MODULE.replace("lr: float", "speed: float"))  # edited where it is installed
    assert told(folder, cache) == [["arch", "speed"], True, True]
    install(folder, record=False)  # nothing tells what is installed
    assert [told(folder, cache)[2] for _ in range(2)] == [True, True]


def install_package(folder: Path, editable: bool) -> Path:
    """A package whose component has its parameters from another module of it, which is given back."""
    install(folder, module="")
    (folder / "ablate_thing.py").unlink()
    package = folder / "ablate_thing"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import thing\n")
    (package / "inner.py").write_text(MODULE)
    (info,) = folder.glob("*.dist-info")
    if editable:
        about = {"url": folder.as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(about))
        (info / "RECORD").write_text("__editable__.ablate_thing.pth,,\n")
    else:
        (info / "RECORD").write_text("ablate_thing/__init__.py,,\nablate_thing/inner.py,,\n")
    return package / "inner.py"


@pytest.mark.parametrize("editable", [True, False])
def test_a_package_that_is_edited_is_imported_again(tmp_path, editable):
    inner, cache = install_package(tmp_path / "site", editable), tmp_path / "cache"
    before = inner.stat()
    assert [told(tmp_path / "site", cache)[2] for _ in range(2)] == [True, False]
    inner.write_text(MODULE.replace("lr: float", "ls: float"))  # as long as it was
    os.utime(inner, ns=(before.st_atime_ns, before.st_mtime_ns))  # and as old, as some ways of copying leave it
    assert told(tmp_path / "site", cache) == [["arch", "ls"], True, True]
    assert told(tmp_path / "site", cache) == [["arch", "ls"], True, False]


@pytest.mark.parametrize("editable", [True, False])
def test_what_was_imported_before_an_edit_is_not_remembered_as_what_is_there_since(tmp_path, editable):
    inner, cache = install_package(tmp_path / "site", editable), tmp_path / "cache"
    edit = f"Path({str(inner)!r}).write_text({MODULE.replace('lr: float', 'speed: float')!r})"
    assert told(tmp_path / "site", cache, meanwhile=edit) == [["arch", "lr"], True, True]
    assert told(tmp_path / "site", cache) == [["arch", "speed"], True, True]


def test_a_process_that_sees_a_package_in_a_second_state_remembers_nothing_of_it(tmp_path):
    inner, cache = install_package(tmp_path / "site", False), tmp_path / "cache"
    again = f"""
Path({str(inner)!r}).write_text({MODULE.replace("lr: float", "speed: float")!r})
later = discover(distributions(path=[sys.argv[1]]))
later.memory = Memory(Path(sys.argv[2]))
told = sorted(later.load("optimizer", "thing").signature.parameters)
later.memory.save()
"""
    assert told(tmp_path / "site", cache, meanwhile=again) == ["arch", "lr"]  # what this process has imported
    assert told(tmp_path / "site", cache) == [["arch", "speed"], True, True]
    assert told(tmp_path / "site", cache, meanwhile=again.replace("speed", "pace")) == ["arch", "pace"]


def test_anything_that_is_installed_makes_it_look_again(tmp_path):
    install(tmp_path / "site")
    assert [told(tmp_path / "site", tmp_path / "cache")[2] for _ in range(2)] == [True, False]
    other = tmp_path / "site" / "needed_by_what_it_needs-1.0.dist-info"
    other.mkdir()
    (other / "RECORD").write_text("")
    assert [told(tmp_path / "site", tmp_path / "cache")[2] for _ in range(2)] == [True, False]
    (other / "RECORD").unlink()
    (other / "RECORD").write_text("")
    assert [told(tmp_path / "site", tmp_path / "cache")[2] for _ in range(2)] == [True, False]


def test_a_module_from_elsewhere_than_its_package_is_imported_each_time(tmp_path, monkeypatch):
    install(tmp_path / "site")
    (tmp_path / "site" / "ablate_thing.py").rename(tmp_path / "ablate_thing.py")
    monkeypatch.syspath_prepend(tmp_path)
    assert [told(tmp_path / "site", tmp_path / "cache")[2] for _ in range(2)] == [True, True]


def test_each_interpreter_has_its_own(tmp_path):
    folder, cache = tmp_path / "site", tmp_path / "cache"
    install(folder)
    venv.create(tmp_path / "other", symlinks=True)
    others = [(str(tmp_path / "other" / "bin" / "python"),), (sys.executable, "-OO")]  # the second has no documentation to tell
    assert [told(folder, cache)[2] for _ in range(2)] == [True, False]
    for other in others:
        assert [told(folder, cache, python=other)[2] for _ in range(2)] == [True, False]
    assert not told(folder, cache)[2]


def test_processes_may_write_it_at_once(tmp_path):
    install(tmp_path / "site")
    writers = [started(tmp_path / "site", tmp_path / "cache") for _ in range(6)]
    assert all(json.loads(writer.communicate()[0])[:2] == [["arch", "lr"], True] for writer in writers)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert told(tmp_path / "site", tmp_path / "cache") == [["arch", "lr"], True, False]


def test_the_cache_does_not_grow_for_ever(tmp_path):
    from ablate.registry.remembered import FILES

    (tmp_path / "cache").mkdir()
    for number in range(FILES + 20):
        (tmp_path / "cache" / f"{number}.json").write_text("of an earlier state")
        os.utime(tmp_path / "cache" / f"{number}.json", (number, number))
    install(tmp_path / "site")
    told(tmp_path / "site", tmp_path / "cache")
    left = {path.name for path in (tmp_path / "cache").iterdir()}
    assert len(left) == FILES
    assert f"{FILES + 19}.json" in left
    assert "20.json" not in left
    assert told(tmp_path / "site", tmp_path / "cache") == [["arch", "lr"], True, False]


def test_that_a_family_has_no_such_member_is_never_remembered(tmp_path):
    install(tmp_path / "site")
    assert told(tmp_path / "site", tmp_path / "cache", "b") == [["arch", "lr"], True, True]
    assert told(tmp_path / "site", tmp_path / "cache", "c") == [["arch", "lr"], False, True]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("lr", "ls"),
        lambda text: "[]",
        lambda text: "null",
        lambda text: '{"sha256": 1, "body": 2}',
        lambda text: "[" * 100_000,
        lambda text: "\ud800".join(["", ""]),
    ],
)
def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path, damage):
    install(tmp_path / "site")
    told(tmp_path / "site", tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.json")
    path.write_bytes(damage(path.read_text()).encode(errors="surrogatepass"))
    assert told(tmp_path / "site", tmp_path / "cache") == [["arch", "lr"], True, True]
    assert told(tmp_path / "site", tmp_path / "cache") == [["arch", "lr"], True, False]


def test_a_file_of_another_shape_is_not_read(tmp_path):
    install(tmp_path / "site")
    told(tmp_path / "site", tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.json")
    right = json.loads(json.loads(path.read_text())["body"])["optimizer thing"]
    parts = ({"optimizer thing": {name: value for name, value in right.items() if name != part}} for part in right)
    lists = ({"optimizer thing": {**right, part: []}} for part in right)
    for known in (
        *parts,
        *lists,
        [],
        3,
        {"optimizer thing": None},
        {"optimizer thing": {"signature": {"parameters": {"arch": {}}}}},
    ):
        body = json.dumps(known)
        path.write_text(json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}))
        assert told(tmp_path / "site", tmp_path / "cache") == [["arch", "lr"], True, True]


def test_a_cache_that_cannot_be_written_is_none(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder would be")
    registry = remembering(tmp_path / "cache")
    assert registry.load("optimizer", "sgd").imported is not None
    registry.memory.save()
    assert (tmp_path / "cache").read_text() == "a file where the folder would be"


def test_an_import_that_fails_is_told_when_the_component_is_built(tmp_path):
    first = remembering(tmp_path)
    first.load("optimizer", "sgd")
    first.memory.save()
    again = remembering(tmp_path)
    loaded = again.load("optimizer", "sgd")
    object.__setattr__(loaded.component, "target", "ablate.no_such_module:sgd")
    with pytest.raises(BrokenComponent, match="no_such_module"):
        _ = loaded.factory


def test_workers_have_no_memory():
    code = "import ablate.executors.worker; from ablate.registry import default; print(default().memory)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "None\n"
    assert default().components
