"""MLflow's folder and its SQLite store, both written by MLflow itself, and a server of its."""

import math
import sqlite3

import pytest
from ablate_mlflow_runs import mlflow, recognises

import ablate
from ablate.errors import EnvironmentProblem, UsageError
from ablate.judging.runs import Asked
from ablate.testing import SourceContract


def logged(uri):
    """Four runs of two variants, with MLflow's client."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("exp")
    for optimizer, shift in (("sgd", 0.0), ("adam", 0.1)):
        for seed in range(2):
            run = client.create_run(experiment, run_name=f"{optimizer} {seed}").info.run_id
            for name, value in {"optimizer": optimizer, "seed": seed, "lr": 0.1 if optimizer == "sgd" else 0.001}.items():
                client.log_param(run, name, value)
            for step in range(3):
                client.log_metric(run, "val_acc", 0.5 + shift + step / 10 + seed / 100, step=step)
                client.log_metric(run, "val/loss", 1 / (step + 1), step=step)
            client.set_terminated(run)
    return client, experiment


def stored(folder):
    logged(f"sqlite:///{folder / 'mlflow.db'}")
    return folder / "mlflow.db"


def in_files(folder, monkeypatch=None):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        logged((folder / "mlruns").as_uri())
    return folder / "mlruns"


class TestStore(SourceContract):
    component = {"use": "mlflow"}
    metric = "val_acc"
    write = staticmethod(stored)


class TestFolder(SourceContract):
    component = {"use": "mlflow"}
    metric = "val_acc"
    write = staticmethod(in_files)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("store"))


def test_store_and_folder_say_the_same(store, tmp_path):
    one, other = (ablate.judge(place, metric="val_acc") for place in (store, in_files(tmp_path)))
    assert one.effects().equals(other.effects())
    assert [variant.name for variant in one.variants] == ["sgd", "adam"]
    assert one.variants[1].changes == ("optimizer: sgd → adam", "lr: 0.1 → 0.001")
    assert one.epochs["val_acc"].tolist() == other.epochs["val_acc"].tolist()


def test_an_address_of_sqlite_is_its_file(store):
    assert recognises(f"sqlite:///{store}")
    assert len(mlflow(Asked(f"sqlite:///{store}", "val_acc")).runs) == 4


def test_states_parents_and_deleted_runs(tmp_path):
    client, experiment = logged(f"sqlite:///{tmp_path / 'm.db'}")
    parent = client.create_run(experiment).info.run_id
    child = client.create_run(experiment, tags={"mlflow.parentRunId": parent, "team": "a", "ablate.id": "x"}).info.run_id
    client.log_metric(child, "val_acc", math.nan, step=1)
    client.set_terminated(child, "FAILED")
    client.delete_run(client.create_run(experiment).info.run_id)
    found = mlflow(Asked(tmp_path / "m.db", "val_acc"))
    assert found.notices == ("1 runs that only hold others together are left out",)
    assert len(found.runs) == 5
    run = next(run for run in found.runs if run.name == child)
    assert (run.status, run.settings) == ("failed", {"experiment": "exp", "team": "a"})
    assert math.isnan(run.metrics["val_acc"].values[0])


def test_an_experiment_is_chosen(store):
    assert len(mlflow(Asked(store, "val_acc"), experiment="exp").runs) == 4
    with pytest.raises(UsageError, match="no runs of an experiment 'other'"):
        mlflow(Asked(store, "val_acc"), experiment="other")


def test_other_databases_are_not_its(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE runs (id)")
    assert not recognises(path)
    with pytest.raises(EnvironmentProblem, match="cannot be read as a store of MLflow: no such table"):
        mlflow(Asked(path))


def test_a_line_that_is_none_is_told(tmp_path):
    place = in_files(tmp_path)
    path = next(place.glob("*/*/metrics/val_acc"))
    path.write_text("1 0.5 0\n2 half 1\n")
    with pytest.raises(UsageError, match=r"line 2 is not a time, a value and a step: '2 half 1'"):
        mlflow(Asked(place, "val_acc"))


def test_a_server_says_the_same(store, monkeypatch):
    """The client asks the store in place of a server, by the functions that it asks a server with."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setattr("mlflow.tracking.MlflowClient", lambda tracking_uri: MlflowClient(tracking_uri=f"sqlite:///{store}"))
    served = ablate.judge("http://127.0.0.1:1", metric="val_acc")
    own = ablate.judge(store, metric="val_acc")
    assert served.effects().equals(own.effects())


def test_a_server_that_is_away_is_told(monkeypatch):
    with pytest.raises(EnvironmentProblem, match=r"127.0.0.1:1: MLflow does not answer"):
        mlflow(Asked("http://127.0.0.1:1", "val_acc"))
