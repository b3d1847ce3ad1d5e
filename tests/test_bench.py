"""The benchmark at its smallest size: every figure is there and the ways agree. How fast anything is, is not tested."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ablate.bench import PARTS, studies
from ablate.bench.common import Size
from ablate.bench.run import SMALLEST
from ablate.contracts import Environment

pytestmark = pytest.mark.timeout(900)  # whole studies in processes of their own, on a machine that may be shared
Q1 = json.loads((Path(__file__).parents[1] / "specs" / "q1.json").read_text())


@pytest.mark.parametrize("part", [part for part in PARTS if part != "gpu"])  # which `tests/pretended` has
def test_each_part_runs(part, tmp_path):
    output = tmp_path / "figures.json"
    command = [sys.executable, "-m", "ablate", "bench", part, "--smallest", "--output", output, "--data-dir", tmp_path / "data"]
    if part == "specs":
        (tmp_path / "study.json").write_text(json.dumps({key: Q1[key] for key in ("name", "base")}))  # one recipe
        command += ["--spec", tmp_path / "study.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(output.read_text())
    assert figures
    for figure in figures:
        assert math.isfinite(figure["value"])
        assert figure["figure"] in done.stdout
        assert figure.get("results_agree", True), figure


def test_the_cell_that_is_measured_on_a_gpu_agrees_on_the_cpu(tmp_path):
    dataset = {"use": "digits", "size": 16, "channels": 3, "limit": 128}
    size = Size(dataset=dataset, environment=Environment(tmp_path), repeats=1, specs=(), device="cpu", work=tmp_path, **SMALLEST)
    (figure,) = studies.one_on_gpu(size)
    assert figure["gap_in_accuracy"] == 0
    assert figure["seconds_of_an_epoch"].keys() == {"by hand", "ablate"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_part_for_gpus_needs_one(tmp_path):
    command = [sys.executable, "-m", "ablate", "bench", "gpu", "--smallest", "--data-dir", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert "the part 'gpu' measures a GPU, and torch finds none on this machine" in done.stderr


def test_the_part_for_specs_needs_one(tmp_path):
    command = [sys.executable, "-m", "ablate", "bench", "specs", "--smallest", "--data-dir", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--spec specs/q2.json" in done.stderr


def test_a_study_that_the_script_cannot_do_is_told(tmp_path):
    study = {"name": "rmsprop", "base": Q1["base"] | {"optimizer": {"use": "rmsprop"}}}
    (tmp_path / "study.json").write_text(json.dumps(study))
    command = [sys.executable, "-m", "ablate", "bench", "specs", "--smallest", "--spec", tmp_path / "study.json"]
    done = subprocess.run([*command, "--data-dir", tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no optimizer 'ablate-core:rmsprop'" in done.stderr


def test_a_part_that_does_not_exist_gets_close_matches():
    done = subprocess.run([sys.executable, "-m", "ablate", "bench", "stdy"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Did you mean 'study'" in done.stderr


def test_a_wrong_dataset_is_told():
    command = [sys.executable, "-m", "ablate", "bench", "ceiling", "--dataset", '{"use": "cifra10"}']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "cifar10" in done.stderr
