"""`ablate bench gpu` at its smallest size, so that the first hour on a real GPU is not spent on it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.bench.gpu import RECIPES

TESTS = Path(__file__).parents[1]
SMALL = {"optimizer": {"use": "rmsprop"}, "epochs": 2}
Q1 = json.loads((TESTS.parent / "specs" / "q1.json").read_text())


def figures_of(folder, *specs):
    """The figures by name, and what is printed; with studies of these names and recipes."""
    command = [sys.executable, "-m", "ablate", "bench", "gpu", "--smallest", "--data-dir", folder, "--output", folder / "figures"]
    for name, base in specs:
        command += ["--spec", folder / f"{name}.json"]
        command[-1].write_text(json.dumps({"name": name, "base": base}))
    paths = os.pathsep.join([str(TESTS / "pretended" / "site"), str(TESTS)])
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths})
    assert done.returncode == 0, done.stderr
    return {figure["figure"]: figure for figure in json.loads((folder / "figures").read_text())}, done.stdout


@pytest.mark.timeout(600)
def test_every_figure_is_measured_or_says_why_not(tmp_path):
    figures, printed = figures_of(tmp_path, ("other", Q1["base"] | SMALL))
    assert list(figures) == [
        f"recipes with the same bits again, of {len(RECIPES)}",
        f"recipes with the same bits at once, of {len(RECIPES)}",
        "2 cells of the small network at once / one",
        "an epoch of ResNet18: ablate / by hand",
        "the same sums each time / the fastest ones, by hand",
        "other: a cell alone",
        "studies: script / ablate",
    ]
    assert figures.pop("studies: script / ablate")["why"].startswith("name the studies with --spec")
    assert "not measured: name the studies with --spec" in printed
    for name, figure in figures.items():
        assert figure["value"] is not None, figure
        assert figure.get("results_agree", True), figure
        assert name in printed
    told = figures[f"recipes with the same bits at once, of {len(RECIPES)}"]["eager_because"]
    assert told == {**dict.fromkeys(RECIPES, ""), "accumulation": "gradients are accumulated"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_studies_are_measured_against_scripts(tmp_path):
    figures, _ = figures_of(tmp_path, ("known", Q1["base"]))
    assert figures["1 recipe × 1 seed, extrapolated: script / ablate, at least"]["value"] > 0
