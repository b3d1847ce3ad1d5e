"""Any program as a trainer: what it is told, what is taken from it, and what becomes of it."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from sittings import Sitting, checked, problems

from ablate.registry import default
from ablate.spec.identity import recipe_identity
from ablate.spec.trainer import Controls, Interrupted
from ablate.trainers import places
from ablate.trainers.command import INTERRUPTED
from ablate.trainers.declared import setting_problems

PRINTS = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), {k: v for k, v in os.environ.items() if k in %r}]))"
TOLD = ("ABLATE_SEED", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PYTHONPATH", "RATE")


def recipe(*argv, **fields):
    given = {"use": "command", "argv": ["{python}", *argv], "metrics": {"accuracy": "maximize"}}
    return given | fields


def script(folder, text, name="train.py"):
    (folder / name).write_text(text)
    return f"{{here}}/{name}"


WRITES = """
import json, os, sys
with open(os.environ["ABLATE_RECORDS"], "a") as file:
    for record in json.loads(sys.argv[1]):
        file.write((record if isinstance(record, str) else json.dumps(record)) + "\\n")
print("\\x1b[32mended well\\x1b[0m" if len(sys.argv) < 3 else sys.exit(int(sys.argv[2])))
"""


def writing(here, tmp_path, lines, **fields):
    text = WRITES.replace("json.loads(sys.argv[1])", repr(lines)).replace("len(sys.argv) < 3", "True")
    return Sitting(recipe(script(here, text), "{seed}", **fields), tmp_path)


def test_a_program_is_told_seed_settings_folder_and_devices(here, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "of a worker")
    monkeypatch.setenv("ABLATE_OUTER_PYTHONPATH", "of the user")
    settings = {"lr": -0.1, "name": "a b", "deep": True, "off": False, "none": None, "sizes": [1, 2]}
    argv = ["-c", PRINTS % (TOLD,) + "; print('accuracy 1')", "--seed={seed}", "{args}", "{{{name}}}"]
    argv[1] = argv[1].replace("{", "{{").replace("}", "}}")
    cell = Sitting(
        recipe(*argv, settings=settings, pattern=r"accuracy (?P<accuracy>\d+)", env={"RATE": "{lr}"}, threads=2), tmp_path, 7
    )
    cell.run()
    arguments, folder, variables = json.loads((tmp_path / "key/.output").read_text().splitlines()[0])
    assert arguments == ["--seed=7", "--lr=-0.1", "--deep", "--sizes", "1", "2", "{a b}"], "argparse takes it as it is meant"
    assert folder == str(tmp_path / "key/work")
    assert variables == {
        "ABLATE_SEED": "7",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": "of the user",
        "RATE": "-0.1",
    }


def test_hydra_takes_the_overrides_as_they_are_meant():
    settings = {
        "optim": {"lr": 0.1, "name": "adam"},
        "text": "it's, a: b",
        "number": "1",
        "list": [1, "x"],
        "none": None,
        "yes": True,
    }
    assert places.items(["{hydra}"], settings, {}) == [
        "optim.lr=0.1",
        "optim.name=adam",
        r"text='it\'s, a: b'",
        "number='1'",
        "list=[1,x]",
        "none=null",
        "yes=true",
    ]


def test_a_file_has_seed_and_settings(here, tmp_path):
    text = "import json, sys; c = json.load(open(sys.argv[1])); print('accuracy', c['seed'] + c['settings']['a']['b'])"
    cell = Sitting(
        recipe(script(here, text), "{config}", settings={"a": {"b": 0.5}}, pattern=r"accuracy (?P<accuracy>\S+)"), tmp_path, 3
    )
    assert cell.run().metrics == {"accuracy": 3.5}


def test_records_come_while_the_program_runs_and_the_last_one_counts(here, tmp_path):
    """The program waits for a file that is there only when its first record has been told."""
    text = """
import os, time
file = open(os.environ["ABLATE_RECORDS"], "a", buffering=1)
file.write('{"accuracy": 0.5, "train_loss": 2}\\n')
while not os.path.exists("told"):
    time.sleep(0.01)
