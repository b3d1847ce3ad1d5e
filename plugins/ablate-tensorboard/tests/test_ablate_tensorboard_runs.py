"""Event files as those who write them write them: torch's writer, Lightning's files, TensorFlow's tensors, and ablate's own."""

import math
import struct

import pytest
from ablate_tensorboard_runs import recognises, tensorboard

from ablate.judging.runs import Asked
from ablate.testing import SourceContract


def torch_runs(folder):
    """With HPARAMS, which torch writes into a folder below each run."""
    from torch.utils.tensorboard import SummaryWriter

    for optimizer, shift in (("sgd", 0.0), ("adam", 0.1)):
        for seed in range(2):
            writer = SummaryWriter(str(folder / f"{optimizer}_{seed}"))
            for step in range(3):
                writer.add_scalar("val/acc", 0.5 + shift + step / 10 + seed / 100, step)
            writer.add_hparams({"optimizer": optimizer, "seed": seed, "lr": 0.1}, {"hp/acc": 0.9})
            writer.close()
    return folder


def events(folder, points, tag="val_acc", name="events.out.tfevents.1.host", start=None):
    """An event file of one run."""
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary

    folder.mkdir(parents=True, exist_ok=True)
    writer = EventsWriter(str(folder / "events"), f".{name}")
    if start is not None:
        writer.write_event(Event(step=start, session_log=SessionLog(status=SessionLog.SessionStatus.Value("START"))))
    for step, value in points:
        writer.write_event(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, simple_value=value)])))
    writer.close()
    return next(path for path in folder.iterdir() if name in path.name)


class TestTorch(SourceContract):
    component = {"use": "tensorboard"}
    metric = "val/acc"
    write = staticmethod(torch_runs)


def one(folder):
    (run,) = tensorboard(Asked(folder)).runs
    return run


def test_hparams_of_torch_belong_to_the_run_above(tmp_path):
    runs = {run.name: run for run in tensorboard(Asked(torch_runs(tmp_path))).runs}
    assert set(runs) == {"sgd_0", "sgd_1", "adam_0", "adam_1"}
    assert runs["adam_1"].settings == {"optimizer": "adam", "seed": 1.0, "lr": 0.1}
    assert list(runs["adam_1"].metrics["val/acc"].steps) == [0, 1, 2]
    assert runs["adam_1"].metrics["val/acc"].values[-1] == pytest.approx(0.81)


def test_hparams_yaml_of_lightning_is_read_and_makes_no_object(tmp_path):
    events(tmp_path / "version_0", [(0, 0.5)])
    (tmp_path / "version_0" / "hparams.yaml").write_text(
        "lr: 0.1\nmodel:\n  act: !!python/name:os.system ''\n  size: !!python/tuple [1, 2]\n"
        "boom: !!python/object/apply:os.system ['touch ran']\n"
    )
    assert one(tmp_path).settings == {"lr": 0.1, "model.act": "", "model.size": [1, 2], "boom": ["touch ran"]} | {
        "model.act": one(tmp_path).settings["model.act"]
    }
    assert "os.system" in one(tmp_path).settings["model.act"]
    assert not (tmp_path / "ran").exists()


def test_what_was_written_again_counts_once(tmp_path):
    events(tmp_path / "run", [(1, 0.1), (2, 0.2), (3, 0.3)], name="events.out.tfevents.1.host")
    events(tmp_path / "run", [(2, 0.25)], name="events.out.tfevents.2.host", start=2)
    curve = one(tmp_path).metrics["val_acc"]
    assert list(curve.steps) == [1, 2]
    assert curve.values[-1] == pytest.approx(0.25)


def test_a_file_that_ends_within_a_record_is_told(tmp_path):
    path = events(tmp_path / "run", [(1, 0.1), (2, 0.2)])
    path.write_bytes(path.read_bytes()[:-5])
    found = tensorboard(Asked(tmp_path))
    assert list(found.runs[0].metrics["val_acc"].steps) == [1]
    assert "Event files of 1 folders end within a record; what is before it counts" in found.notices


def test_damage_ends_a_file_and_nothing_else(tmp_path):
    path = events(tmp_path / "run", [(1, 0.1)])
    path.write_bytes(path.read_bytes() + struct.pack("<QI", 3, 0) + b"\xff\xff\xff" + b"\0" * 4)
    assert list(one(tmp_path).metrics["val_acc"].steps) == [1]


def test_not_a_number_is_kept(tmp_path):
    events(tmp_path / "run", [(1, 0.1), (2, math.nan)])
    assert math.isnan(one(tmp_path).metrics["val_acc"].values[-1])


def test_names_of_folders_are_settings_where_nothing_else_is(tmp_path):
    for optimizer in ("sgd", "adam"):
        for seed in range(2):
            events(tmp_path / optimizer / f"lr=0.1,wd=0_seed_{seed}" / "version_0", [(1, 0.1)])
    found = tensorboard(Asked(tmp_path))
    assert found.runs[0].settings == {"folder 1": "adam", "lr": "0.1", "wd": "0_seed_0"} | found.runs[0].settings
    assert found.runs[0].settings["folder 1"] == "adam"
    assert "Nothing says how the runs were made, so settings are taken from the names of their folders" in found.notices


def test_training_and_validation_of_keras_are_one_run(tmp_path):
    events(tmp_path / "a" / "train", [(0, 0.6)], tag="epoch_accuracy")
    events(tmp_path / "a" / "validation", [(0, 0.5)], tag="epoch_accuracy")
    assert set(one(tmp_path).metrics) == {"train/epoch_accuracy", "validation/epoch_accuracy"}


def test_tensors_of_tensorflow_are_numbers(tmp_path):
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.proto.tensor_pb2 import TensorProto

    writer = EventsWriter(str(tmp_path / "events"), "")
    tensors = [TensorProto(dtype=1, tensor_content=struct.pack("<f", 0.5)), TensorProto(dtype=2, double_val=[0.25])]
    tensors.append(TensorProto(dtype=7, string_val=[b"text"]))
    for step, tensor in enumerate(tensors):
        writer.write_event(Event(step=step, summary=Summary(value=[Summary.Value(tag="acc", tensor=tensor)])))
    writer.close()
    assert list(one(tmp_path).metrics["acc"].values) == [0.5, 0.25]


def test_a_single_file_is_a_place(tmp_path):
    path = events(tmp_path / "run", [(1, 0.5)], name="events.out.tfevents.7.host")
    assert recognises(path)
    assert list(tensorboard(Asked(path)).runs[0].metrics["val_acc"].values) == [0.5]
