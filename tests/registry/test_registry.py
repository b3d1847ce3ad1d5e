"""Discovery: nothing is imported, nothing can break it, and every mistake has a message."""

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from ablate.errors import EnvironmentProblem
from ablate.registry import KINDS, BrokenComponent, UnknownComponent, build, default, discover


def install(folder: Path, name: str, entry_points: str, module: str = "") -> None:
    """A distribution as pip leaves it, and its module."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    if module:
        (folder / f"{name.replace('-', '_')}.py").write_text(module)


def found_in(folder: Path):
    return discover(distributions(path=[str(folder)]))


def test_every_built_in_component_loads_with_documentation():
    registry = default()
    for kind in KINDS:
        for component in registry.all(kind):
            if component.distribution == "ablate-core":
                loaded = registry.load(kind, component.qualified_name)
                assert loaded.signature.summary, component
                assert all(parameter.doc for parameter in loaded.signature.parameters.values()), component


def test_an_unknown_name_gets_close_matches():
    with pytest.raises(UnknownComponent, match="Did you mean 'adamw' or 'adam'"):
        default().find("optimizer", "adanw")


def test_two_packages_with_one_name_are_told_apart(tmp_path):
    install(tmp_path, "one", "[ablate.optimizers]\nlion = os:path\n")
    install(tmp_path, "two", "[ablate.optimizers]\nlion = sys:path\n")
    registry = found_in(tmp_path)
    with pytest.raises(UnknownComponent, match=r'provided by (one|two) 1.0 and .*"use": "(one|two):lion"'):
        registry.find("optimizer", "lion")
    assert registry.find("optimizer", "two:lion").target == "sys:path"


@pytest.mark.parametrize(
    ("value", "reason"),
    [("not a target", "is not of the form"), ("nowhere_at_all:thing", "there is no module 'nowhere_at_all'")],
)
def test_a_component_that_cannot_work_is_listed_with_its_reason(tmp_path, value, reason):
    install(tmp_path, "broken", f"[ablate.models]\nbad = {value}\n")
    component = found_in(tmp_path).find("model", "bad")
    assert reason in component.problem
    with pytest.raises(BrokenComponent, match=reason):
        found_in(tmp_path).load("model", "bad")


def test_metadata_that_cannot_be_read_hides_no_other_package(tmp_path):
    install(tmp_path, "bad", "[ablate.models]\nno equals sign\n")
    install(tmp_path, "good", "[ablate.models]\nfine = os:getcwd\n")
    registry = found_in(tmp_path)
    assert registry.names("model") == ["fine"]
    assert any("bad" in message for message in registry.unreadable)


def test_a_group_that_does_not_exist_is_reported(tmp_path):
    install(tmp_path, "odd", "[ablate.optimisers]\nx = os:getcwd\n")
    assert "ablate.optimizers" in found_in(tmp_path).unreadable[0]


def test_a_module_that_fails_to_import_breaks_only_its_component(tmp_path, monkeypatch):
    install(tmp_path, "explodes", "[ablate.models]\nboom = explodes:boom\n", "raise RuntimeError('no luck')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        BrokenComponent, match="explodes 1.0 cannot be used: importing explodes:boom failed: RuntimeError: no luck"
    ):
        found_in(tmp_path).load("model", "boom")


def test_a_factory_without_annotations_is_refused(tmp_path, monkeypatch):
    install(tmp_path, "loose", "[ablate.models]\nloose = loose:loose\n", "def loose(info, /, *, width=1): ...")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvironmentProblem, match="'width' has no annotation"):
        found_in(tmp_path).load("model", "loose")


def test_nested_components_are_built_for_their_parent():
    spec = {"use": "random_apply", "p": 1.0, "transforms": {"flip": {"use": "random_horizontal_flip", "p": 1.0}}}
    import torch

    images = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4)
    assert torch.equal(build(default(), "transform", spec)(images, torch.Generator()), images.flip(-1))


def test_listing_imports_neither_torch_nor_a_plugin():
    show = "print(sorted(sys.modules), file=sys.stderr)"
    code = f"import sys; from ablate.cli import app; app(['list'], standalone_mode=False); {show}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "resnet" not in done.stdout
    assert "optimizer" in done.stdout
    imported = done.stderr
    for name in ("torch", "torchvision", "timm", "ablate_timm", "numpy", "pandas", "ablate.components"):
        assert f"'{name}'" not in imported


def test_a_thousand_components_are_listed(tmp_path):
    lines = "\n".join(f"lion{index} = herd:lion" for index in range(1000))
    install(tmp_path, "herd", f"[ablate.optimizers]\n{lines}\n", "raise RuntimeError('imported')")
    assert len(found_in(tmp_path).names("optimizer")) == 1000
