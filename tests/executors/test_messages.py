"""The training of a cell as messages, and events of them."""

import json
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch

from ablate.executors import CellEnded, CellStarted, EpochEnded, Settings, event_of, order
from ablate.executors.training import failure, messages
from ablate.runner.job import Options, prepare


@pytest.fixture
def cell(spec, tmp_path):
    return prepare(spec, (), Options(tmp_path / "s", tmp_path / "data", 1, "cpu")).cells[0].cell


@pytest.fixture
def settings(environment, tmp_path):
    return Settings(1, 1, "cpu", environment, tmp_path / "checkpoints")


def told(cell, settings, should_stop=lambda: False, elsewhere=False):
    return list(messages(json.loads(json.dumps(order(cell, settings))), should_stop, elsewhere))


def test_batches_and_epochs_are_told_in_their_order(cell, settings):
    heard = told(cell, settings, elsewhere=True)
    kinds = [message and message["event"] for message in heard]
    batches = [None] * 5  # 160 images, 32 a batch
    assert kinds == ["started", *batches, "epoch", *batches, "epoch", "done"]
    events = [event_of(cell.key, json.loads(json.dumps(message))) for message in heard if message is not None]
    assert [type(event) for event in events] == [CellStarted, EpochEnded, EpochEnded, CellEnded]
    assert [event.record for event in events[1:3]] == events[3].result.epochs
    assert events[3].status == "done"


def test_a_stop_saves_the_state_and_the_next_training_goes_on(cell, settings):
    asked = iter([False] * 6 + [True])
    heard = [message for message in told(cell, settings, lambda: next(asked)) if message is not None]
    assert [message["event"] for message in heard] == ["started", "epoch", "interrupted"]
    assert event_of(cell.key, heard[-1]) == CellEnded(cell.key, "interrupted")
    rest = told(cell, settings)
    assert rest.count(None) == 3, "seven of ten batches were trained"
    assert rest[-1]["event"] == "done"


def test_a_failure_is_a_message_with_what_was_printed(cell, settings):
    broken = replace(cell, recipe=cell.recipe | {"dataset": {"use": "nothing"}})
    started, failed = told(broken, settings)
    assert started == {"event": "started"}
    assert not failed["memory"]
    event = event_of(cell.key, failed, lambda: "and this was printed")
    assert "no installed package provides dataset 'nothing'" in event.error
    assert event.log.startswith("Traceback")
    assert event.log.endswith("and this was printed")


def named(error):
    """As the engine names the transform in which something failed."""
    try:
        raise ValueError("transform 'crop' failed") from error
    except ValueError as outer:
        return outer


NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
]


@pytest.mark.parametrize("error", [*NO_MEMORY, *map(named, NO_MEMORY)], ids=str)
def test_want_of_memory_is_told_whoever_says_it(error):
    told = failure(error)
    assert told["memory"]
    assert not told["broken"], "the process can go on"


BROKEN = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize("error", [BROKEN, named(BROKEN)], ids=str)
def test_that_the_device_is_broken_is_told(error):
    assert failure(error) | {"error": "", "traceback": ""} == {
        "event": "failed",
        "error": "",
        "traceback": "",
        "memory": False,
        "broken": True,
    }


def test_an_error_of_a_component_is_neither():
    told = failure(ValueError("mean has 3 numbers"))
    assert (told["memory"], told["broken"]) == (False, False)


def test_a_result_says_what_it_was_trained_on(cell, settings):
    """The driver may have another GPU, or none: Ray and Slurm train elsewhere."""
    result = told(cell, settings)[-1]["result"]
    assert result["machine"]["device"] == "cpu"
    assert result["machine"]["packages"]["torch"] == version("torch")


@pytest.mark.parametrize(
    ("what", "identity"),
    [("torch", {"packages": {"torch": "1.0"}}), ("data", {"data": "0" * 64}), ("engine", {"engine": 0})],
)
def test_a_machine_that_would_give_another_result_trains_nothing(cell, settings, what, identity):
    packages = cell.identity["packages"] | identity.get("packages", {})
    other = replace(cell, identity=cell.identity | identity | {"packages": packages})
    _, failed = told(other, settings, elsewhere=True)
    assert "differs from the one that planned the study: " + what in failed["error"]


def test_a_message_of_no_known_kind_is_an_error():
    with pytest.raises(ValueError, match="no message is called 'other'"):
        event_of("key", {"event": "other"})
