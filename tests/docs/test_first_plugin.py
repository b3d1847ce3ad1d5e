"""docs/first-plugin.md, followed to the letter: its files are written, and its commands run, in their order."""

import os
import re
import shlex
import subprocess
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest
from pages import DOCS, blocks, environment_of

from ablate.registry import KINDS
from ablate.testing import CONTRACTS

PAGE = DOCS / "first-plugin.md"
TEXT = PAGE.read_text("utf-8")


def script() -> str:
    """The page as a shell would be told it."""
    lines = ["set -e"]
    guard = 'test "$(command -v pip)" = "$VIRTUAL_ENV/bin/pip"'
    for block in blocks(PAGE):
        if block.language == "console":
            lines += [f"{guard}\n{line}" if line.startswith("pip ") else line for line in block.text.splitlines()]
        elif file := block.file:
            lines.append(f"test -e {shlex.quote(file)} || test {Path(file).suffix} = .json")  # what the page replaces is there
            lines.append(f"cat > {shlex.quote(file)} <<'END OF FILE'\n{block.text}END OF FILE")
    return "\n".join(lines)


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
    modules = {file: block.text for block in blocks(PAGE) if (file := block.file) and "test_" not in file}
    names = {"ablate_lion.py", "ablate_mlp.py", "ablate_restarts.py", "ablate_noise.py"}
    assert {Path(file).name for file in modules if file.endswith(".py")} == names
    assert all(len(text.splitlines()) < 40 for text in modules.values())


def test_every_kind_and_every_attribute_of_a_contract_is_on_the_page():
    assert all(f"`{kind}`" in TEXT for kind in KINDS)
    for contract in CONTRACTS.values():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{contract.__name__}`"))
        tried = set(contract.__annotations__) - {"kind"}
        assert tried <= set(re.findall(r"`(\w+)`", row)), contract
