"""What else is on the pages: Python that compiles and does what it says, and specs that are accepted."""

import doctest
import json
import typing
from pathlib import Path

import pytest
import torch
import torchvision
from pages import DOCS, Block, blocks, pages
from PIL import Image
from typer.testing import CliRunner

from ablate.cli import app
from ablate.registry import params

PLUGINS = (
    "docs/first-plugin.md",
    "docs/four-plugins.md",
    "docs/your-own-code.md",
    "docs/what-you-can-ablate.md",
)  # tests of their own write these files and use them
BLOCKS = [block for page in pages() for block in blocks(page)]


def place(block: Block) -> str:
    return f"{block.page}:{block.line}"


PYTHON = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=place)
def test_python_compiles_or_gives_what_stands_there(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if ">>>" not in block.text:
        compile(block.text, place(block), "exec")
        return
    test = doctest.DocTestParser().get_doctest(block.text, {}, place(block), block.page, block.line)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    told: list[str] = []
    assert runner.run(test, out=told.append).failed == 0, "".join(told)


def test_python_is_found():
    assert sum(">>>" in block.text for block in PYTHON) >= 1
    assert len(PYTHON) > 10


JSON = [block for block in BLOCKS if block.language == "json" and block.page not in PLUGINS]


@pytest.mark.parametrize("block", JSON, ids=place)
def test_specs_are_accepted_and_fragments_are_json(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file in (other for other in BLOCKS if other.page == block.page and other.file):
        (tmp_path / file.file).write_text(file.text)
    if '"path": "photos"' in block.text:
        _photos(tmp_path)
    whole = block.text.lstrip().startswith("{")
    document = json.loads(block.text if whole else f"{{{block.text}}}")
    if "base" in document:
        path = tmp_path / "spec.json"
        path.write_text(block.text)
        done = CliRunner().invoke(app, ["check", str(path)], catch_exceptions=False)
        assert done.exit_code == 0, done.output


def _photos(folder: Path) -> None:
    """A folder of images of several sizes in two classes, and weights like torchvision's, as the page on images has them."""
    for name, colour in (("cat", "red"), ("dog", "blue")):
        (folder / "photos" / name).mkdir(parents=True)
        for place in range(5):
            Image.new("RGB", (300 + 20 * place, 260), colour).save(folder / "photos" / name / f"{place}.jpg")
    torch.save(torchvision.models.resnet18().state_dict(), folder / "resnet18-f37072fd.pth")


def test_specs_are_found():
    assert sum('"base"' in block.text for block in JSON) >= 2


def test_every_annotation_for_parameters_is_on_the_page_of_plugins():
    page = (DOCS / "plugins.md").read_text("utf-8")
    aliases = [name for name, value in vars(params).items() if typing.get_origin(value) is typing.Annotated]
    assert "Positive" in aliases
    assert all(f"`{name}`" in page for name in aliases)
