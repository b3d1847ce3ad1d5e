"""docs/four-plugins.md: its packages are installed as they stand there, and its studies run with them."""

import json
import os
import shlex
import subprocess

import pytest
from pages import DOCS, blocks, environment_of, in_process_executor, shell_lines

PAGE = DOCS / "four-plugins.md"
KINDS = {"convmixer": "model", "centred": "optimizer", "trapezoid": "scheduler", "gamma": "transform"}
RUN = """
import json, sys
from typer.testing import CliRunner
from ablate.cli import app

for command in json.load(sys.stdin):
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    print(done.stdout)
    assert done.exit_code == 0, (command, done.output)
"""


def files() -> dict[str, str]:
    """What the page has to be written, by file."""
    return {block.file: block.text for block in blocks(PAGE) if block.file}


def test_each_kind_is_a_package_of_under_40_lines():
    for folder, kind in KINDS.items():
        package = {file: text for file, text in files().items() if file.startswith(f"{folder}/")}
        assert set(package) == {f"{folder}/pyproject.toml", f"{folder}/ablate_{folder}.py"}
        assert f'"ablate.{kind}s"' in package[f"{folder}/pyproject.toml"]
        assert sum(len(text.splitlines()) for text in package.values()) < 40


@pytest.mark.timeout(600)  # four packages and four studies in one environment; pip takes longer where the machine is shared
@pytest.mark.skipif(os.name == "nt", reason="the page's commands are for a POSIX shell")
def test_the_page_works_as_it_stands(tmp_path):
    for file, text in files().items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    lines = [shlex.split(line) for block in blocks(PAGE) if block.language == "console" for line in shell_lines(block)]
    installs = [line[2] for line in lines if line[:2] == ["pip", "install"]]
    commands = [line[1:] for line in lines if line[0] == "ablate"]
    assert len(installs) + len(commands) == len(lines)
    assert [command[-1] for command in commands if command[0] == "run"] == [f"{folder}.json" for folder in KINDS]

    here = in_process_executor(tmp_path)
    commands = [command + here * (command[0] == "run") for command in commands]
    prepare = "python3 -m venv --without-pip .venv && . .venv/bin/activate"
    shell = f"{prepare} && pip install -q --no-deps {shlex.join(installs)} && python -c {shlex.quote(RUN)}"
    environment = {**environment_of(tmp_path), "PYTHONPATH": str(tmp_path / "ablate-inline"), "COLUMNS": "160"}
    done = subprocess.run(
        ["bash", "-c", shell], cwd=tmp_path, env=environment, capture_output=True, text=True, input=json.dumps(commands)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(word in done.stdout for word in ("kernel=seven", "centred=yes", "schedule=trapezoid", "gamma=on"))
    assert all(f"ablate-{folder} 0.1.0" in done.stdout for folder in KINDS)
    assert "cannot be used" not in done.stdout
    for folder in KINDS:
        study = json.loads((tmp_path / "ablate-store" / "reports" / folder / "study.json").read_text())
        assert {cell["status"] for cell in study["cells"]} == {"done"}
