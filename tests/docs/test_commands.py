"""Every command on the pages works: it is run as it stands there, on less data, or the reason why it is not is given below."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import typer
from markdown_it import MarkdownIt
from pages import DOCS, ROOT, blocks, in_process_executor, pages, shell_lines
from typer.testing import CliRunner

import ablate
from ablate import registry
from ablate.cli import app

ELSEWHERE = {  # pages that a test of their own follows
    "docs/first-plugin.md": "tests/docs/test_first_plugin.py",
    "docs/four-plugins.md": "tests/docs/test_four_plugins.py",
    "docs/your-own-code.md": "tests/docs/test_your_own_code.py",
    "docs/have-runs.md": "tests/docs/test_have_runs.py",
    "docs/what-you-can-ablate.md": "tests/docs/test_what_you_can_ablate.py",
}
NOT_RUN = {  # page, and how a command on it begins: why it is not run
    ("docs/watching.md", "ablate watch"): "does not end by itself; tests/watch runs it, and looks at its page",
    ("docs/kept.md", "ablate run specs/quickstart.json --keep weights"): "tests/store/test_kept.py keeps those of a smaller one",
    ("docs/kept.md", "ablate run teachers.json"): "of anybody's studies; tests/runner/test_inputs.py trains such teachers",
    ("docs/kept.md", "ablate check students.json"): "of anybody's studies; tests/runner/test_inputs.py has such students",
    ("docs/kept.md", "ablate run students.json"): "of anybody's studies; tests/runner/test_inputs.py trains such students",
    ("docs/kept.md", "ablate predict"): "needs weights and images; tests/store/test_kept.py has both",
    ("docs/kept.md", "ablate evaluate"): "needs weights; tests/store/test_kept.py has some",
    ("docs/stores.md", "ablate run study.json --remote"): "needs a place that is shared; tests/runner/test_sharing.py has some",
    ("README.md", "ablate run width.json"): "of a function, which has no images; tests/test_readme.py runs it",
    ("README.md", "ablate judge"): "of the whole quickstart's report; tests/test_readme.py judges the table of a study",
    ("docs/performance.md", "ablate bench --dataset"): "takes an hour; tests/test_bench.py runs the smallest benchmark",
    ("docs/performance.md", "ablate bench photographs"): "needs photographs; tests/test_bench.py makes some",
    ("docs/performance.md", "ablate judge"): "of a table that was made to be measured; tests/docs/test_have_runs.py judges one",
    ("docs/performance.md", "ablate bench gpu"): "needs a GPU; tests/pretended/test_bench.py pretends one",
    ("docs/performance.md", "ablate bench specs"): "needs a GPU, and takes hours",
    ("docs/public-results.md", "ablate judge"): "of files of others, which do not come along; tests/judging has them made small",
    ("docs/results/README.md", "ablate run specs/q$q.json"): "hours of training, on images that do not come along",
    ("docs/results/README.md", "ablate report q0"): "a minute for all reports; tests/docs/test_results.py has them",
    ("docs/results/README.md", "ablate run specs/precision.json"): "as the other studies of that page",
    ("docs/results/README.md", "ablate run specs/q7-"): "as the other studies of that page",
    ("docs/statistics.md", "ablate power STUDY"): "of anybody's study; tests/runner/test_planning.py follows one up",
    ("docs/statistics.md", "ablate run follow-up.json"): "what the line above it writes",
    ("plugins/ablate-hydra/README.md", "ablate judge"): "needs the package, whose own tests run a sweep",
    ("plugins/ablate-mlflow/README.md", "ablate judge"): "needs the package, whose own tests do this",
    ("plugins/ablate-optuna/README.md", "ablate judge"): "needs the package, whose own tests do this",
    ("plugins/ablate-tensorboard/README.md", "ablate judge"): "needs the package, whose own tests do this",
    ("plugins/ablate-wandb/README.md", "ablate judge"): "needs the package, whose own tests do this",
    ("plugins/ablate-mlflow/README.md", "ablate run"): "needs a server; the package's own tests start one",
    ("plugins/ablate-ray/README.md", "ablate run"): "needs a cluster; the package's own tests start one",
    ("plugins/ablate-slurm/README.md", "ablate run"): "needs a cluster; the package's own tests have a stand-in",
    ("plugins/ablate-speedrun/README.md", "ablate run"): "needs the package and a GPU, or an hour; its own tests try the spec",
    ("plugins/ablate-tensorboard/README.md", "ablate run"): "needs the package, whose own tests do this",
    ("plugins/ablate-wandb/README.md", "ablate run"): "needs the package or a login; the package's own tests do it offline",
}
DATASET = '{"use": "digits", "size": 16, "limit": 200}'
LESS = ["--set", f"base.dataset={DATASET}", "--set", "base.epochs=1"]  # what a page's own studies are made small with


def commands(page: Path) -> list[tuple[dict[str, str], list[str]]]:
    """The variables and the words of each line, or part of a line, that calls `ablate`."""
    found = []
    for line in (line for block in blocks(page) for line in shell_lines(block)):
        for part in line.removeprefix("$ ").split(" && "):
            if not re.match(r"\s*([A-Z_]+=\S+ )*(\S+/)?ablate ", part):
                continue
            words = shlex.split(part, comments=True)
            first = next(index for index, word in enumerate(words) if word.rpartition("/")[2] == "ablate")
            found.append((dict(word.split("=", 1) for word in words[:first]), ["ablate", *words[first + 1 :]]))
    return found


def reason(page: str, words: list[str]) -> str | None:
    """Why a command is not run here."""
    return ELSEWHERE.get(page) or next(
        (why for (where, start), why in NOT_RUN.items() if where == page and " ".join(words).startswith(start)), None
    )


def listed() -> list[tuple[str, dict[str, str], list[str]]]:
    return [(page.relative_to(ROOT).as_posix(), *command) for page in pages() for command in commands(page)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with what the pages' commands need: `specs`, `study.json` of the first study, and a store with all the names."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(ROOT / "specs", folder / "specs")
    for block in blocks(DOCS / "first-study.md"):
        if block.file:
            (folder / block.file).write_text(block.text)
    with pytest.MonkeyPatch.context() as patch:
        here = in_process_executor(folder)
        patch.syspath_prepend(folder / "ablate-inline")
        patch.setenv("ABLATE_DATA_DIR", str(folder / "data"))
        patch.setenv("COLUMNS", "160")
        patch.chdir(folder)
        registry.default.cache_clear()
        names = [json.loads(path.read_text())["name"] for path in (folder / "specs").iterdir()]
        for name in [*names, "q3-long", "first", "first-decided", "first-all"]:
            less = [*LESS[1::2], "seeds=2", f'name="{name}"']
            ablate.run(folder / "study.json", overrides=less, executor=here[1], device="cpu")
        yield folder
    sys.modules.pop("ablate_inline", None)
    registry.default.cache_clear()


@pytest.fixture(scope="module")
def keys(folder):
    """What stands for the keys of cells that a page has from somebody's store."""
    cells = ablate.load_study("first", store=folder / "ablate-store").cells
    return {"063f8c": cells["key"][0][:6], "fa0946": cells["key"][1][:6]}


