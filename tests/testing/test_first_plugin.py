"""docs/first-plugin.md, followed to the letter: its files are written, and its commands run, in their order."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest

from ablate.registry import KINDS
from ablate.testing import CONTRACTS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "first-plugin.md").read_text("utf-8")
BLOCK = re.compile(r"(?P<before>[^\n]*)\n\n```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)


def file_of(block: re.Match[str]) -> str | None:
    """The file that a block is, which the line before it names."""
    named = re.search(r"`([\w./-]+\.(?:py|json))`", block["before"])
    return named[1] if named and block["before"].endswith(":") else None


def script() -> str:
    """The page as a shell would be told it."""
    lines = ["set -e"]
    guard = 'test "$(command -v pip)" = "$VIRTUAL_ENV/bin/pip"'
    for block in BLOCK.finditer(PAGE):
        if block["language"] == "console":
            lines += [f"{guard}\n{line}" if line.startswith("pip ") else line for line in block["text"].splitlines()]
        elif file := file_of(block):
            lines.append(f"test -e {shlex.quote(file)} || test {Path(file).suffix} = .json")  # what the page replaces is there
            lines.append(f"cat > {shlex.quote(file)} <<'END OF FILE'\n{block['text']}END OF FILE")
    return "\n".join(lines)


def environment_of(folder: Path) -> dict[str, str]:
    """Variables for a shell in which the page's commands find what is installed here, and can change nothing of it.

    The page makes `.venv` and activates it. Until then `python3` is a script, and the scripts of this environment, its `pip`
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


def installed_here() -> set[tuple[str, str]]:
    """Names and versions of what the environment that runs this test has."""
    return {(found.name, found.version) for found in distributions(path=[sysconfig.get_path("purelib")])}


@pytest.mark.timeout(900)  # a minute of work, much of it pip's, which takes longer where the machine is shared
@pytest.mark.skipif(os.name == "nt", reason="the page's commands are for a POSIX shell")
def test_the_page_works_as_it_stands(tmp_path):
    """In an environment that sees the packages of this one, so that pip finds all that it needs without a network."""
    before = installed_here()
    done = subprocess.run(["bash", "-c", script()], cwd=tmp_path, env=environment_of(tmp_path), capture_output=True, text=True)
    assert installed_here() == before, "the page's commands changed the environment that runs this test"
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" passed in ") == 3
    assert "failed" not in done.stdout
    assert len(re.findall(r"optimizer +lion +ablate-lion 0\.1\.0", done.stdout)) == 1
    assert "Chen et al., 2023" in done.stdout
    report = (tmp_path / "together.md").read_text()
    assert all(name in report for name in ("noise=on", "scheduler=restarts", "widths=narrow"))


def test_every_module_of_the_page_is_short():
    modules = {file: block["text"] for block in BLOCK.finditer(PAGE) if (file := file_of(block)) and "test_" not in file}
    names = {"ablate_lion.py", "ablate_mlp.py", "ablate_restarts.py", "ablate_noise.py"}
    assert {Path(file).name for file in modules if file.endswith(".py")} == names
    assert all(len(text.splitlines()) < 40 for text in modules.values())


def test_every_kind_and_every_attribute_of_a_contract_is_on_the_page():
    assert all(f"`{kind}`" in PAGE for kind in KINDS)
    for contract in CONTRACTS.values():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{contract.__name__}`"))
        tried = set(contract.__annotations__) - {"kind"}
        assert tried <= set(re.findall(r"`(\w+)`", row)), contract
