"""The pages of the documentation: their blocks, the files and commands on them, and a shell in which they can be followed."""

import os
import re
import shlex
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from ablate.cli.new_plugin import write

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
SHELLS = ("console", "sh", "bash", "")


@dataclass(frozen=True)
class Block:
    """A fenced or an indented block of a page.

    Attributes:
        page: Path of the page in the repository.
        line: Number of its first line in the page, from 1.
        language: What follows the fence; empty for an indented block.
        text: Its lines.
        before: The line above it that is not empty.
    """

    page: str
    line: int
    language: str
    text: str
    before: str

    @property
    def file(self) -> str | None:
        """The file that it is, which the line before it names."""
        named = re.findall(r"`([\w./-]+\.(?:py|json|toml))`", self.before)
        return named[-1] if named and self.before.endswith(":") else None


def pages() -> list[Path]:
    """Every page that is written by hand, the READMEs among them."""
    found = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts and path.name != "summary.md"]
    return sorted([*found, ROOT / "README.md", *ROOT.glob("plugins/*/README.md")])


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    lines = text.splitlines()
    for token in MarkdownIt().parse(text):
        if token.type in ("fence", "code_block") and token.map:
            before = next((line for line in reversed(lines[: token.map[0]]) if line.strip()), "")
            yield Block(page.relative_to(ROOT).as_posix(), token.map[0] + 1, token.info.strip(), token.content, before)


def shell_lines(block: Block) -> list[str]:
    """The lines of a shell block, each with those that continue it."""
    text = re.sub(r"\\\n\s*", "", block.text) if block.language in SHELLS else ""
    return [line for line in text.splitlines() if line.strip()]


def environment_of(folder: Path) -> dict[str, str]:
    """Variables for a shell in which a page's commands find what is installed here, and can change nothing of it.

    The page may make `.venv` and activate it. Until then `python3` is a script, and the scripts of this environment, its `pip`
    among them, are not on the path. pip is told which Python it works for, whichever `pip` is called.
    """
    scheme = {"base": str(folder / ".venv"), "platbase": str(folder / ".venv")}
    site, scripts = (Path(sysconfig.get_path(name, "venv", vars=scheme)) for name in ("purelib", "scripts"))
    site.mkdir(parents=True)
    (site / "outer.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    commands = {
        folder / "bin" / "python3": f'exec {shlex.quote(sys.executable)} "$@"',
        scripts / "pip": f'exec {shlex.quote(str(scripts / "python"))} -m pip "$@"',
        scripts / "ablate": f'exec {shlex.quote(str(scripts / "python"))} -m ablate "$@"',
    }
    for command, text in commands.items():
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
    own = {Path(sys.executable).parent, Path(sys.prefix) / "bin", Path(sysconfig.get_path("scripts"))}
    path = [place for place in os.environ["PATH"].split(os.pathsep) if Path(place) not in own]
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(folder / "bin"), *path]),
        "PIP_PYTHON": str(scripts / "python"),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say that there is none
        "PYTEST_ADDOPTS": "-p no:xdist",
        "ABLATE_DATA_DIR": str(folder / "data"),
        "COLUMNS": "120",
    }


def in_process_executor(folder: Path) -> list[str]:
    """Puts the executor of `ablate new-plugin` into a folder of the path, and gives the options that choose it.

    Cells then run in the process of the test: a worker would take longer to start than the cells of a page take to train.
    """
    sys.modules.pop("ablate_inline", None)  # of a test before
    write("ablate-inline", "executor", folder)
    info = folder / "ablate-inline" / "ablate_inline-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ablate-inline\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text("[ablate.executors]\ninline = ablate_inline:inline\n")
    return ["--executor", "inline"]
