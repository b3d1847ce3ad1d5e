"""Files of Weights & Biases as its library writes them offline."""

import time
from pathlib import Path

import pytest
from ablate_wandb_runs import run_of_file, wandb

import ablate
from ablate.errors import EnvironmentProblem, UsageError
from ablate.judging.runs import Asked
from ablate.testing import SourceContract


def begun(folder, **config):
    import wandb as library

    settings = library.Settings(silent=True, console="off", x_disable_stats=True)
    return library.init(project="p", mode="offline", dir=str(folder), config=config, settings=settings, reinit="create_new")


def finish(run, **how):
    """Ends a run, and waits until its file has the end: on a busy machine W&B writes it after it has returned."""
    run.finish(**how)
    path, deadline = Path(run.dir).parent / f"run-{run.id}.wandb", time.monotonic() + 60
    while run_of_file(path).status == "running":
        assert time.monotonic() < deadline, f"{path} has no end"
        time.sleep(0.05)


def offline(folder):
    for optimizer, shift in (("sgd", 0.0), ("adam", 0.1)):
        for seed in range(2):
            run = begun(folder, optimizer=optimizer, seed=seed, model={"depth": 3})
            for epoch in range(3):
                run.log({"epoch": epoch, "val": {"acc": 0.5 + shift + epoch / 10 + seed / 100}})
            finish(run)
    return folder / "wandb"


class TestOffline(SourceContract):
    component = {"use": "wandb"}
    metric = "val.acc"
    write = staticmethod(offline)


def test_config_history_summary_and_end(tmp_path):
    run = begun(tmp_path, lr=0.1, model={"depth": 3}, betas=[0.9, 0.999])
    run.log({"acc": 0.5, "note": "text"})
    run.log({"acc": float("nan")})
    run.summary["best"] = 0.75
    finish(run, exit_code=3)
    (found,) = wandb(Asked(tmp_path)).runs
    assert found.settings == {"lr": 0.1, "model.depth": 3, "betas": [0.9, 0.999]}
    assert (found.status, found.why) == ("failed", "it ended with code 3")
    assert list(found.metrics["acc"].steps) == [0, 1]
    assert found.metrics["acc"].values[1] != found.metrics["acc"].values[1]
    assert list(found.metrics["best"].values) == [0.75]


def test_a_file_without_its_end_is_of_a_run_that_has_not_ended(tmp_path):
    run = begun(tmp_path, lr=0.1)
    for step in range(2000):
        run.log({"acc": step / 2000})
    finish(run)
    path = next((tmp_path / "wandb").rglob("*.wandb"))
    data = path.read_bytes()
    assert len(data) > 2 * 32768, "records go over blocks"
    (whole,) = wandb(Asked(tmp_path)).runs
    assert list(whole.metrics["acc"].steps) == list(range(2000))
    path.write_bytes(data[: len(data) // 2])
    (found,) = wandb(Asked(tmp_path)).runs
    assert found.status == "running"
    assert 0 < len(found.metrics["acc"].steps) < 2000


def test_a_run_that_was_resumed_is_one(tmp_path):
    import wandb as library

    for start in (0, 2):
        folder = tmp_path / str(start)  # else both have one, where they begin in one second
        folder.mkdir()
        settings = library.Settings(silent=True, console="off", x_disable_stats=True)
        run = library.init(project="p", mode="offline", dir=str(folder), id="same", resume="allow", settings=settings)
        run.log({"acc": 0.1 + start}, step=start)
        finish(run)
    found = wandb(Asked(tmp_path))
    assert [run.name for run in found.runs] == ["same"]
    assert list(found.runs[0].metrics["acc"].steps) == [0, 2]
    assert found.notices == ("1 files go on with a run of another one, and are one run with it",)


def test_what_is_no_file_of_wandb_is_told(tmp_path):
    (tmp_path / "run-x.wandb").write_text("text")
    with pytest.raises(UsageError, match="does not begin as a file of W&B does"):
        wandb(Asked(tmp_path))


class Served:
    """A run as the API gives it."""

    def __init__(self, optimizer, seed, value):
        self.id, self.state = f"{optimizer}{seed}", "finished"
        self.config = {"optimizer": optimizer, "seed": seed, "_wandb": {}}
        self.summary, self.value = {"acc": value, "_step": 2}, value

    def scan_history(self, keys):
        assert keys == ["acc", "_step"]
        return [{"acc": 0.1, "_step": 0}, {"acc": self.value, "_step": 1}]


def test_a_project_of_a_server(monkeypatch):
    import wandb as library

    runs = [Served(optimizer, seed, 0.5 + seed / 100) for optimizer in ("sgd", "adam") for seed in range(2)]
    monkeypatch.setattr(library, "Api", type("Api", (), {"runs": lambda self, path: runs if path == "me/p" else 1 / 0}))
    study = ablate.judge("wandb://me/p", metric="acc")
    assert (study.name, study.cells["acc"].tolist()) == ("p", [0.5, 0.51, 0.5, 0.51])
    with pytest.raises(EnvironmentProblem, match="W&B does not answer"):
        wandb(Asked("wandb://me/other", "acc"))