file.write('{"accuracy": 0.75}\\n{"accuracy": 0.625}')
"""
    cell = Sitting(recipe(script(here, text), "{seed}"), tmp_path)
    result = cell.run(lambda sitting: bool(sitting.records and (tmp_path / "key/work/told").touch()))
    assert result.metrics == {"accuracy": 0.625}, "of a last line without an end, too"
    assert result.epochs == [
        {"epoch": 1, "accuracy": 0.5, "train_loss": 2.0},
        {"epoch": 2, "accuracy": 0.75},
        {"epoch": 3, "accuracy": 0.625},
    ]
    assert (result.weights_sha256, result.parameters) == (None, None)


@pytest.mark.parametrize(
    ("name", "content", "epochs"),
    [
        ("out.json", '{"accuracy": 0.5}', [0.5]),
        ("out.csv", "epoch,accuracy,time\n0,0.25,9\n1,0.5,9\n", [0.25, 0.5]),
    ],
)
def test_a_final_file_is_read_at_the_end(here, tmp_path, name, content, epochs):
    cell = Sitting(
        recipe(script(here, f"open({name!r}, 'w').write({content!r})"), "{seed}", records=name, ignore=["time", "epoch"]),
        tmp_path,
    )
    assert [record["accuracy"] for record in cell.run().epochs] == epochs
    without = Sitting(recipe(script(here, "print('nothing')"), "{seed}", records=name), tmp_path)
    assert f"it ended without the file {name!r} in its folder" in without.error()


def test_what_is_said_of_one_epoch_is_one_record(here, tmp_path):
    rows = "epoch,step,train_loss,accuracy\n0,9,,0.25\n0,9,2.5,\n1.0,19,,0.5\n1.0,19,1.5,\n"  # as Lightning's CSVLogger writes
    text = f"open('out.csv', 'w').write({rows!r})"
    result = Sitting(recipe(script(here, text), "{seed}", records="out.csv", ignore=["step"]), tmp_path).run()
    assert result.epochs == [
        {"epoch": 1, "accuracy": 0.25, "train_loss": 2.5},
        {"epoch": 2, "accuracy": 0.5, "train_loss": 1.5},
    ], "and epochs that a program counts from 0 count from 1"
    assert result.metrics == {"accuracy": 0.5}


def test_the_first_error_is_told_where_a_launcher_prints_pages_after_it(here, tmp_path):
    text = (
        "print('[rank1]:   File x\\n[rank1]: ValueError: no such optimizer\\n' + 'Error: of all\\n' * 500); raise SystemExit(1)"
    )
    error = Sitting(recipe(script(here, text), "{seed}"), tmp_path).error()
    said = "the program ended with exit code 1. The first error that it printed: [rank1]: ValueError: no such optimizer\n"
    assert error.startswith(f"{said}The end of what it printed:\n")
    assert error.endswith("Error: of all")


@pytest.mark.parametrize(
    ("records", "fields", "message"),
    [
        ([], {}, "it ended without a record of its metrics: accuracy"),
        ([{"acc": 0.5}], {}, "line 1: 'acc' is not declared. There is: accuracy. Add it to `metrics`, or to `ignore`"),
        ([{"accuracy": 0.5}, {"train_loss": 1}], {}, "its last record lacks accuracy; of the declared metrics it has: none"),
        (['{"accuracy": NaN}'], {}, "metrics.jsonl, line 1: accuracy is nan, which is no finite number"),
        ([{"accuracy": "high"}], {}, 'metrics.jsonl, line 1: accuracy is "high"; expected a number'),
        ([{"accuracy": True}], {}, "metrics.jsonl, line 1: accuracy is true; expected a number"),
        (["accuracy 0.5"], {}, "metrics.jsonl, line 1: is no JSON"),
        ([[0.5]], {}, "metrics.jsonl, line 1: expected a JSON object with metrics, found [0.5]"),
        ([{"epoch": -1, "accuracy": 0.5}], {}, "metrics.jsonl, line 1: epoch -1: epochs count from 1, or all from 0"),
        ([{"epoch": 1, "accuracy": 0.5}, {"epoch": 0}], {}, "metrics.jsonl, line 2: epoch 0: epochs count from 1, or all from 0"),
        ([{"epoch": 0.5}], {}, 'epoch 0.5: epochs count from 1, or all from 0. With "epoch" in `ignore`, records are counted'),
        (['{"epoch": 1' + "0" * 400 + "}"], {}, "epochs count from 1, or all from 0"),
        ([{"accuracy": 0.5}] * 3, {"epochs": 2}, "metrics.jsonl, line 3: epoch 3, and the recipe has 2 epochs"),
        ([{"accuracy": 0.5}], {"epochs": 2}, "it ended with 1 records, and the recipe has 2 epochs"),
        ([{"accuracy": 0.5}], {"resumes": True}, "has no `epoch`, and after an interruption nobody could tell which one it is"),
    ],
)
def test_what_is_no_result_fails_with_what_the_program_printed(here, tmp_path, records, fields, message):
    error = writing(here, tmp_path, records, **fields).error()
    assert message in error
    assert "The end of what it printed:\nended well" in error, "without the colour"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import sys; print('so far'); sys.exit(3)", "the program ended with exit code 3. The end of what it printed:\nso far"),
        ("raise ValueError('too deep')", "ValueError: too deep"),
        ("import sys; sys.exit(75)", "exit code 75, which says that it was interrupted, and nobody asked it to end. It printed"),
        ("import os; os.kill(os.getpid(), 9)", "the program was ended by SIGKILL. It printed nothing"),
    ],
)
def test_a_program_that_fails_says_how(here, tmp_path, text, message):
    assert message in Sitting(recipe(script(here, text), "{seed}"), tmp_path).error()


SAVES = """
import json, os, signal, sys, time
state = json.load(open("state.json")) if os.path.exists("state.json") else {"epoch": 0}
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
print("begins after", state["epoch"], flush=True)
while state["epoch"] < 4:
    state["epoch"] += 1
    with open(os.environ["ABLATE_RECORDS"], "a") as file:
        file.write(json.dumps({"epoch": state["epoch"], "accuracy": state["epoch"] / 10}) + "\\n")
    json.dump(state, open("state.json", "w"))
    while not asked and state["epoch"] == 2 and not os.path.exists("told"):
        time.sleep(0.01)
    if asked:
        open("told", "w")
        sys.exit(EXIT)
