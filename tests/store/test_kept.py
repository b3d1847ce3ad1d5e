"""Weights that are kept: what is stored is what was trained, and what is read is what was stored."""

import base64
import csv
import io
import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import ablate
from ablate import documents, predictions
from ablate.cli import app
from ablate.contracts import Cell, Environment, Result
from ablate.engine.weights import weights_digest
from ablate.errors import EnvironmentProblem, SpecError, UsageError
from ablate.executors.believing import unbelievable
from ablate.registry import build, default
from ablate.registry.hooks import CellInfo
from ablate.runner.job import Options, prepare
from ablate.runner.predicting import visible
from ablate.runner.recording import StoreWriter
from ablate.store import Store, database
from ablate.store.keeping import keep_of
from tests.conftest import SPEC

EMA = {"variants": {"average": {"ema": 0.9}}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A store of one study with kept weights: the base, batch norm, and a moving average; one seed."""
    folder = tmp_path_factory.mktemp("trained")
    ablate.run(SPEC | EMA | {"seeds": 1, "keep": "weights"}, store=folder, device="cpu", progress=False)
    return folder


@pytest.fixture
def kept(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "store")


def call(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def refusal(kind, *words):
    """The message of a command that is refused."""
    result = call(*words)
    assert type(result.exception) is kind, result.output
    assert result.stdout == ""
    return str(result.exception)


def test_keeping_changes_no_key(spec, tmp_path):
    jobs = [prepare(spec | more, (), Options(tmp_path, tmp_path, device="cpu")) for more in ({}, {"keep": "weights:3"})]
    assert jobs[0].members() == jobs[1].members()
    assert [job.keep and job.keep.gigabytes for job in jobs] == [None, 3]


@pytest.mark.parametrize("variant", ["base", "batch_norm=on", "average"])
def test_a_model_gives_the_stored_metric_on_the_images_of_the_study(kept, variant, tmp_path):
    study = ablate.load_study("tiny", store=kept)
    row = study.cells.set_index("variant").loc[variant]
    model = ablate.load_model("tiny", variant, 0, store=kept)
    if variant != "average":
        assert weights_digest({"model": model}) == row["weights_sha256"]
    data = build(default(), "dataset", prepare_dataset(), Environment(tmp_path, False)).load()
    images = (torch.from_numpy(data.test.images).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        answers = model(images.contiguous(memory_format=torch.channels_last)).argmax(1)
    assert not model.training
    assert float((answers == torch.from_numpy(data.test.labels)).float().mean()) == pytest.approx(row["accuracy"], abs=1e-7)


def prepare_dataset():
    return {"use": "digits", "size": 16, "channels": 1, "validation": 0, "limit": 160}


def test_a_store_on_a_disk_that_is_only_read_gives_its_models(kept, monkeypatch):
    there = weights_digest({"model": ablate.load_model("tiny", "base", 0, store=kept)})
    monkeypatch.setattr(database.os, "access", lambda place, mode: False)
    before = (kept / "store.sqlite").read_bytes()
    assert weights_digest({"model": ablate.load_model("tiny", "base", 0, store=kept)}) == there
    assert (kept / "store.sqlite").read_bytes() == before


def test_the_file_is_a_state_dict(kept):
    model = ablate.load_model("tiny", "base", 0, store=kept)
    key = ablate.load_study("tiny", store=kept).cells.set_index("variant")["key"]["base"]
    tensors = load_file(kept / "weights" / f"{key}.safetensors")
    assert set(tensors) == set(model.state_dict())
    assert all(torch.equal(tensors[name], value) for name, value in model.state_dict().items())


def test_other_weights_are_refused(kept):
    key = ablate.load_study("tiny", store=kept).cells.set_index("variant")["key"]["base"]
    file = kept / "weights" / f"{key}.safetensors"
    original = file.read_bytes()
    flipped = bytearray(original)
    flipped[-1] ^= 1
    other = next(path for path in (kept / "weights").iterdir() if path != file).read_bytes()
    for content, message in (
        (bytes(flipped), "not those that were trained"),
        (other, "are not the weights of cell"),
        (original[:100], "cannot be read"),
        (b"", "cannot be read"),
    ):
        file.write_bytes(content)
        with pytest.raises(EnvironmentProblem, match=message):
            ablate.load_model("tiny", "base", 0, store=kept)
    save_file({"x": torch.zeros(1)}, file)
    with pytest.raises(EnvironmentProblem, match="are not the weights"):
        ablate.load_model("tiny", "base", 0, store=kept)


@pytest.mark.parametrize(
    ("variant", "seed", "message"),
    [("bse", 0, "Did you mean 'base'"), ("base", 4, "no seed 4. There is: 0."), ("base", 0, "--keep weights --retrain")],
)
def test_a_model_that_is_not_there_is_told_in_words(kept, variant, seed, message):
    shutil.rmtree(kept / "weights")
    with pytest.raises(UsageError, match=message):
        ablate.load_model("tiny", variant, seed, store=kept)


def test_weights_that_went_come_back_only_where_asked(kept, tmp_path, spec):
    study = SPEC | EMA | {"seeds": 1, "keep": "weights"}
    before = ablate.load_study("tiny", store=kept)
    files = {path.name: load_file(path) for path in (kept / "weights").iterdir()}
    first, *_ = files
    (kept / "weights" / first).unlink()
    (kept / "weights" / "left.safetensors").write_bytes(b"by a run that was killed")
    with pytest.warns(UserWarning, match="1 of 3 finished cells have no weights kept"):
        ablate.run(study, store=kept, device="cpu", progress=False)
    assert {path.name for path in (kept / "weights").iterdir()} == set(files) - {first}
    after = ablate.run(study, store=kept, device="cpu", progress=False, retrain=True)
    again = {path.name: load_file(path) for path in (kept / "weights").iterdir()}
    assert again.keys() == files.keys()
    assert all(torch.equal(again[name][key], value) for name, own in files.items() for key, value in own.items())
    assert after.cells.equals(before.cells)


def test_trainers_that_show_no_weights_are_refused(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("print(1)")
    base = {"use": "command", "argv": ["{python}", str(script), "{a}", "{seed}"], "code": [str(script)], "settings": {"a": 1}}
    base["metrics"] = {"score": "maximize"}
    document = {"name": "s", "base": base, "variants": {"b": {"settings": {"a": 2}}}, "keep": "weights"}
    with pytest.raises(SpecError) as caught:
        prepare(document, (), Options(tmp_path, tmp_path, device="cpu"))
    assert "keep: the trainer of variants 'base', 'b' does not show ablate its weights" in str(caught.value)


def test_what_a_flag_may_say():
    assert keep_of("weights").gigabytes == 10
    assert keep_of("weights:0.5").gigabytes == 0.5
    for wrong in ("weight", "weights:", "weights:-1", "weights:1e9", "weights:1 "):
        with pytest.raises(UsageError, match="expected weights"):
            keep_of(wrong)


def test_those_go_first_that_no_study_has_and_then_those_used_longest_ago(tmp_path):
    with Store(tmp_path) as store:
        plan = {
            "question": "",
            "compare": {"metric": "accuracy", "at": "last", "reference": "base"},
            "variants": [],
            "metrics": ["accuracy"],
            "published": {},
        }
        store.save_study("s", {}, plan, [("base", seed, f"{seed}" * 8) for seed in range(3)])
        for name in "0123":
            store.kept.directory.mkdir(exist_ok=True)
            store.kept.file_of(name * 8).write_bytes(b"x" * 1000)
            store.claim(Cell(name * 8, {}, 0, "cpu", {}), {})
            store.finish(name * 8, Result([], {"accuracy": 0.5}, "w", 1.0, 1, kept_sha256="d"))
        store.kept.touch("0" * 8)
        left = []
        for room in (4e-6, 3e-6, 2e-6, 1e-6):
            store.kept.make_room(room)
            left.append("".join(sorted(key[0] for key in store.kept.digests([name * 8 for name in "0123"]))))
        assert left == ["0123", "012", "02", "0"]
        assert [path.name[0] for path in store.kept.directory.iterdir()] == ["0"]
        assert store.stored([name * 8 for name in "0123"]) == {name * 8 for name in "0123"}


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "deep/=1+1\x1b[31m\n.png", "=sum.png"):
        Image.fromarray(np.full((16, 16), 90, np.uint8)).save(folder / name)
    Image.fromarray(np.full((40, 20, 3), 90, np.uint8)).save(folder / "large.jpg")
    (folder / "notes.txt").write_text("no image")
    return folder


def test_images_are_told_with_their_class_and_no_name_does_anything(kept, images):
    result = call("predict", "tiny", "batch_norm=on", images, "--store", kept, "--device", "cpu")
    assert result.exit_code == 0, result.output
    rows = list(csv.reader(io.StringIO(result.stdout)))
    assert rows[0] == ["path", "class", "probability"]
    assert [row[0] for row in rows[1:]] == ["'=sum.png", "a.png", "deep/=1+1\\x1b[31m\\n.png", "large.jpg"]
    model = ablate.load_model("tiny", "batch_norm=on", 0, store=kept)
    grey = torch.full((1, 1, 16, 16), (90 / 255 - 0.5) / 0.5)
    with torch.no_grad():
        told = model(grey).softmax(1)[0]
    assert all(row[1:] == [str(int(told.argmax())), f"{float(told.max()):.6f}"] for row in rows[1:])
    assert "1 of 4 images are cropped in the middle and resized to 16×16" in result.stderr
    assert "1 .txt" in result.stderr


def test_images_that_cannot_be_read_are_told_all_at_once(kept, images):
    for name in ("b.png", "c.png"):
        (images / name).write_bytes(b"none")
    words = ["predict", "tiny", "base", images, "--store", kept, "--device", "cpu"]
    assert "2 of 6 images cannot be read" in refusal(EnvironmentProblem, *words)


def test_names_are_made_visible():
    assert visible("a\x1bb\n\u202ec\udcff ü") == "a\\x1bb\\n\\u202ec\\udcff ü"


def test_an_evaluation_has_the_value_of_the_training_and_is_made_once(kept):
    words = ["evaluate", "tiny", "--metric", "accuracy", "--store", kept, "--device", "cpu"]
    assert "have a column 'accuracy' already" in refusal(UsageError, *words)
    made = call(*words, "--name", "again")
    assert "[1/3] base, seed 0: accuracy on again 0." in made.stderr
    assert made.stdout.startswith("variant        measured")
    assert "no verdict is told of it" in " ".join(made.stdout.split())
    study = ablate.load_study("tiny", store=kept)
    assert study.cells["accuracy on again"].tolist() == study.cells["accuracy"].tolist()
    (told,) = study.evaluations
    assert (told.name, told.images) == ("accuracy on again", 160)
    assert call(*words, "--name", "again").stderr.count("stored already") == 3
    other = call("evaluate", "tiny", "--metric", "loss", "--name", "again", "--store", kept, "--device", "cpu")
    assert other.exit_code == 0
    markdown = call("report", "tiny", "--format", "markdown", "--store", kept).stdout
    assert "## Measured afterwards" in markdown
    assert "loss on again" in markdown


def test_a_program_is_told_the_same_from_python(kept, tmp_path):
    Image.new("L", (16, 16), 200).save(tmp_path / "a.png")
    words = ["predict", "tiny", "base", tmp_path, "--store", kept, "--device", "cpu", "--json"]
    assert documents.predict("tiny", "base", tmp_path, store=kept, device="cpu") == json.loads(call(*words).stdout)
    made = documents.evaluate("tiny", metrics=["loss"], name="a", store=kept, device="cpu")
    words = ["evaluate", "tiny", "--metric", "loss", "--name", "a", "--store", kept, "--device", "cpu", "--json"]
    assert made == json.loads(call(*words).stdout) == {"version": 1, "study": "tiny", "columns": ["loss on a"]}
    with pytest.raises(UsageError, match="give a metric, a dataset, or both"):
        documents.evaluate("tiny", store=kept)
    with pytest.raises(UsageError, match="metrics: expected a component"):
        documents.evaluate("tiny", metrics=[{"name": "loss"}], store=kept)
    assert documents.component("metric", "loss") == json.loads(call("show", "metric", "loss", "--json").stdout)
    assert documents.components("metric", search="loss") == json.loads(
        call("list", "metric", "--search", "loss", "--json").stdout
    )


def test_a_column_keeps_its_meaning(kept):
    words = ["evaluate", "tiny", "--name", "x", "--store", kept, "--device", "cpu", "--dataset"]
    assert call(*words, '{"use": "digits", "size": 16, "limit": 100}').exit_code == 0
    study = ablate.load_study("tiny", store=kept)
    assert {told.name: told.images for told in study.evaluations} == {"accuracy on x": 100, "loss on x": 100}
    assert "has another metric or other images" in refusal(UsageError, *words, '{"use": "digits", "size": 16, "limit": 90}')
    small = refusal(EnvironmentProblem, *words[:3], "y", *words[4:], '{"use": "digits", "size": 8}')
    assert "1×8×8, and the cells were trained on 1×16×16" in small


def test_what_was_said_of_each_image_is_kept_and_gives_the_metric(kept):
    study = ablate.load_study("tiny", store=kept)
    for row in study.cells.itertuples():
        said = predictions.read(study.predictions(row.key))
        assert (said.labels == said.answers).mean() == pytest.approx(row.accuracy, abs=1e-7)
        assert len(said.labels) == 160
        assert said.class_names == tuple("0123456789")
        model = ablate.load_model("tiny", row.variant, 0, store=kept)
        data = build(default(), "dataset", prepare_dataset(), Environment(kept, False)).load()
        images = ((torch.from_numpy(data.test.images).float() / 255 - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            sure, told = model(images).softmax(1).max(1)
        assert said.answers.tolist() == told.tolist()
        assert said.confidence == pytest.approx(sure.numpy(), abs=1e-5)


def random_predictions(images, classes):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images)
    answers = np.where(rng.random(images) < 0.8, labels, rng.integers(0, classes, images))
    names = tuple(f"class {index}" for index in range(classes))
    return predictions.Predictions(labels, answers, rng.beta(3, 1, images), names, "digest")


@pytest.mark.parametrize(("images", "classes", "most"), [(10_000, 10, 100_000), (50, 300, 3_000)])
def test_predictions_come_back_from_a_small_file(images, classes, most, tmp_path):
    told = random_predictions(images, classes)
    predictions.write(tmp_path / "x.npz", predictions.packed(told))
    assert (tmp_path / "x.npz").stat().st_size < most
    back = predictions.read(tmp_path / "x.npz")
    assert (back.labels == told.labels).all()
    assert (back.answers == told.answers).all()
    assert np.abs(back.confidence - told.confidence).max() <= 0.5 / 65535
    assert (back.class_names, back.images) == (told.class_names, "digest")
    assert predictions.packed(told) == predictions.packed(back)


def test_what_are_no_predictions_is_refused(tmp_path):
    file = tmp_path / "x.npz"
    assert predictions.read(file) is None
    good = base64.b64decode(predictions.packed(random_predictions(100, 10)))
    flipped = bytearray(good)
    flipped[60] ^= 255
    pickled = io.BytesIO()
    np.savez(pickled, **dict.fromkeys(("labels", "answers", "confidence", "about"), np.array([object()])))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.npy", bytes(200_000_000))
    for content in (b"", b"PK", good[:50], bytes(flipped), pickled.getvalue(), bomb.getvalue()):
        file.write_bytes(content)
        with pytest.raises(EnvironmentProblem, match="cannot be read"):
            predictions.read(file)


def test_a_result_with_other_predictions_is_not_believed(spec, tmp_path):
    cell = prepare(spec, (), Options(tmp_path, tmp_path, device="cpu")).cells[0].cell
    result = Result(
        [{"epoch": 1}, {"epoch": 2}],
        {"accuracy": 0.5, "loss": 1.0},
        "w",
        1.0,
        1,
        cell.identity,
        100,
        None,
        predictions.packed(random_predictions(100, 10)),
    )
    assert unbelievable(cell, result) is None
    assert "predictions of 100 images" in unbelievable(cell, replace(result, evaluated_images=99))
    assert "cannot be read" in unbelievable(cell, replace(result, predictions="abcd"))


def test_what_had_to_go_is_said_once(spec, tmp_path):
    said = []
    with Store(tmp_path) as store:
        writer = StoreWriter(store, keep_of("weights:0.001"), said.append)
        for name in "abc":
            info = CellInfo(name * 8, ("base",), 0, 1)
            store.kept.directory.mkdir(exist_ok=True)
            store.kept.file_of(info.key).write_bytes(bytes(600_000))
            store.claim(Cell(info.key, {}, 0, "cpu", {}), {})
            writer.cell_end(info, "done", Result([], {"accuracy": 0.5}, "w", 1.0, 1, kept_sha256="d"), None, None)
        writer.study_end()
        assert set(store.kept.digests(name * 8 for name in "abc")) == {"cccccccc"}
    (words,) = said
    assert "room of 0.001 GB: those of 2 cells (0.0012 GB) were removed" in words
