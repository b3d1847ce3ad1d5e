"""`ablate judge`: what is seen, what is written, and what it ends with."""

import json
import subprocess
import sys

import pytest
from tables import frame, one_factor, written
from typer.testing import CliRunner

import ablate
from ablate.cli import app
from ablate.plan import make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.store import Store

MODULES = """
import json, sys
sys.argv = ["ablate", "judge", *sys.argv[1:]]
from ablate.cli import main
HEAVY = ("torch", "matplotlib", "mlflow", "tensorboard", "wandb", "optuna", "yaml")
try:
    main()
finally:
    print(json.dumps([name for name in sys.modules if name in HEAVY]))
"""


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    frame().to_csv("runs.csv", index=False)
    return "runs.csv"


def call(*arguments, code=0):
    done = CliRunner().invoke(app, ["judge", *arguments], catch_exceptions=True)
    error = done.exception
    if code and error is not None and not isinstance(error, SystemExit):
        assert getattr(error, "exit_code", None) == code, error
        return str(error)
    assert done.exit_code == code, done.output
    return done.stdout


FACTORS = ["--factor", "optimizer", "--factor", "augment", "--seed", "seed", "--metric", "acc"]


def test_how_runs_were_read_comes_before_any_verdict(runs):
    told = call(runs, *FACTORS)
    read, verdict = told.index("20 runs of runs.csv, read by 'table'."), told.index("verdict")
    assert read < told.index("Seed: seed.") < verdict
    assert "Imported, not planned before the run: acc, larger is better" in " ".join(told.split())
    assert "optimizer=adam × augment=flip" in told
    assert "Shapley values from all combinations of the factors" in " ".join(told.split())


def test_no_torch_and_no_tracker_is_imported(runs, tmp_path):
    for arguments in (
        [runs, *FACTORS, "--power"],
        [runs, *FACTORS, "--format", "markdown"],
        [runs, *FACTORS, "--spec", "new.json"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", MODULES, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path
        )
        assert json.loads(done.stdout.splitlines()[-1]) == [], arguments


def test_formats_and_files(runs, tmp_path):
    assert "*Imported, not planned before the run.*" in call(runs, *FACTORS, "--format", "markdown")
    assert json.loads(call(runs, *FACTORS, "--format", "json"))["imported"]["source"] == "table"
    call(runs, *FACTORS, "--format", "html", "--output", "report.html")
    assert "Imported, not planned before the run." in (tmp_path / "report.html").read_text()
    assert "reports/runs/report.html" in call(runs, *FACTORS, "--format", "files")
    assert (tmp_path / "reports" / "runs" / "figures" / "interactions.svg").exists()
    assert "--output needs a --format" in call(runs, *FACTORS, "--output", "x", code=2)


def test_power_says_what_more_seeds_would_show(runs):
    told = call(runs, *FACTORS, "--power")
    assert "noise:" in told
    assert "The seeds a variant that find a difference with a probability of 80 %" in told


def test_the_spec_that_would_decide_it(runs, tmp_path):
    call(runs, *FACTORS, "--spec", "new.json")
    document = json.loads((tmp_path / "new.json").read_text())
    assert list(document["factors"]) == ["optimizer", "augment"]
    assert document["seeds"]["first"] == 5
    assert "new.json exists" in call(runs, *FACTORS, "--spec", "new.json", code=2)


def test_worse_ends_with_a_code_of_its_own(runs, tmp_path):
    worse = written(tmp_path, one_factor({"main": [0.9, 0.91, 0.9], "pull": [0.7, 0.71, 0.7]}).to_csv(index=False), "worse.csv")
    arguments = ["--metric", "acc", "--factor", "method", "--fail-on", "worse"]
    assert "worse" in call(str(worse), *arguments, code=4)
    better = written(tmp_path, one_factor({"main": [0.7, 0.71, 0.7], "pull": [0.9, 0.91, 0.9]}).to_csv(index=False), "better.csv")
    call(str(better), *arguments)


def test_what_cannot_be_judged_does_not_pass(tmp_path, runs):
    """Such as a pull request whose runs all diverged: a comparison that tells nothing found nothing wrong, either."""
    text = "method,seed,acc\nmain,0,0.9\nmain,1,0.91\npull,0,nan\npull,1,nan\n"
    for name, table in (("nan", text), ("one", "method,seed,acc\nmain,0,0.9\npull,0,0.8\n")):
        path = written(tmp_path, table, f"{name}.csv")
        call(str(path), "--factor", "method", "--metric", "acc", "--fail-on", "worse", code=4)


def test_wrong_usage_ends_with_2_and_says_what_to_do(runs, tmp_path):
    assert "runs.cvs: there is no such file or folder. Did you mean 'runs.csv'?" in call("runs.cvs", *FACTORS, code=2)
    assert "--at first: expected the number of a step, or last" in call(runs, *FACTORS, "--at", "first", code=2)
    assert "no installed package provides source 'tabel'" in call(runs, *FACTORS, "--source", "tabel", code=2)
    assert "--source.columns" in call(runs, *FACTORS, "--source", '{"use": "table", "columns": 3}', code=2)
    (tmp_path / "empty").mkdir()
    assert "no source that is installed recognises it. There is: ablate, " in call("empty", "--metric", "acc", code=2)


def test_a_tracker_whose_package_is_missing_is_named(tmp_path, runs, monkeypatch):
    from importlib.metadata import distributions

    from ablate import registry
    from ablate.judging import finding

    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "events.out.tfevents.1.host").write_bytes(b"")
    core = registry.discover(d for d in distributions() if d.name == "ablate-core")
    monkeypatch.setattr(finding, "default", lambda: core)
    assert "`pip install ablate-tensorboard` brings one that does" in call("logs", "--metric", "acc", code=2)


def test_a_store_of_ours_is_a_place(tmp_path, runs, spec, monkeypatch):
    """The same numbers as the report of the study, and a spec that the study's own recipe is the base of."""
    from ablate.contracts import Result
    from ablate.runner.job import Options, prepare, save

    spec["seeds"] = 4
    job = prepare(spec, (), Options(tmp_path / "store", tmp_path / "data", device="cpu"))
    with Store(tmp_path / "store") as store:
        save(job, store, print, [])
        for place, cell in enumerate(job.cells):
            assert store.claim(cell.cell, {}) == "claimed"
            value = 0.8 + 0.01 * (place * 7 % 5) + 0.02 * (cell.variant != "base")
            epoch = {"epoch": 1, "train_loss": 0.5, "lr": 0.1, "seconds": 1.0, "images_per_second": 9.0, "accuracy": value}
            store.finish(cell.cell.key, Result([epoch], {"accuracy": value}, "0" * 64, 1.0, 10, evaluated_images=None))
    own = ablate.load_study("tiny", store=tmp_path / "store")
    judged = ablate.judge(tmp_path / "store", metric="accuracy")
    ours, theirs = own.effects(), judged.effects()
    assert theirs.drop(columns="variant").equals(ours.drop(columns="variant"))
    call("store", "--metric", "accuracy", "--spec", "anew.json", "--difference", "0.02")
    plan = make_plan(load(tmp_path / "anew.json"), default())
    assert [variant.recipe["model"]["batch_norm"] for variant in plan.variants] == [False, True]
    assert plan.seeds[0] == 4
