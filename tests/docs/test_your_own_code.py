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
CONFIG = "seed: 0\nmodel: {width: 1}\noptim: {name: x, lr: 1}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    for name in ("images", "conf", "../data", "data", "src", "configs"):
        (folder / name).mkdir(parents=True)
    monkeypatch.chdir(folder)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for name in ("main.py", "app.py", "src/train.py"):
        (folder / name).write_text(APP)
    (folder / "distributed.py").write_text(DISTRIBUTED)
    (folder / "conf/config.yaml").write_text(CONFIG)
    return folder


def done(*arguments):
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output + result.stderr
    return result.output


def values(project, study):
    with Store(project / "store") as store:
        cells = store.study(study).cells
    return {variant: own["accuracy"].tolist() for variant, own in cells.groupby("variant")}


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
