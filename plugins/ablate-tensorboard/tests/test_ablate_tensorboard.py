"""Event files, read back with TensorBoard's own reader."""

import copy
import json
import os
import subprocess
import sys

import ablate_tensorboard
import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.util.tensor_util import make_ndarray

import ablate
from ablate.contracts import Result
from ablate.registry.hooks import CellInfo, Hooks
from ablate.runner.tracking import Tracker, shown
from ablate.store import Store
from ablate.study import Compare, Study, VariantInfo

SPEC = {
    "name": "tiny",
    "base": {
        "dataset": {"use": "digits", "size": 16, "limit": 160},
        "train_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 2,
    },
    "factors": {"batch_norm": {"on": {"model": {"batch_norm": True}}}},
    "seeds": 2,
}
HOSTILE = [
    "<script>alert(1)</script>[bold]**x**",
    "../..//etc/passwd",
    "x" * 10_000,
    "ש" * 300,
    "bell\x07 escape\x1b[31m nul\x00 line\nfeed",
    "\u202eעברית \u202bالعربية",
    "..",
    " ",
    "con. ",
]
RECORD = {"train_loss": 0.5, "lr": 0.125, "seconds": 1.0, "images_per_second": 10.0, "accuracy": None, "selected": True}


@pytest.fixture
def spec():
    return copy.deepcopy(SPEC)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the tracker logs to."""
    monkeypatch.setenv("ABLATE_TENSORBOARD_DIR", str(tmp_path / "tb"))
    return tmp_path / "tb"


def read(path):
    events = EventAccumulator(str(path), size_guidance={"tensors": 0})
    events.Reload()
    return events


def scalars(events, tag):
    return [(event.step, make_ndarray(event.tensor_proto).item()) for event in events.Tensors(tag)]


def text(events, name):
    return [make_ndarray(event.tensor_proto)[0].decode() for event in events.Tensors(f"{name}/text_summary")]


def hparams(events, what):
    content = events.SummaryMetadata(f"_hparams_/{what}").plugin_data.content
    return getattr(plugin_data_pb2.HParamsPluginData.FromString(content), what)


def records(*epochs):
    return [RECORD | {"epoch": epoch, "train_loss": 1 / epoch} for epoch in epochs]


def hooks_of():
    blamed = []
    hooks = Hooks(blamed.append)
    tracker = Tracker(ablate_tensorboard.connect, ablate_tensorboard.tracker.patience)
    hooks.register(tracker, "tensorboard")
    return hooks, blamed, tracker


def sitting(study, cell, epochs, status, result=None, error=None):
    """What the driver tells of one sitting, which is killed where there is no status; returns what listeners were blamed for."""
    hooks, blamed, _ = hooks_of()
    hooks.call("study_start", study=study, cells=[cell], stored=0)
    hooks.call("cell_start", cell=cell, resumed=None)
    for record in epochs:
        hooks.call("epoch_end", cell=cell, record=record)
    if status:
        hooks.call("cell_end", cell=cell, status=status, result=result, error=error, log=None)
        hooks.call("study_end", study=study_of(study, cell, status))
    return blamed


def study_of(name, cell, status="done"):
    frame = pd.DataFrame([{"variant": v, "seed": cell.seed, "status": status, "accuracy": 0.5} for v in cell.variants])
    variants = tuple(VariantInfo(v, dict(cell.levels), (f"a.b: 1 → {v}",)) for v in cell.variants)
    epochs = pd.DataFrame(columns=["variant", "seed", "epoch", "accuracy"])
    return Study(name, "?", Compare("accuracy", "last", cell.variants[0]), variants, frame, epochs)


def test_cells_are_folders_with_parameters_metrics_and_status(spec, tmp_path, folder):
    study = ablate.run(spec, store=tmp_path / "s", device="cpu", jobs=1)
    cells = sorted(path.name.rpartition(",")[0] for path in (folder / "tiny").iterdir() if path.is_dir())
    assert cells == ["base, seed 0", "base, seed 1", "batch_norm=on, seed 0", "batch_norm=on, seed 1"]
    (place,) = (folder / "tiny").glob("batch_norm=on, seed 1, *")
    row = study.cells[(study.cells["variant"] == "batch_norm=on") & (study.cells["seed"] == 1)].iloc[0]
    assert place.name.endswith(row["key"][:8])
    events = read(place)
    epochs = study.epochs[(study.epochs["variant"] == "batch_norm=on") & (study.epochs["seed"] == 1)]
    for metric in ("train_loss", "lr", "accuracy", "loss", "seconds"):
        assert scalars(events, metric) == list(zip(epochs["epoch"], epochs[metric].astype(np.float32), strict=True))
    assert scalars(events, "result/accuracy") == [(2, np.float32(row["accuracy"]))]
    start = hparams(events, "session_start_info").hparams
    assert (start["variant"].string_value, start["level.batch_norm"].string_value) == ("batch_norm=on", "on")
    assert (start["seed"].number_value, start["epochs"].number_value) == (1, 2)
    assert hparams(events, "session_end_info").status == 1
    assert text(events, "status") == ["    done"]
    assert row["key"] in text(events, "cell")[0]
    verdicts = text(read(folder / "tiny"), "verdicts")
    assert len(verdicts) == 1
    assert study.variants[1].changes[0] in verdicts[0]

    before = {path: path.read_bytes() for path in (folder / "tiny").glob("*/*")}
    ablate.run(spec | {"seeds": 3}, store=tmp_path / "s", device="cpu", jobs=1)
    after = {path: path.read_bytes() for path in (folder / "tiny").glob("*/*")}
    assert before.items() <= after.items(), "what is stored is not logged again"
    assert len(after) == 6
    assert len(text(read(folder / "tiny"), "verdicts")) == 1, "the last word replaces those before"


def test_seeds_added_in_rounds_are_in_one_study(spec, tmp_path, folder):
    study = ablate.run(spec | {"seeds": {"min": 2, "max": 3, "stop": "decided"}}, store=tmp_path / "s", device="cpu", jobs=1)
    assert len([path for path in (folder / "tiny").iterdir() if path.is_dir()]) == len(study.cells)


def test_a_resumed_cell_continues_and_replaces_what_is_trained_again(folder):
    """Killed in epoch 4; the checkpoint was of epoch 2, so that epoch 3 is told twice."""
    cell = CellInfo("f" * 64, ("base",), 7, 4)
    sitting("s", cell, [*records(1, 2), RECORD | {"epoch": 3, "train_loss": 99.0}], None)
    (place,) = (folder / "s").iterdir()
    assert scalars(read(place), "train_loss") == [(1, 1.0), (2, 0.5), (3, 99.0)]
    assert sitting("s", cell, records(3, 4), "done", Result(records(1, 2, 3, 4), {"accuracy": 0.75}, "0" * 64, 4.0, 10)) == []
    events = read(place)
    assert scalars(events, "train_loss") == [(1, 1.0), (2, 0.5), (3, np.float32(1 / 3)), (4, 0.25)]
    assert scalars(events, "result/accuracy") == [(4, 0.75)]
    assert [path for path in (folder / "s").iterdir() if path.is_dir()] == [place]


def test_a_training_of_unknown_length_ends_at_its_last_record(folder):
    cell = CellInfo("a" * 64, ("base",), 0, None)
    result = Result(records(1, 2, 3), {"accuracy": 0.75}, None, 3.0, None)
    assert sitting("unknown", cell, records(1, 2, 3), "done", result) == []
    (place,) = (folder / "unknown").glob("base, seed 0, *")
    assert scalars(read(place), "result/accuracy") == [(3, 0.75)]


def test_a_training_of_unknown_length_that_fails_when_it_goes_on_keeps_what_it_had(folder):
    cell = CellInfo("a" * 64, ("base",), 0, None)
    sitting("unknown", cell, records(1, 2), None)
    hooks, blamed, _ = hooks_of()
    hooks.call("study_start", study="unknown", cells=[cell], stored=0)
    hooks.call("cell_start", cell=cell, resumed=(2, 0))
    hooks.call("cell_end", cell=cell, status="failed", result=None, error="no luck", log=None)
    (place,) = (folder / "unknown").glob("base, seed 0, *")
    assert [step for step, _ in scalars(read(place), "train_loss")] == [1, 2]
    assert blamed == []


@pytest.mark.parametrize(("status", "error", "code"), [("failed", "RuntimeError: no luck", 2), ("interrupted", None, 0)])
def test_a_cell_that_is_not_done_says_so_until_it_is(folder, status, error, code):
    cell = CellInfo("d" * 64, ("base",), 0, 2)
    sitting("s", cell, records(1), status, None, error)
    (place,) = (path for path in (folder / "s").iterdir() if path.is_dir())
    assert text(read(place), "status") == [f"    {status}" + (f"\n    {error}" if error else "")]
    assert hparams(read(place), "session_end_info").status == code
    sitting("s", cell, records(2), "done", Result(records(1, 2), {}, "0" * 64, 4.0, 10))
    assert text(read(place), "status") == ["    done"]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_are_logged(folder, name):
    """As names of study, factor, level and metric; nothing is written outside of the folder."""
    cell = CellInfo("c" * 64, (f"{name}={name}",), 0, 1, {name: name})
    record = RECORD | {"epoch": 1, name: 0.25}
    assert sitting(name, cell, [record], "done", Result([record], {name: 0.5}, "0" * 64, 4.0, 10)) == []
    assert list(folder.parent.iterdir()) == [folder]
    (study,) = folder.iterdir()
    assert study.resolve().parent == folder.resolve()
    (place,) = (path for path in study.iterdir() if path.is_dir())
    events = read(place)
    assert scalars(events, ablate_tensorboard.tag_of(name)) == [(1, 0.25)]
    assert scalars(events, ablate_tensorboard.tag_of(f"result/{name}")) == [(1, 0.5)]
    parameters = hparams(events, "session_start_info").hparams
    assert parameters[shown(f"level.{name}")].string_value == shown(name)
    assert all(line.startswith("    ") for line in text(events, "cell")[0].splitlines()), "a literal block of Markdown"


def test_names_that_only_look_alike_stay_apart():
    names = ("a/b", "a_b", "a:b", "a*b", "x" * 300, "x" * 301)
    assert len({ablate_tensorboard.file_name(name) for name in names}) == len(names)
    assert len({ablate_tensorboard.tag_of(name) for name in names}) == len(names)
    assert shown("lone \ud800 surrogate") == "lone � surrogate"
    assert ablate_tensorboard.tag_of("\ud800").startswith("_-")


def test_a_folder_that_cannot_be_made_costs_no_cell(spec, tmp_path, folder):
    folder.write_text("a file")
    with pytest.warns(UserWarning, match="listener 'ablate-tensorboard:tensorboard' failed in") as caught:
        study = ablate.run(spec, store=tmp_path / "s", device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 4
    told = [str(warning.message) for warning in caught if "ablate-tensorboard" in str(warning.message)]
    assert [message.partition(" failed in ")[2].partition(":")[0] for message in told] == [
        "epoch_end",
        "cell_end",
        "cell_start",
        "study_end",
    ]


def full(path):
    """A file on a disk that is full."""
    return open("/dev/full", "wb", buffering=0)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a device that is always full")
def test_what_a_full_disk_did_not_take_is_written_when_there_is_room(folder, monkeypatch):
    cell = CellInfo("b" * 64, ("base",), 0, 4)
    hooks, blamed, tracker = hooks_of()
    hooks.call("study_start", study="s", cells=[cell], stored=0)
    hooks.call("epoch_end", cell=cell, record=records(1)[0])
    log = tracker.logs[cell.key]
    log.run._py_recordio_writer._writer = full("of the open file")
    with monkeypatch.context() as patch:
        patch.setattr("tensorboardX.record_writer.open_file", full)
        for record in records(2, 3):
            hooks.call("epoch_end", cell=cell, record=record)
    assert len(blamed) == 1
    assert "No space left on device" in blamed[0]
    hooks.call("epoch_end", cell=cell, record=records(4)[0])
    hooks.call("cell_end", cell=cell, status="interrupted", result=None, error=None, log=None)
    (place,) = (folder / "s").iterdir()
    assert [step for step, _ in scalars(read(place), "train_loss")] == [1, 2, 3, 4]
    assert len(list(place.iterdir())) == 2


def test_where_nobody_asks_for_it_nothing_is_imported_or_written(spec, tmp_path, folder):
    code = (
        "import sys, json, ablate; ablate.run(json.loads(sys.argv[1]), store=sys.argv[2], device='cpu', jobs=1);"
        "assert 'ablate_tensorboard' in sys.modules; assert 'tensorboardX' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    del environment["ABLATE_TENSORBOARD_DIR"]
    command = [sys.executable, "-c", code, json.dumps(spec | {"seeds": 1}), str(tmp_path / "store")]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    with Store(tmp_path / "store", create=False) as store:
        assert len(store.study("tiny").cells) == 2
