"""docs/have-runs.md, followed to the letter: its table is written, its commands are run, and what it shows is what is seen."""

import re
import shlex

import pytest
from pages import DOCS, blocks
from typer.testing import CliRunner

from ablate.cli import app
from ablate.errors import UsageError

PAGE = DOCS / "have-runs.md"
BLOCKS = list(blocks(PAGE))
TABLES = [block for block in BLOCKS if re.match(r"[\w.+]+(,[\w.+]+)+\n", block.text)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each command of the page shows, in a folder with its tables."""
    folder = tmp_path_factory.mktemp("runs")
    for block in TABLES:
        (name,) = re.findall(r"`(\w+\.csv)`", "\n".join(PAGE.read_text().splitlines()[block.line - 6 : block.line]))
        (folder / name).write_text(block.text)
    shown = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COLUMNS", "160")
        for line in (line for block in BLOCKS if block.language == "console" for line in block.text.splitlines()):
            done = CliRunner().invoke(app, shlex.split(line)[1:])
            assert done.exit_code == 0 or isinstance(done.exception, UsageError), (line, done.output)
            shown[line] = str(done.exception) if isinstance(done.exception, UsageError) else done.stdout
    return folder, shown


def test_what_stands_there_is_what_is_seen(seen):
    _, shown = seen
    everything = [" ".join(line.split()) for text in shown.values() for line in text.splitlines()]
    for block in (block for block in BLOCKS if block.language == "text" and block not in TABLES):
        for line in block.text.splitlines():
            assert " ".join(line.split()) in everything, line


def test_the_first_is_refused_and_the_others_are_not(seen):
    folder, shown = seen
    assert [text.startswith("variants differ") for text in shown.values()] == [True, False, False, False, False, False]
    assert "not planned before the run" in (folder / "report.html").read_text()
    assert (folder / "decide.json").is_file()


def test_it_is_the_first_page_after_the_installation():
    index = (DOCS / "index.md").read_text()
    assert re.search(r"^install\nhave-runs$", index, re.MULTILINE)


def test_the_workflow_judges_what_it_trains(seen, tmp_path, monkeypatch):
    """Its steps are YAML, and its command works on the table that they write."""
    yaml = pytest.importorskip("yaml")
    (workflow,) = (yaml.safe_load(block.text) for block in BLOCKS if block.language == "yaml")
    steps = workflow["jobs"]["judge"]["steps"]
    (command,) = (step["run"] for step in steps if step.get("name") == "Judge")
    header = next(line for step in steps for line in step.get("run", "").splitlines() if "runs.csv" in line and "branch" in line)
    rows = [f"{branch},{seed},{0.9 + seed / 1000 - lost}" for branch, lost in (("main", 0), ("pull", 0.1)) for seed in range(5)]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("\n".join([header.split('"')[1], *rows]))
    done = CliRunner().invoke(app, shlex.split(command.partition(">")[0])[1:])
    assert done.exit_code == 4
    assert "| pull | worse" in done.stdout
