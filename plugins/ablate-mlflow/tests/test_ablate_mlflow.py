"""Against a real MLflow server with an SQLite store, read back with MLflow's own client."""

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import ablate_mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

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
PATIENT = Patience(event=100.0)  # no test fails because the machine is busy
HOSTILE = [
    "<script>alert(1)</script>[bold]**x**",
    "../..//etc/passwd",
    "x" * 10_000,
    "bell\x07 escape\x1b[31m nul\x00 line\nfeed",
    "\u202eעברית \u202bالعربية",
    "..",
    " ",
]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server that lives as long as the tests of this file."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *places], stdout=log, stderr=log, env=environment, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is None and answers(address), 110, (folder / "log").read_text)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with its workers
        process.wait()


def answers(address):
    try:
        return urllib.request.urlopen(f"{address}/health", timeout=2).status == 200
    except OSError:
        return False


def wait_until(condition, seconds, explain):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.2)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """MLflow as it is where nobody has set anything, without telemetry."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setattr(ablate_mlflow.tracker, "patience", PATIENT)
    monkeypatch.setattr(ablate_mlflow, "SETTINGS", ablate_mlflow.SETTINGS | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "100"})


@pytest.fixture
def client(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return MlflowClient()


@pytest.fixture
def spec(request):
    """A study of two variants with two seeds, under a name that no other test uses."""
    return copy.deepcopy(SPEC) | {"name": request.node.name}


def runs_of(client, experiment):
    """The run of the study, and those of its cells by name."""
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    parents = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    cells = {run.info.run_name: run for run in found if "mlflow.parentRunId" in run.data.tags}
    assert len(parents) == 1
    assert len(cells) == len(found) - 1, "no cell has two runs"
    assert {run.data.tags["mlflow.parentRunId"] for run in cells.values()} <= {parents[0].info.run_id}
    return parents[0], cells


def history(client, run, metric):
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]


def test_cells_are_runs_with_parameters_metrics_and_status(client, spec, tmp_path, capfd):
    study = ablate.run(spec, store=tmp_path, device="cpu", jobs=1)
    assert capfd.readouterr().out == ""
    parent, cells = runs_of(client, spec["name"])
    assert set(cells) == {"base, seed 0", "base, seed 1", "batch_norm=on, seed 0", "batch_norm=on, seed 1"}
    run = cells["batch_norm=on, seed 1"]
    row = study.cells[(study.cells["variant"] == "batch_norm=on") & (study.cells["seed"] == 1)].iloc[0]
    expected = {"variant": "batch_norm=on", "seed": "1", "epochs": "2", "key": row["key"], "level.batch_norm": "on"}
    assert run.data.params == expected
    assert cells["base, seed 0"].data.params["level.batch_norm"] == "base"
    assert run.data.tags["ablate.changes"] == "\n".join(study.variants[1].changes)
    assert run.data.tags["ablate.changes"]
    assert (run.info.status, run.data.tags["ablate.status"]) == ("FINISHED", "done")
    epochs = study.epochs[(study.epochs["variant"] == "batch_norm=on") & (study.epochs["seed"] == 1)]
    for metric in ("train_loss", "lr", "accuracy", "loss", "seconds"):
        assert history(client, run, metric) == list(zip(epochs["epoch"], epochs[metric], strict=True))
    assert run.data.metrics["result.accuracy"] == row["accuracy"]
    assert parent.info.run_name == spec["name"]
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["ablate.answer"]
    assert "accuracy" in parent.data.tags[ablate_mlflow.mlflow_key("verdict.batch_norm=on")]
    ablate.run(spec | {"seeds": 3}, store=tmp_path, device="cpu", jobs=1)
    _, more = runs_of(client, spec["name"])
    assert set(more) - set(cells) == {"base, seed 2", "batch_norm=on, seed 2"}
    assert {name: more[name].info.run_id for name in cells} == {name: run.info.run_id for name, run in cells.items()}


def test_seeds_added_in_rounds_are_in_one_study(client, spec, tmp_path):
    study = ablate.run(spec | {"seeds": {"min": 2, "max": 3, "stop": "decided"}}, store=tmp_path, device="cpu", jobs=1)
    _, cells = runs_of(client, spec["name"])
    assert len(cells) == len(study.cells)


RECORD = {"train_loss": 0.5, "lr": 0.1, "seconds": 1.0, "images_per_second": 10.0, "accuracy": None}


def records(*epochs):
    return [RECORD | {"epoch": epoch, "train_loss": 1 / epoch} for epoch in epochs]


def sitting(study, cell, epochs, status, result=None, error=None, end=None):
    """What the driver tells of one sitting; returns what listeners were blamed for."""
    blamed = []
    hooks = Hooks(blamed.append)
    hooks.register(Tracker(ablate_mlflow.connect, PATIENT), "mlflow")
    hooks.call("study_start", study=study, cells=[cell], stored=0)
    hooks.call("cell_start", cell=cell, resumed=None)
    for record in records(*epochs):
        hooks.call("epoch_end", cell=cell, record=record)
    if status:
        hooks.call("cell_end", cell=cell, status=status, result=result, error=error, log=None)
        hooks.call("study_end", study=end or empty_study(study, cell, status))
    return blamed


def empty_study(name, cell, status="done"):
    frame = pd.DataFrame([{"variant": v, "seed": cell.seed, "status": status, "accuracy": 0.5} for v in cell.variants])
    variants = tuple(VariantInfo(v, dict(cell.levels), (f"a.b: 1 → {v}",)) for v in cell.variants)
    epochs = pd.DataFrame(columns=["variant", "seed", "epoch", "accuracy"])
    return Study(name, "?", Compare("accuracy", "last", cell.variants[0]), variants, frame, epochs)


def test_a_resumed_cell_continues_its_run(client):
    """Killed in epoch 4, whose records 1 to 3 were told; the checkpoint is of epoch 2."""
    cell = CellInfo("f" * 64, ("base",), 7, 4)
    sitting("resumed", cell, [1, 2, 3], None)
    _, cells = runs_of(client, "resumed")
    run = cells["base, seed 7"]
    assert run.info.status == "RUNNING"
    result = Result(records(1, 2, 3, 4), {"accuracy": 0.75}, "0" * 64, 4.0, 10)
    assert sitting("resumed", cell, [3, 4], "done", result) == []
    _, cells = runs_of(client, "resumed")
    assert cells["base, seed 7"].info.run_id == run.info.run_id
    assert cells["base, seed 7"].info.status == "FINISHED"
    assert history(client, run, "train_loss") == [(1, 1.0), (2, 1 / 2), (3, 1 / 3), (4, 1 / 4)]


def test_a_sitting_without_a_tracker_is_made_up_for(client):
    cell = CellInfo("e" * 64, ("base",), 7, 4)
    result = Result(records(1, 2, 3, 4), {"accuracy": 0.75}, "0" * 64, 4.0, 10)
    sitting("made-up", cell, [4], "done", result)
    _, cells = runs_of(client, "made-up")
    assert sorted(history(client, cells["base, seed 7"], "train_loss")) == [(e, 1 / e) for e in (1, 2, 3, 4)]


@pytest.mark.parametrize(("status", "word"), [("failed", "FAILED"), ("interrupted", "KILLED")])
def test_a_cell_that_is_not_done_says_so_until_it_is(client, status, word):
    cell = CellInfo("d" * 64, ("base",), 0, 2)
    study = f"not-done-{status}"
    sitting(study, cell, [1], status, None, "RuntimeError: no luck" if status == "failed" else None)
    parent, cells = runs_of(client, study)
    run = cells["base, seed 0"]
    assert (parent.info.status, run.info.status, run.data.tags["ablate.status"]) == (word, word, status)
    assert run.data.tags["ablate.error"] == ("RuntimeError: no luck" if status == "failed" else "")
    sitting(study, cell, [2], "done", Result(records(1, 2), {}, "0" * 64, 4.0, 10))
    run = runs_of(client, study)[1]["base, seed 0"]
    assert (run.info.status, run.data.tags["ablate.status"], run.data.tags["ablate.error"]) == ("FINISHED", "done", "")


def test_hostile_names_are_logged(client):
    """As names of study, factor, level and metric; the run keeps what can be shown of them."""
    cell = CellInfo("c" * 64, tuple(f"{name}={name}" for name in HOSTILE), 0, 1, {name: name for name in HOSTILE})
    result = Result([RECORD | {"epoch": 1} | dict.fromkeys(HOSTILE, 0.25)], dict.fromkeys(HOSTILE, 0.5), "0" * 64, 4.0, 10)
    before = {experiment.experiment_id for experiment in client.search_experiments()}
    assert sitting("".join(HOSTILE), cell, [], "done", result) == []
    (made,) = {experiment.experiment_id for experiment in client.search_experiments()} - before
    (run,) = [run for run in client.search_runs([made]) if "mlflow.parentRunId" in run.data.tags]
    assert run.info.status == "FINISHED"
    for name in HOSTILE:
        assert run.data.params[ablate_mlflow.mlflow_key(f"level.{name}")] == shown(name)
        assert run.data.metrics[ablate_mlflow.mlflow_key(name)] == 0.25
        assert run.data.metrics[ablate_mlflow.mlflow_key(f"result.{name}")] == 0.5


@pytest.mark.parametrize("name", ["..", " ", "a/../b"])
def test_hostile_studies_are_logged(client, name):
    assert sitting(name, CellInfo("c" * 64, ("base",), 0, 1), [1], "interrupted") == []
    assert len(runs_of(client, name)[1]) == 1


def test_the_users_experiment_is_used(client, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    sitting("not-mine", CellInfo("9" * 64, ("base",), 0, 1), [1], "interrupted")
    sitting("not-mine-either", CellInfo("9" * 64, ("base",), 0, 1), [1], "interrupted")
    assert client.get_experiment_by_name("not-mine") is None
    runs = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    assert sorted(run.data.tags["ablate.study"] for run in runs) == ["not-mine"] * 2 + ["not-mine-either"] * 2


def test_what_no_name_can_hold_is_replaced():
    assert shown("lone \ud800 surrogate") == "lone � surrogate"
    assert ablate_mlflow.mlflow_key("\ud800").startswith("_-")


def test_keys_that_only_look_alike_stay_apart():
    assert len({ablate_mlflow.mlflow_key(name) for name in ("a/b", "a_b", "a:b", "x" * 300, "x" * 301)}) == 5


def test_a_server_that_is_down_costs_no_cell_and_is_told_once(spec, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with pytest.warns(UserWarning, match="listener 'ablate-mlflow:mlflow' failed in") as caught:
        study = ablate.run(spec | {"seeds": 1}, store=tmp_path, device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 2
    told = [
        str(warning.message).partition(":mlflow' failed in ")[2] for warning in caught if "ablate-mlflow" in str(warning.message)
    ]
    assert [text.partition(":")[0] for text in told] == ["cell_start", "study_end"]
    assert not [name for name in os.environ if name.startswith("MLFLOW_HTTP")]


@contextmanager
def deaf_server():
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_server_that_never_answers_is_left_alone(monkeypatch):
    """One request is tried at the first event, none at the twenty that follow, and one at the end."""
    tries = []
    monkeypatch.setattr(ablate_mlflow, "SETTINGS", ablate_mlflow.SETTINGS | {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1"})
    tell = ablate_mlflow.Experiment.tell
    monkeypatch.setattr(ablate_mlflow.Experiment, "tell", lambda self, log: (tries.append(log.cell.key), tell(self, log)))
    cell = CellInfo("b" * 64, ("base",), 0, 20)
    with deaf_server() as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        blamed = sitting("deaf", cell, range(1, 21), "interrupted")
    assert len(tries) == 2
    assert len(blamed) == 2
    assert all("failed in" in message for message in blamed)


def test_what_a_server_misses_it_hears_when_it_is_back(client, monkeypatch):
    cell = CellInfo("a" * 64, ("base",), 0, 3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    blamed, tracker = [], Tracker(ablate_mlflow.connect, PATIENT)
    hooks = Hooks(blamed.append)
    hooks.register(tracker, "mlflow")
    hooks.call("study_start", study="back", cells=[cell], stored=0)
    hooks.call("cell_start", cell=cell, resumed=None)
    for record in records(1, 2, 3):
        hooks.call("epoch_end", cell=cell, record=record)
    tracker.service.client = client  # of the server that is there
    hooks.call("cell_end", cell=cell, status="interrupted", result=None, error=None, log=None)
    hooks.call("study_end", study=empty_study("back", cell, "interrupted"))
    assert len(blamed) == 1
    run = runs_of(client, "back")[1]["base, seed 0"]
    assert run.info.status == "KILLED"
    assert [step for step, _ in history(client, run, "train_loss")] == [1, 2, 3]


def test_the_users_own_limits_are_kept(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    with ablate_mlflow.client_settings():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_where_nobody_asks_for_it_mlflow_is_not_even_imported(spec, tmp_path):
    code = (
        "import sys, json, ablate; ablate.run(json.loads(sys.argv[1]), store=sys.argv[2], device='cpu', jobs=1);"
        "assert 'ablate_mlflow' in sys.modules; assert 'mlflow' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    command = [sys.executable, "-c", code, json.dumps(spec | {"seeds": 1}), str(tmp_path / "store")]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    with Store(tmp_path / "store", create=False) as store:
        assert len(store.study(spec["name"]).cells) == 2