"""


def stops_after_two(sitting):
    return len(sitting.records) == 2


def test_a_program_that_saves_goes_on_where_it_was(here, tmp_path):
    text = SAVES.replace("EXIT", str(INTERRUPTED))
    cell = Sitting(recipe(script(here, text), "{seed}"), tmp_path)
    with pytest.raises(Interrupted):
        cell.run(stops_after_two)
    assert cell.trainer.reached(cell_controls(tmp_path), "key") == (2, 0)
    result = cell.run()
    assert [record["accuracy"] for record in result.epochs] == [0.1, 0.2, 0.3, 0.4]
    assert (tmp_path / "key/.output").read_text() == "begins after 0\nbegins after 2\n"


def test_a_program_that_does_not_save_begins_anew(here, tmp_path):
    cell = Sitting(recipe(script(here, SAVES.replace("EXIT", "1")), "{seed}"), tmp_path)
    with pytest.raises(Interrupted):
        cell.run(stops_after_two)
    assert cell.trainer.reached(cell_controls(tmp_path), "key") is None
    (tmp_path / "key/work/told").unlink()
    with pytest.raises(Interrupted):
        cell.run(lambda sitting: len(sitting.records) == 4)
    assert (tmp_path / "key/.output").read_text() == "begins after 0\n", "nothing is left of the first sitting"


def test_a_program_that_resumes_goes_on_after_it_was_killed(here, tmp_path):
    text = SAVES.replace("EXIT", "1")
    cell = Sitting(recipe(script(here, text), "{seed}", resumes=True), tmp_path)
    steps = cell.trainer.train(cell.cell, None, "cpu", cell_controls(tmp_path))
    while sum(record is not None for record in iter(lambda: next(steps), {"epoch": 2, "accuracy": 0.2})) < 1:
        pass
    steps.close()  # as where the driver dies
    (tmp_path / "key/work/told").touch()
    assert [record["accuracy"] for record in cell.run().epochs] == [0.1, 0.2, 0.3, 0.4]


def cell_controls(folder):
    return Controls(folder / "key.safetensors")


@pytest.mark.parametrize("detached", [False, True] if sys.platform == "linux" else [False])
def test_what_a_program_started_ends_with_it(here, tmp_path, detached):
    text = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=DETACHED)
print("child", child.pid, flush=True)
"""
    text = text.replace("DETACHED", str(detached))
    error = Sitting(recipe(script(here, text), "{seed}"), tmp_path).error()
    child = int(error.rpartition("child ")[2])
    end = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < end, "it outlived its parent"
        time.sleep(0.05)


