"""In W&B's offline mode; what it keeps to upload later is read back. Its own library has no public reader of these files."""

import copy
import json
import os
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass, field

import ablate_wandb
import pandas as pd
import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import Record

import ablate
from ablate.contracts import Result
from ablate.registry.hooks import CellInfo, Hooks
from ablate.runner.tracking import Patience, Tracker, shown
from ablate.store import Store
from ablate.study import Compare, Study, VariantInfo

SPEC = {
    "name": "tiny",
    "base": {
        "dataset": {"use": "digits", "size": 16, "limit": 160},
        "train_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 2,
    },
    "factors": {"batch_norm": {"on": {"model": {"batch_norm": True}}}},
    "seeds": 2,
}
HOSTILE = [
    "<script>alert(1)</script>[bold]**x**",
    "../..//etc/passwd",
    "x" * 10_000,
    "bell\x07 escape\x1b[31m nul\x00 line\nfeed",
    "\u202eעברית \u202bالعربية",
    "..",
    " ",
    "_step",
]
RECORD = {"train_loss": 0.5, "lr": 0.125, "seconds": 1.0, "images_per_second": 10.0, "accuracy": None, "selected": True}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where W&B keeps its files; a session of W&B's own for each test, because it reads its variables once a session."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # of somebody who is not logged in
    monkeypatch.setenv("NETRC", str(tmp_path / "home" / ".netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")
    patient(monkeypatch, 100.0)  # no test fails because the machine is busy
    wandb.teardown()
    yield tmp_path / "wandb"
    wandb.teardown()


def patient(monkeypatch, seconds):
    monkeypatch.setattr(ablate_wandb.tracker, "patience", Patience(event=seconds))
    monkeypatch.setattr(ablate_wandb, "PATIENCE", {name: (at, seconds) for name, (at, _) in ablate_wandb.PATIENCE.items()})


@pytest.fixture
def spec():
    return copy.deepcopy(SPEC)


def blocks(content):
    """The records of a file in LevelDB's log format, behind W&B's own header of 7 bytes."""
    assert content[:4] == b":W&B"
    place, parts = 7, []
    while place < len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


@dataclass
class Run:
    """What one offline folder holds."""

    id: str = ""
    name: str = ""
    group: str = ""
    kind: str = ""
    project: str = ""
    exit: int | None = None
    config: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    summary: dict = field(default_factory=dict)


def read(folder):
    """The runs of all offline folders; those of one id in the order in which they began."""
    wandb.teardown()  # its process writes the last of a run some time after the run is finished
    runs = []
    for path in sorted(folder.glob("offline-run-*/*.wandb")):
        run = Run()
        for block in blocks(path.read_bytes()):
            record = Record.FromString(block)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                told = record.run
                run.id, run.name, run.group = told.run_id, told.display_name, told.run_group
                run.kind, run.project = told.job_type, told.project
                run.config |= {item.key: json.loads(item.value_json) for item in told.config.update}
            if kind == "history":
                values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
                run.history.append({key: value for key, value in values.items() if not key.startswith("_")})
            if kind == "summary":
                run.summary |= {
                    item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.summary.update
                }
            if kind == "exit":
                run.exit = record.exit.exit_code
        runs.append(run)
    return runs


def cells_of(folder):
    return {run.name: run for run in read(folder) if run.kind == "cell"}


def records(*epochs):
    return [RECORD | {"epoch": epoch, "train_loss": 1 / epoch} for epoch in epochs]


def sitting(study, cell, epochs, status, result=None, error=None):
    """What the driver tells of one sitting; returns what listeners were blamed for."""
    blamed = []
    hooks = Hooks(blamed.append)
    hooks.register(Tracker(ablate_wandb.connect, ablate_wandb.tracker.patience), "wandb")
    hooks.call("study_start", study=study, cells=[cell], stored=0)
    hooks.call("cell_start", cell=cell, resumed=None)
    for record in epochs:
        hooks.call("epoch_end", cell=cell, record=record)
    hooks.call("cell_end", cell=cell, status=status, result=result, error=error, log=None)
    hooks.call("study_end", study=study_of(study, cell, status))
    return blamed


def study_of(name, cell, status="done"):
    frame = pd.DataFrame([{"variant": v, "seed": cell.seed, "status": status, "accuracy": 0.5} for v in cell.variants])
    variants = tuple(VariantInfo(v, dict(cell.levels), (f"a.b: 1 → {v}",)) for v in cell.variants)
    epochs = pd.DataFrame(columns=["variant", "seed", "epoch", "accuracy"])
    return Study(name, "?", Compare("accuracy", "last", cell.variants[0]), variants, frame, epochs)


def test_cells_are_runs_with_parameters_metrics_and_status(spec, tmp_path, folder, capfd):
    study = ablate.run(spec, store=tmp_path / "s", device="cpu", jobs=1)
    assert capfd.readouterr().out == ""
    cells = cells_of(folder)
    assert set(cells) == {"base, seed 0", "base, seed 1", "batch_norm=on, seed 0", "batch_norm=on, seed 1"}
    run = cells["batch_norm=on, seed 1"]
    row = study.cells[(study.cells["variant"] == "batch_norm=on") & (study.cells["seed"] == 1)].iloc[0]
    expected = {"study": "tiny", "variant": "batch_norm=on", "seed": 1, "epochs": 2, "key": row["key"]}
    assert {name: run.config[name] for name in expected} == expected
    assert run.config["levels"] == {"batch_norm": "on"}
    assert (run.project, run.group, run.exit) == ("ablate", "tiny", 0)
    epochs = study.epochs[(study.epochs["variant"] == "batch_norm=on") & (study.epochs["seed"] == 1)]
    for metric in ("epoch", "train_loss", "lr", "accuracy", "loss", "seconds"):
        assert [line[metric] for line in run.history] == epochs[metric].tolist()
    assert (run.summary["status"], run.summary["result/accuracy"]) == ("done", row["accuracy"])
    (whole,) = [run for run in read(folder) if run.kind == "study"]
    assert (whole.name, whole.group, whole.exit) == ("tiny", "tiny", 0)
    assert whole.summary["answer"]
    (table,) = folder.glob("offline-run-*/files/media/table/verdicts*.json")
    rows = json.loads(table.read_text())["data"]
    assert [(row[0], row[1]) for row in rows] == [("base", "batch_norm=base"), ("batch_norm=on", "batch_norm=on")]
    assert rows[1][2] == study.variants[1].changes[0]

    ablate.run(spec | {"seeds": 3}, store=tmp_path / "s", device="cpu", jobs=1)
    names = sorted(run.name for run in read(folder) if run.kind == "cell")
    assert names == sorted([*cells, "base, seed 2", "batch_norm=on, seed 2"]), "what is stored is not logged again"
    assert len({run.id for run in read(folder) if run.kind == "study"}) == 1


def test_seeds_added_in_rounds_are_in_one_study(spec, tmp_path, folder):
    study = ablate.run(spec | {"seeds": {"min": 2, "max": 3, "stop": "decided"}}, store=tmp_path / "s", device="cpu", jobs=1)
    runs = read(folder)
    assert [run.kind for run in runs].count("cell") == len(study.cells)
    assert [run.kind for run in runs].count("study") == 1
    assert {run.group for run in runs} == {"tiny"}


def test_a_resumed_cell_continues_its_run(folder):
    """The second sitting is a second folder with the first one's id; W&B uploads both to one run, in their order."""
    cell = CellInfo("f" * 64, ("base",), 7, 4)
    sitting("s", cell, records(1, 2), "interrupted")
    assert sitting("s", cell, records(3, 4), "done", Result(records(1, 2, 3, 4), {"accuracy": 0.75}, "0" * 64, 4.0, 10)) == []
    first, second = (run for run in read(folder) if run.kind == "cell")
    assert first.id == second.id
    assert [line["epoch"] for line in first.history + second.history] == [1, 2, 3, 4]
    assert (first.summary["status"], second.summary["status"]) == ("interrupted", "done")
    assert second.summary["result/accuracy"] == 0.75


def test_the_same_cell_of_another_study_is_another_run(folder):
    cell = CellInfo("f" * 64, ("base",), 7, 4)
    for study in ("one", "two"):
        sitting(study, cell, records(1), "interrupted")
    assert len({run.id for run in read(folder)}) == 4


@pytest.mark.parametrize(("status", "error"), [("failed", "RuntimeError: no luck"), ("interrupted", None)])
def test_a_cell_that_is_not_done_says_so(folder, status, error):
    sitting("s", CellInfo("d" * 64, ("base",), 0, 2), records(1), status, None, error)
    run = cells_of(folder)["base, seed 0"]
    assert (run.summary["status"], run.summary["error"], run.exit) == (status, error or "", 1)


def test_the_users_project_is_used(folder, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    sitting("s", CellInfo("d" * 64, ("base",), 0, 2), records(1), "interrupted")
    assert {run.project for run in read(folder)} == {"mine"}


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_logged(folder, name):
    """As names of study, factor, level and metric."""
    cell = CellInfo("c" * 64, (f"{name}={name}",), 0, 1, {name: name})
    record = RECORD | {"epoch": 1, name: 0.25}
    assert sitting(name, cell, [record], "done", Result([record], {name: 0.5}, "0" * 64, 4.0, 10)) == []
    (run,) = cells_of(folder).values()
    assert run.exit == 0
    assert run.config["levels"] == {ablate_wandb.wandb_key(name): shown(name)}
    assert [line[ablate_wandb.wandb_key(name)] for line in run.history] == [0.25]
    assert run.summary[ablate_wandb.wandb_key(f"result/{name}")] == 0.5
    assert len(run.name) <= 128
    assert 0 < len(run.group) <= 128


def test_keys_that_only_look_alike_stay_apart():
    names = ("a.b", "a_b", "a:b", "a*b", "x" * 300, "x" * 301, "_a", "xa")
    assert len({ablate_wandb.wandb_key(name) for name in names}) == len(names)
    assert shown("lone \ud800 surrogate") == "lone � surrogate"
    assert ablate_wandb.wandb_key("\ud800").startswith("x-")


def test_nobody_logged_in_is_an_error_and_no_question(folder, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    blamed = sitting("s", CellInfo("d" * 64, ("base",), 0, 2), records(1), "interrupted")
    assert len(blamed) == 2
    assert all("nobody is logged in to W&B" in message for message in blamed)


def online(monkeypatch, port):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    patient(monkeypatch, 1.0)


def test_a_server_that_is_down_costs_no_cell_and_is_told_once(spec, tmp_path, folder, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        online(monkeypatch, probe.getsockname()[1])  # bound, and nobody listens
        with pytest.warns(UserWarning, match="listener 'ablate-wandb:wandb' failed in") as caught:
            study = ablate.run(spec | {"seeds": 1}, store=tmp_path / "s", device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 2
    told = [str(warning.message) for warning in caught if "ablate-wandb" in str(warning.message)]
    assert [message.partition(" failed in ")[2].partition(":")[0] for message in told] == ["cell_start", "study_end"]


def test_a_server_that_never_answers_is_left_alone(folder, monkeypatch):
    """It is tried at the first event, not at the twenty that follow, and at the end."""
    tries = []
    tell = ablate_wandb.Runs.tell
    monkeypatch.setattr(ablate_wandb.Runs, "tell", lambda self, log: (tries.append(log.cell.key), tell(self, log)))
    with socket.create_server(("127.0.0.1", 0), backlog=50) as deaf:
        online(monkeypatch, deaf.getsockname()[1])
        blamed = sitting("s", CellInfo("b" * 64, ("base",), 0, 20), records(*range(1, 21)), "interrupted")
    assert len(tries) == 2
    assert len(blamed) == 2


def test_what_was_missed_is_logged_at_the_end(folder, monkeypatch):
    cell, blamed = CellInfo("a" * 64, ("base",), 0, 3), []
    hooks = Hooks(blamed.append)
    hooks.register(Tracker(ablate_wandb.connect, ablate_wandb.tracker.patience), "wandb")
    hooks.call("study_start", study="s", cells=[cell], stored=0)
    with monkeypatch.context() as patch:
        patch.setattr(wandb, "init", lambda **_: 1 / 0)
        for record in records(1, 2, 3):
            hooks.call("epoch_end", cell=cell, record=record)
    hooks.call("cell_end", cell=cell, status="interrupted", result=None, error=None, log=None)
    hooks.call("study_end", study=study_of("s", cell, "interrupted"))
    assert len(blamed) == 1
    (run,) = cells_of(folder).values()
    assert [line["epoch"] for line in run.history] == [1, 2, 3]
    assert run.summary["status"] == "interrupted"


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_where_nobody_asks_for_it_wandb_is_not_even_imported(spec, tmp_path, mode):
    code = (
        "import sys, json, ablate; ablate.run(json.loads(sys.argv[1]), store=sys.argv[2], device='cpu', jobs=1);"
        "assert 'ablate_wandb' in sys.modules; assert 'wandb' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    del environment["WANDB_MODE"]
    environment |= {"WANDB_MODE": mode, "WANDB_PROJECT": "mine"} if mode else {}
    command = [sys.executable, "-c", code, json.dumps(spec | {"seeds": 1}), str(tmp_path / "store")]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    assert "wandb" not in [path.name for path in tmp_path.iterdir()]
    with Store(tmp_path / "store", create=False) as store:
        assert len(store.study("tiny").cells) == 2
