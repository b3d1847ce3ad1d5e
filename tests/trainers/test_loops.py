"""Loops of libraries, which call back: as generators, with their state, and their draws."""

import random
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from ablate.contracts import Cell, Result
from ablate.spec.trainer import Controls, Interrupted
from ablate.trainers.loops import Give, Sitting, as_steps, drawing, reached

CELL = Cell("key", {}, 0, "cpu")
CONTROLS = Controls(Path("nowhere") / "key.safetensors")
RESULT = Result([{"epoch": 1}], {}, None, 0.0, None)


def test_what_it_hands_on_comes_in_order_and_it_waits_until_it_is_asked():
    done = []

    def run(give: Give) -> Result:
        for number in range(3):
            done.append(number)
            give({"epoch": number})
        return RESULT

    steps = as_steps(run, CONTROLS)
    assert not done
    assert next(steps) == {"epoch": 0}
    assert done == [0]
    assert [record for record in steps] == [{"epoch": 1}, {"epoch": 2}]  # noqa: C416  a generator's result is dropped
    with pytest.raises(StopIteration) as end:
        next(as_steps(lambda give: RESULT, CONTROLS))
    assert end.value.value is RESULT


def test_what_it_raises_is_raised_where_it_is_asked():
    def run(give: Give) -> Result:
        give(None)
        raise KeyError("missing")

    steps = as_steps(run, CONTROLS)
    next(steps)
    with pytest.raises(KeyError, match="missing"):
        next(steps)


def test_the_next_run_does_not_trip_over_the_same_state(tmp_path: Path):
    controls = Controls(tmp_path / "key.safetensors")

    def run(error: Exception, give: Give) -> Result:
        sitting = Sitting(CELL, controls)
        (controls.folder / "one").mkdir(parents=True, exist_ok=True)
        sitting.saved("one", {})
        raise error

    with pytest.raises(Interrupted):
        next(as_steps(partial(run, Interrupted()), controls))
    assert reached(controls, "key") == (0, 0)
    with pytest.raises(RuntimeError, match="damaged"):
        next(as_steps(partial(run, RuntimeError("damaged")), controls))
    assert reached(controls, "key") is None


@pytest.mark.parametrize("end", ["close", "throw"])
def test_it_ends_where_nobody_asks_any_more(end: str):
    ended = []

    def run(give: Give) -> Result:
        try:
            while True:
                give(None)
        except Interrupted:
            ended.append(threading.current_thread().name)
            raise

    steps = as_steps(run, CONTROLS)
    next(steps)
    if end == "close":
        steps.close()
    else:
        with pytest.raises(OSError, match="full"):
            steps.throw(OSError("full"))
    assert ended == ["training"]
    assert "training" not in [thread.name for thread in threading.enumerate()]


def test_a_state_counts_when_it_is_whole_and_is_of_its_cell_alone(tmp_path: Path):
    controls = Controls(tmp_path / "key.safetensors")
    controls.folder.mkdir()
    sitting = Sitting(CELL, controls)
    assert (sitting.checkpoint, sitting.records, reached(controls, "key")) == (None, [], None)
    for name in ("one", "two"):
        (controls.folder / name).mkdir()
        sitting.records.append({"epoch": len(sitting.records) + 1})
        sitting.saved(name, {"batches": 3})
    (controls.folder / "three").write_text("half")
    assert reached(controls, "key") == (2, 3)
    again = Sitting(CELL, controls)
    assert again.checkpoint == controls.folder / "two"
    assert again.records == [{"epoch": 1}, {"epoch": 2}]
    assert again.more == {"batches": 3}
    assert again.seconds() >= sitting.seconds() - 1
    assert sorted(path.name for path in controls.folder.iterdir()) == [".ablate.json", "two"]
    assert reached(controls, "other") is None
    assert Sitting(Cell("other", {}, 0, "cpu"), controls).checkpoint is None
    assert not (controls.folder / "two").exists()


def test_draws_follow_from_the_seed_and_leave_no_trace():
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    with drawing(2**62 + 5):
        first = draws()
    assert draws() == expected
    with drawing(2**62 + 5):
        assert draws() == first
    with drawing(2**62 + 6):
        assert draws() != first
