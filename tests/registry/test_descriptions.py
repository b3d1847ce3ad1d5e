"""A list has a line of description each, and imports nothing for it."""

import subprocess
import sys

import pytest

from ablate.registry import HOOK, KINDS, Component, default
from ablate.registry.descriptions import description


def of(module: str, name: str = "thing") -> str:
    return description(Component("optimizer", name, f"{module}:{name}", "ablate-thing", "1.0"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes modules of a package whose import would fail; its name is another one each time."""
    name = f"described_{abs(hash(tmp_path))}"
    (tmp_path / name).mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**modules: str) -> str:
        for module, text in {"__init__": "", **modules}.items():
            (tmp_path / name / f"{module}.py").write_text(f"{text}\nraise SystemExit('imported')\n")
        return name

    return write


def test_a_description_is_what_an_import_would_tell():
    registry = default()
    for kind in KINDS:
        for component in registry.all(kind):
            if component.distribution == "ablate-core":
                assert description(component) == registry.load(kind, component.qualified_name).signature.summary, component
    assert all(description(hook) for hook in registry.all(HOOK) if hook.distribution == "ablate-core")


def test_names_are_followed_to_where_they_are_defined(package):
    name = package(
        __init__="from .inner import made as thing\nfrom .inner import made as other",
        inner="from .deep import made",
        deep="def made(x, /):\n    '''Made deep.\n\n    More.\n    '''\nclass A:\n    '''A class.'''\n"
        "class B:\n    '''Of two\n    lines.\n    Args:\n        x: One.\n    '''",
    )
    assert of(name) == "Made deep."
    assert of(f"{name}.deep", "A") == "A class."
    assert of(f"{name}.deep", "B") == "Of two lines."
    assert name not in sys.modules


def test_what_has_no_readable_source_has_no_description(package, tmp_path):
    name = package(
        __init__="from .round import thing\nmade = type('made', (), {})",
        round="from . import thing",
        broken="def thing(:",
        bytes="def thing():\n    '''Zero: \0'''",
    )
    assert [of(name), of(name, "made"), of(f"{name}.broken"), of(f"{name}.bytes"), of(f"{name}.gone"), of("no_such_module")] == [
        ""
    ] * 6
    (tmp_path / name / "broken.py").write_bytes(b"\xff\xfe\xff")
    assert of(f"{name}.broken", "x") == ""


def test_a_list_is_searched_and_imports_no_torch():
    code = "import sys; from ablate.cli import main\ntry: main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)

    found = call("list", "--search", "ARXIV 1905.04899")
    assert [line.split()[:2] for line in found.stdout.splitlines()] == [["kind", "name"], ["transform", "cutmix"]]
    assert found.stderr == "False\n"
    none = call("list", "--search", "nothing has this")
    assert none.stdout == ""
    assert none.stderr == "no component has 'nothing has this' in its name, package or description\nFalse\n"
    assert call("--version").stdout.startswith("ablate 0.")
