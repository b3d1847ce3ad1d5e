"""What a probe says of programs that repeat, that do not, and that fail."""

import json

import pytest

from ablate.runner.job import Options, prepare
from ablate.runner.probing import in_words, probe

PROGRAM = """
import argparse, json, os, random
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--add", type=float)
args = parser.parse_args()
random.seed(args.seed or None)
if args.add >= 9:
    raise SystemExit("nine")
with open(os.environ["ABLATE_RECORDS"], "a") as file:
    file.write(json.dumps({"score": random.random() + args.add}))
"""


@pytest.fixture
def probed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(PROGRAM)

    def run(base, levels, seeds):
        spec = {
            "name": "probed",
            "base": {
                "use": "command",
                "argv": ["{python}", "{here}/train.py", "--seed", "{seed}", "{args}"],
                "settings": {"add": base},
                "metrics": {"score": "maximize"},
            },
            "factors": {"add": {"base": {}, **{str(level): {"settings": {"add": level}} for level in levels}}},
            "seeds": seeds,
        }
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        found = list(probe(prepare("spec.json", (), Options(store=tmp_path / "store")), lambda name: None))
        return [in_words(one, found[0]) for one in found]

    return run


def test_a_seed_that_fixes_nothing_is_told(probed):
    told = probed(0.0, [1.0], 2)
    assert told[0].startswith("other numbers the second time: seed 0 does not fix all that is random.")
    assert '"seeds": [1, 2, 3]' in told[0], "because 0 is no seed for some programs"
    assert probed(0.0, [1.0], [1, 2]) == [
        "the same numbers twice: the same seed is the same run",
        "other numbers: it reaches the run",
    ]


def test_the_same_failure_is_told_once(probed):
    told = probed(9.0, [9.5, 1.0], [1, 2])
    assert told[0].startswith("failed: the program ended with exit code 1. The end of what it printed:\nnine")
    assert told[1:] == ["failed as the reference did", "ran; the reference did not"]
    told = probed(0.0, [9.0], [1, 2])
    assert told[0].startswith("the same numbers twice")
    assert told[1].startswith("failed: the program ended with exit code 1.")
