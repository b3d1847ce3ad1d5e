"""Folders as Hydra writes them: those of a real sweep, and what users put beside them."""

import subprocess
import sys

import pytest
from ablate_hydra import hydra

import ablate
from ablate.errors import UsageError
from ablate.judging.runs import Asked
from ablate.testing import SourceContract

APP = """
import csv, pathlib, random
import hydra as library
from hydra.core.hydra_config import HydraConfig

@library.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    folder = pathlib.Path(HydraConfig.get().runtime.output_dir)
    with open(folder / "metrics.csv", "w") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "train_loss", "val_acc"])
        for epoch in range(3):
            rows.writerow([epoch, 1 / (epoch + 1), 0.5 + epoch / 10 + (cfg.optimizer.lr < 0.01) / 20 + cfg.seed / 100])

main()
"""


def sweep(folder):
    conf = folder / "conf" / "optimizer"
    conf.mkdir(parents=True)
    (folder / "conf" / "config.yaml").write_text("defaults:\n  - optimizer: sgd\n  - _self_\nseed: 0\nepochs: 3\n")
    (conf / "sgd.yaml").write_text("lr: 0.1\nmomentum: 0.9\n")
    (conf / "adam.yaml").write_text("lr: 0.001\n")
    (folder / "app.py").write_text(APP)
    command = [sys.executable, "app.py", "-m", "optimizer=sgd,adam", "seed=0,1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "multirun"


class TestHydra(SourceContract):
    component = {"use": "hydra"}
    metric = "val_acc"
    write = staticmethod(sweep)


def test_groups_are_settings_and_what_they_set_goes_with_them(tmp_path):
    study = ablate.judge(sweep(tmp_path), metric="val_acc")
    assert [variant.name for variant in study.variants] == ["sgd", "adam"]
    assert (
        "Goes with optimizer, so that a difference is of all of them together: optimizer.lr, optimizer.momentum"
        in study.imported.read
    )
    assert study.effects()["difference"].tolist() == pytest.approx([0.05])


def made(folder, name, overrides, **files):
    own = folder / name / ".hydra"
    own.mkdir(parents=True)
    (own / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides) or "[]\n")
    for file, text in files.items():
        (folder / name / file.replace("_", ".", 1)).write_text(text)


def test_overrides_alone_are_settings(tmp_path):
    made(tmp_path, "0", ["+lr=0.1", "~decay=1", "hydra.job.name=x"], metrics_json='{"val": {"acc": 0.5}}')
    (run,) = hydra(Asked(tmp_path)).runs
    assert run.settings == {"lr": "0.1", "decay": "1"}
    assert list(run.metrics["val.acc"].values) == [0.5]


def test_a_run_without_metrics_does_not_count(tmp_path):
    made(tmp_path, "0", ["seed=0"])
    (run,) = hydra(Asked(tmp_path)).runs
    assert (run.status, run.why) == ("interrupted", "it has no file of metrics")


def test_several_files_are_asked_about(tmp_path):
    made(tmp_path, "0", ["seed=0"], a_csv="acc\n0.5\n", b_csv="acc\n0.6\n")
    with pytest.raises(UsageError, match=r"several files may have the metrics: a.csv, b.csv. Choose one with --source"):
        hydra(Asked(tmp_path))
    (run,) = hydra(Asked(tmp_path), file="b.csv").runs
    assert list(run.metrics["acc"].values) == [0.6]


def test_lines_of_json_are_steps(tmp_path):
    made(tmp_path, "0", ["seed=0"], metrics_jsonl='{"step": 10, "acc": 0.5}\n{"step": 20, "acc": 0.6}\n')
    (run,) = hydra(Asked(tmp_path)).runs
    assert list(run.metrics["acc"].steps) == [10, 20]


def test_no_object_is_made_of_yaml(tmp_path):
    made(tmp_path, "0", ["seed=0"], metrics_json='{"acc": 0.5}')
    (tmp_path / "0" / ".hydra" / "config.yaml").write_text("a: !!python/object/apply:os.system ['touch ran']\n")
    (run,) = hydra(Asked(tmp_path)).runs
    assert run.settings["a"] == ["touch ran"]


def test_damage_is_told_with_its_place(tmp_path):
    made(tmp_path, "0", ["seed=0"], metrics_json='{"acc": 0.5}')
    (tmp_path / "0" / ".hydra" / "overrides.yaml").write_text("a: [1\n")
    with pytest.raises(UsageError, match=r"overrides.yaml: it is not YAML"):
        hydra(Asked(tmp_path))
