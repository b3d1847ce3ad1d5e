"""The benchmark at its smallest size: every figure is there and the ways agree. How fast anything is, is not tested."""

import io
import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from ablate.bench import PARTS, loading, studies
from ablate.bench.common import Size
from ablate.bench.run import SMALLEST
from ablate.cli import app
from ablate.components import recorded
from ablate.contracts import Environment
from ablate.errors import AblateError
from ablate.photographs import Photographs

pytestmark = pytest.mark.timeout(900)  # whole studies in processes of their own, on a machine that may be shared
Q1 = json.loads((Path(__file__).parents[1] / "specs" / "q1.json").read_text())


def bench(*words):
    """Exit code, and what it said."""
    done = CliRunner().invoke(app, ["bench", *map(str, words)])
    if isinstance(done.exception, AblateError):
        return done.exception.exit_code, str(done.exception)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


@pytest.fixture
def studies_here(monkeypatch, in_this_process):
    """Studies are run by the same command, but here: the parts "study" and "fixed" start processes of their own."""

    def run(size, document, store, *options):
        path = size.work / f"{document['name']}.json"
        path.write_text(json.dumps(document))
        words = ["--store", store, "--device", size.device, "--json", "--data-dir", size.environment.data_dir, *options]
        done = CliRunner().invoke(app, ["run", str(path), *map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    for module in ("epochs", "studies"):
        monkeypatch.setattr(f"ablate.bench.{module}.run_ablate", run)


def test_photographs_that_were_begun_ahead_of_what_is_measured_are_not_counted(tmp_path, monkeypatch, capsys):
    """Of a way that was left after its first batch, threads would go on to decode the next chunk."""
    content = io.BytesIO()
    Image.new("RGB", (60, 40)).save(content, "JPEG")
    recorded.write(tmp_path / "encoded", [0] * 12, [(f"{n}.jpg", content.getvalue()) for n in range(12)], 3, decoded=False)
    decoded, counts = [], []
    original = Photographs.decoded
    monkeypatch.setattr(Photographs, "decoded", lambda *which: decoded.append(which) or original(*which))
    monkeypatch.setattr(loading, "WAYS", {"it": partial(loading.ours, kept="encoded", batch=2, chunk=4)})
    monkeypatch.setattr(loading, "_cpu_seconds", lambda: counts.append(len(decoded)) or 0.0)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # that of the tests stays
    loading.main("it", tmp_path)
    assert counts == [12, 24]
    assert json.loads(capsys.readouterr().out)["images"] == 12


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(part, marks=() if part in ("honest", "augmentation") else pytest.mark.slow)
        for part in PARTS
        if part != "gpu"  # which `tests/pretended` has
    ],
)
def test_each_part_runs(part, tmp_path, request):
    if part not in ("study", "fixed"):
        request.getfixturevalue("studies_here")
    output = tmp_path / "figures.json"
    words = [part, "--smallest", "--output", output, "--data-dir", tmp_path / "data"]
    if part == "specs":
        (tmp_path / "study.json").write_text(json.dumps({key: Q1[key] for key in ("name", "base")}))  # one recipe
        words += ["--spec", tmp_path / "study.json"]
    code, said = bench(*words)
    assert code == 0, said
    figures = json.loads(output.read_text())
    assert figures
    for figure in figures:
        assert math.isfinite(figure["value"])
        assert figure["figure"] in said
        assert figure.get("results_agree", True), figure


@pytest.mark.slow
def test_the_cell_that_is_measured_on_a_gpu_agrees_on_the_cpu(tmp_path, studies_here):
    dataset = {"use": "digits", "size": 16, "channels": 3, "limit": 128}
    size = Size(dataset=dataset, environment=Environment(tmp_path), repeats=1, specs=(), device="cpu", work=tmp_path, **SMALLEST)
    (figure,) = studies.one_on_gpu(size)
    assert figure["gap_in_accuracy"] == 0
    assert figure["seconds_of_an_epoch"].keys() == {"by hand", "ablate"}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_part_for_gpus_needs_one(tmp_path):
    code, said = bench("gpu", "--smallest", "--data-dir", tmp_path)
    assert code == 3
    assert "the part 'gpu' measures a GPU, and torch finds none on this machine" in said


def test_the_part_for_specs_needs_one(tmp_path):
    code, said = bench("specs", "--smallest", "--data-dir", tmp_path)
    assert code == 2
    assert "--spec specs/q2.json" in said


def test_a_study_that_the_script_cannot_do_is_told(tmp_path):
    study = {"name": "rmsprop", "base": Q1["base"] | {"optimizer": {"use": "rmsprop"}}}
    (tmp_path / "study.json").write_text(json.dumps(study))
    code, said = bench("specs", "--smallest", "--spec", tmp_path / "study.json", "--data-dir", tmp_path)
    assert code == 2
    assert "no optimizer 'ablate-core:rmsprop'" in said


def test_a_part_that_does_not_exist_gets_close_matches():
    code, said = bench("stdy")
    assert code == 2
    assert "Did you mean 'study'" in said


def test_a_wrong_dataset_is_told():
    code, said = bench("ceiling", "--dataset", '{"use": "cifra10"}')
    assert code == 2
    assert "cifar10" in said
