"""What a shell offers, asked as the script that `ablate --install-completion` installs asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.store import Store

SPECS = Path(__file__).parents[2] / "specs"


def offered(line: str, cwd: Path = SPECS.parent) -> list[str]:
    words = line.split(" ")
    asked = {"_ABLATE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = "import sys; from ablate.cli import main; sys.argv[0] = 'ablate'; import atexit; "
    code += "atexit.register(lambda: print(sorted({'torch', 'pandas', 'timm'} & set(sys.modules)), file=sys.stderr)); main()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **asked}, check=True)
    assert done.stderr.strip() == "[]", "nothing heavy is imported"
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ablate ru", ["run"]),
        ("ablate show optim", ["optimizer"]),
        ("ablate show optimizer ad", ["adagrad", "adam", "adamw"]),
        ("ablate show model ti", ["timm"]),
        ("ablate show nothing a", []),
        ("ablate list sch", ["scheduler"]),
        ("ablate show trainer i", ["image_classification"]),
        ("ablate run specs/q1", ["specs/q1.json"]),
        ("ablate report --format csv specs/quick", ["specs/quickstart.json"]),
        ("ablate run --executor lo", ["local"]),
        ("ablate new-plugin ablate-x --kind tr", ["trainer", "transform"]),
        ("ablate fetch cifar", ["cifar10", "cifar100"]),
    ],
)
def test_it_offers(line, expected):
    assert offered(line) == expected


def test_specs_are_json_files_here_and_one_level_down(tmp_path):
    for name in ("a.json", "a.txt", "[b].json", "apart/c.json", "apart/d.txt", ".hidden.json", "b.jsonc", "b.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert offered("ablate run a", tmp_path) == ["a.json", "apart/c.json"]
    assert offered("ablate run [", tmp_path) == ["[b].json"]
    assert offered("ablate run ", tmp_path) == ["[b].json", "a.json", "apart/c.json", "b.jsonc"]
    assert offered(f"ablate check {tmp_path}/ap", Path("/")) == [f"{tmp_path}/apart/c.json"]


def test_studies_are_those_of_the_store(tmp_path):
    assert offered("ablate watch ", tmp_path) == []
    for store, names in (("ablate-store", ("second", "first")), ("apart", ("fifth",))):
        with Store(tmp_path / store) as opened:
            for name in names:
                opened.save_study(name, {}, {}, [])
    (tmp_path / "figures.json").touch()
    assert offered("ablate predict f", tmp_path) == ["first"]
    assert offered("ablate report f", tmp_path) == ["first", "figures.json"]
    assert sorted(offered("ablate diff first ", tmp_path)) == ["first", "second"]
    assert offered("ablate store remove --store apart f", tmp_path) == ["fifth"]


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_the_script_for_bash_works():
    command = [sys.executable, "-c", "import sys; from ablate.cli import main; sys.argv[0] = 'ablate'; main()"]
    environment = {**os.environ, "_ABLATE_COMPLETE": "source_bash"}
    script = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    asks = 'COMP_WORDS=(ablate show optimizer ada); COMP_CWORD=3; _ablate_completion ablate; echo "${COMPREPLY[@]}"'
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    bash = ["bash", "-c", f"{script}\n{asks}"]
    done = subprocess.run(bash, capture_output=True, text=True, check=True, env={**os.environ, "PATH": path})
    assert done.stdout.split() == ["adagrad", "adam", "adamw"]