def _runs(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_program_that_does_not_end_when_it_is_asked_is_killed(here, tmp_path, monkeypatch):
    monkeypatch.setattr("ablate.trainers.command.GRACE_SECONDS", 0.2)
    text = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    cell = Sitting(recipe(script(here, text), "{seed}", pattern="(?P<accuracy>x)"), tmp_path)
    output = tmp_path / "key/.output"
    with pytest.raises(Interrupted):
        cell.run(lambda sitting: output.is_file() and output.read_text() == "deaf\n")


def test_data_is_where_programs_look_for_it(here, tmp_path):
    (here / "data").mkdir()
    (here / "data/x").write_text("0.5")
    text = "print('accuracy', open('data/x').read(), open('../data/x').read())"
    cell = Sitting(recipe(script(here, text), "{seed}", data=["data"], pattern=r"accuracy (?P<accuracy>\S+)"), tmp_path)
    assert cell.run().metrics == {"accuracy": 0.5}
    (here / "other/data").mkdir(parents=True)
    assert problems(recipe("{seed}", data=["data", "other/data"])) == [
        "data: two of them have one name, and each is linked by its name"
    ]


def test_the_key_has_the_content_of_code_data_and_lock(here):
    script(here, "1")
    (here / "lib/deep").mkdir(parents=True)
    (here / "lib/deep/a.py").write_text("2")
    (here / "data.csv").write_text("3")
    (here / "lock.txt").write_text("4")
    given, _ = checked(recipe("{here}/train.py", "{seed}", code=["lib"], data=["data.csv"], lock="lock.txt"))

    def files():
        return recipe_identity(default(), given, "", "cpu")["files"]

    before = files()
    assert list(before) == ["train.py", "lib", "data.csv", "lock.txt"]
    for path in (here / "train.py", here / "lib/deep/a.py", here / "data.csv", here / "lock.txt"):
        path.write_text(path.read_text() + "more")
        now = files()
        changed = [name for name in before if now[name] != before[name]]
        assert changed == [path.relative_to(here).parts[0]]
        before = now


def test_places_and_settings_that_do_not_fit_are_told_at_once(here):
    script(here, "")
    wrong = recipe("train.py", "{ra}", "--{args}", settings={"rate": 1, "size": 2})
    assert problems(wrong) == [
        "argv: '{ra}': there is no setting 'ra'",
        "argv: '--{args}': {args} is an item of argv by itself",
        "argv: no place hands the seed on, so all seeds would be one run",
        "argv: 'train.py' is a file here, and the program runs in a folder of its own",
    ]
    assert problems(recipe("{seed}", settings={"rate": 1})) == ["settings.rate: no place of argv hands 'rate' on"]
    nested = {"a": {"b": 1}}
    assert problems(recipe("{seed}", "{args}", settings=nested)) == ["settings.a.b: an object has no form as an argument"]
    assert problems(recipe("{config}", settings=nested)) == []
    assert problems({**recipe(), "argv": ["no-such-program", "{seed}"]}) == ["argv: there is no program 'no-such-program'"]
    assert problems({**recipe(), "argv": []})[-1] == "argv: is empty"


def test_a_setting_that_a_base_without_settings_gets_is_one_problem():
    found = list(setting_problems({}, {"lr": 1}))
    assert [(problem.path, problem.message) for problem in found] == [("settings.lr", "the base declares no such setting")]


def test_where_metrics_come_from_is_checked(here):
    assert problems(recipe("{seed}", metrics={})) == ["metrics: is empty"]
    assert problems(recipe("{seed}", metrics={"a=b": "maximize"}))[0].startswith("metrics.a=b: is no name")
    assert problems(recipe("{seed}", pattern="(")) == [
        "pattern: is no regular expression: missing ), unterminated subpattern at position 0"
    ]
    assert problems(recipe("{seed}", pattern="accuracy")) == ["pattern: has no group for accuracy"]
    assert problems(recipe("{seed}", records="a.json", pattern="(?P<accuracy>.)")) == [
        "pattern: metrics come from the file that `records` names"
    ]
    for path in ("../a.json", "/a.json", "a.txt"):
        assert problems(recipe("{seed}", records=path)) == [
            f"records: found {path!r}, expected a .jsonl, .json or .csv file in the cell's folder"
        ]
    assert problems(recipe("{seed}", code=["gone"])) == ["code: there is no file or folder 'gone'"]


def test_which_gpus_a_program_sees(here, tmp_path, monkeypatch):
    text = "import os; print('accuracy 1', repr(os.environ.get('CUDA_VISIBLE_DEVICES')))"

    def seen(device):
        state = tmp_path / device.replace(":", "")
        Sitting(recipe(script(here, text), "{seed}", pattern=r"accuracy (?P<accuracy>\d)"), state, 0, device).run()
        return (state / "key/.output").read_text().split()[-1]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [seen("cpu"), seen("cuda"), seen("cuda:1")] == ["''", "None", "'1'"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert [seen("cpu"), seen("cuda"), seen("cuda:1")] == ["''", "'4,6'", "'6'"]


def test_a_program_is_told_how_many_devices_it_has(here, tmp_path):
    text = "import sys; print('accuracy', sys.argv[1])"

    def told(folder, **fields):
        made = recipe(script(here, text), "{devices}", "{seed}", pattern=r"accuracy (?P<accuracy>\d)", **fields)
        return Sitting(made, tmp_path / folder).run().metrics

    assert told("one") == {"accuracy": 1.0}
    assert told("two", devices=2) == {"accuracy": 2.0}
    assert told("own", devices=2, settings={"devices": 3}) == {"accuracy": 3.0}, "a setting of this name is the spec's own"
    assert "devices" not in checked(recipe("{seed}", devices=1))[0], "so that keys are as they were"
    assert checked(recipe("{seed}", devices=2))[1].devices == 2