RUN = [command for command in listed() if reason(command[0], command[2]) is None]


@pytest.mark.parametrize(("page", "variables", "words"), RUN, ids=[f"{page}: {shlex.join(words)}" for page, _, words in RUN])
def test_a_command_works(page, variables, words, folder, keys, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    arguments = [keys.get(word, word) for word in words[1:]]
    if arguments[0] == "run":
        seeds = [] if any(word.startswith("seeds=") for word in arguments) else ["--set", "seeds=2"]
        arguments += [*LESS, *seeds, *["--executor", "inline"]]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    if "--output" in arguments:
        assert Path(arguments[arguments.index("--output") + 1]).exists()
    else:
        assert done.stdout.strip()


def test_every_page_with_commands_is_known():
    """The list of what is not run has nothing that is not there, and the pages with commands are found at all."""
    for page, start in NOT_RUN:
        assert any(page == where and " ".join(words).startswith(start) for where, _, words in listed()), (page, start)
    assert {"README.md", "docs/first-study.md", "docs/reports.md", *ELSEWHERE} <= {page for page, _, _ in listed()}
    for page, test in ELSEWHERE.items():
        assert Path(page).name in (ROOT / test).read_text("utf-8")


def inline() -> list[tuple[str, str]]:
    """Commands within the text of the pages."""
    found = []
    for page in pages():
        for token in MarkdownIt().parse(page.read_text("utf-8")):
            codes = [child.content for child in token.children or () if child.type == "code_inline"]
            found += [(page.name, code) for code in codes if re.match(r"ablate [a-z-]", code)]
    return found


@pytest.mark.parametrize(("page", "code"), inline())
def test_commands_and_options_within_the_text_exist(page, code):
    words = shlex.split(code)[1:]
    group = typer.main.get_command(app)
    if not words[0].startswith("-"):
        assert words[0] in group.commands, code
    command = group.commands.get(words[0], group)
    if isinstance(command, typer.core.TyperGroup) and command is not group and len(words) > 1:  # as in `ablate store list`
        assert words[1] in command.commands, code
        command = command.commands[words[1]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= known, code
