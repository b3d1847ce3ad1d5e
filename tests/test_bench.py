"""The benchmark at its smallest size: every figure is there and the ways agree. How fast anything is, is not tested."""

import json
import math
import subprocess
import sys

import pytest

from ablate.bench import PARTS


@pytest.mark.parametrize("part", PARTS)
def test_each_part_runs(part, tmp_path):
    output = tmp_path / "figures.json"
    command = [sys.executable, "-m", "ablate", "bench", part, "--smallest", "--output", output, "--data-dir", tmp_path / "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(output.read_text())
    assert figures
    for figure in figures:
        assert math.isfinite(figure["value"])
        assert figure["figure"] in done.stdout
        assert figure.get("results_agree", True), figure


def test_a_part_that_does_not_exist_gets_close_matches():
    done = subprocess.run([sys.executable, "-m", "ablate", "bench", "stdy"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Did you mean 'study'" in done.stderr


def test_a_wrong_dataset_is_told():
    command = [sys.executable, "-m", "ablate", "bench", "ceiling", "--dataset", '{"use": "cifra10"}']
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "cifar10" in done.stderr
