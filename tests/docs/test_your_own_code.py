"""The page on somebody's own code is followed: its scripts are written, and its studies are run."""

import json

import pytest
from pages import DOCS, blocks
from typer.testing import CliRunner

from ablate.cli import app
from ablate.store import Store

PAGE = list(blocks(DOCS / "your-own-code.md"))
FILES = {block.file: block.text for block in PAGE if block.file}
SPECS = {json.loads(block.text)["name"]: block.text for block in PAGE if block.language == "json"}
DISTRIBUTED = """
import argparse, json, os
import torch
import torch.distributed as dist
parser = argparse.ArgumentParser()
for name in ("seed", "lr", "momentum"):
    parser.add_argument(f"--{name}", type=float)
args = parser.parse_args()
dist.init_process_group("gloo")
total = torch.tensor([args.seed + args.momentum])
dist.all_reduce(total)
if dist.get_rank() == 0:
    with open(os.environ["ABLATE_RECORDS"], "a") as file:
        file.write(json.dumps({"accuracy": total.item()}) + "\\n")
dist.destroy_process_group()
"""
APP = """
import json, os
import hydra
@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with open(os.environ["ABLATE_RECORDS"], "a") as file:
        file.write(json.dumps({"accuracy": cfg.seed + cfg.model.width * cfg.optim.lr}) + "\\n")
main()
"""
MNIST = """
import argparse, os
parser = argparse.ArgumentParser()
for name in ("seed", "epochs", "batch-size"):
    parser.add_argument(f"--{name}", type=int)
for name in ("lr", "gamma"):
    parser.add_argument(f"--{name}", type=float)
args = parser.parse_args()
assert os.path.isdir("../data")
for epoch in range(1, args.epochs + 1):
    print(f"Train Epoch: {epoch} [0/400 (0%)]\\tLoss: 2.3")
    print(f"\\nTest set: Average loss: {args.lr * args.gamma:.4f}, Accuracy: {90 + epoch + args.seed}/100 (9%)\\n")
"""
TIMM = """
import argparse, csv, os
parser = argparse.ArgumentParser()
for name in ("data-dir", "output", "experiment", "model", "num-classes", "img-size", "epochs", "seed", "opt", "lr", "mixup"):
    parser.add_argument(f"--{name}")
args = parser.parse_args()
assert os.path.isdir(args.data_dir)
os.makedirs(os.path.join(args.output, args.experiment))
with open(os.path.join(args.output, args.experiment, "summary.csv"), "w") as file:
    rows = csv.writer(file)
    rows.writerow(["epoch", "train_loss", "eval_loss", "eval_top1", "eval_top5", "lr"])
    for epoch in range(int(args.epochs)):
        rows.writerow([epoch, 2.0, 2.0, float(args.lr) * 100 + epoch + int(args.seed), 90.0, args.lr])
"""
TEMPLATE = """
import csv, os, sys
given = dict(item.split("=") for item in sys.argv[1:])
assert given.pop("logger") == "csv"
assert os.path.isdir(given["data.data_dir"])
folder = os.path.join(given["hydra.run.dir"], "csv", "version_0")
os.makedirs(folder)
best = float(given["model.optimizer.lr"]) * float(given["model.net.lin1_size"]) / int(given["seed"])
with open(os.path.join(folder, "metrics.csv"), "w") as file:
    rows = csv.writer(file)
    rows.writerow(["epoch", "step", "train/acc", "train/loss", "val/acc", "val/acc_best", "val/loss"])
    for epoch in range(int(given["trainer.max_epochs"])):
        rows.writerow([epoch, 9, "", "", best, best, 0.5])
        rows.writerow([epoch, 9, 0.9, 0.1, "", "", ""])
"""
CONFIG = "seed: 0\nmodel: {width: 1}\noptim: {name: x, lr: 1}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    for name in ("images", "conf", "../data", "data", "src", "configs"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    programs = {"app.py": APP, "distributed.py": DISTRIBUTED, "main.py": MNIST, "src/train.py": TEMPLATE}
    for name, text in programs.items():
        (folder / name).write_text(text)
    (folder / "conf/config.yaml").write_text(CONFIG)
    return folder


def done(*arguments):
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output + result.stderr
    return result.output


def values(project, study, metric="accuracy"):
    with Store(project / "store") as store:
        cells = store.study(study).cells
    return {variant: own[metric].tolist() for variant, own in cells.groupby("variant")}


def run(project, name, *more):
    (project / f"{name}.json").write_text(SPECS[name])
    return done("run", f"{name}.json", "--store", str(project / "store"), *more)


@pytest.mark.parametrize("name", SPECS)
def test_every_spec_is_accepted_and_short(project, name):
    (project / "spec.json").write_text(SPECS[name])
    done("check", "spec.json")
    assert len(SPECS[name].splitlines()) < 25


def test_the_script_is_probed_and_run(project):
    assert FILES["study.json"] == SPECS["script"]
    probed = done("check", "study.json", "--probe")
    assert "the same numbers twice" in probed
    assert probed.count("other numbers: it reaches the run") == 2
    assert "average=yes,penalty=l2" in run(project, "script")


def test_the_function_is_run(project):
    assert "width=32" in run(project, "function")


def test_several_processes_have_one_result(project):
    run(project, "two-processes", "--set", "seeds=2")
    found = values(project, "two-processes")
    assert found["momentum=0.9"] == pytest.approx([1.8, 3.8]), "the sum over two processes"
    assert found["momentum=0"] == pytest.approx([0.0, 2.0])


def test_a_hydra_application_gets_its_overrides(project):
    run(project, "hydra", "--set", "seeds=1")
    found = [value for own in values(project, "hydra").values() for value in own]
    assert sorted(found) == pytest.approx([0.032, 0.064, 3.2, 6.4])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnist", {name: [93, 94, 95] for name in ("lr=1.0,gamma=0.7", "lr=0.1,gamma=0.7", "lr=1.0,gamma=1.0")}),
        ("timm", {"optimizer=sgd": [6, 7, 8], "optimizer=adamw": [1.1, 2.1, 3.1]}),
        (
            "template",
            {
                "lr=0.001,width=64": [0.064, 0.032, 0.0213],
                "lr=0.01,width=64": [0.64, 0.32, 0.2133],
                "lr=0.001,width=128": [0.128, 0.064, 0.0427],
            },
        ),
    ],
)
def test_programs_that_nobody_changed_are_read_as_they_write(project, name, expected, in_this_process):
    """Programs stand in for the public ones: they take their options, look for their data and write what they measure alike."""
    if name == "timm":
        (project / "train.py").write_text(TIMM)
    run(project, name)
    found = values(project, name, next(iter(json.loads(SPECS[name])["base"]["metrics"])))
    assert {variant: [round(value, 4) for value in own] for variant, own in found.items()} == expected
