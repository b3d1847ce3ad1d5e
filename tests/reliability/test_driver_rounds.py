"""Studies on an executor that finishes, fails, loses and interrupts cells at random, or raises."""

import threading
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.contracts import Result
from ablate.errors import EnvironmentProblem
from ablate.executors import CellEnded, CellStarted, EpochEnded
from ablate.runner import driver, rounds
from ablate.runner.driver import execute
from ablate.runner.job import Options, prepare
from ablate.store import Store
from tests.conftest import SPEC

FATES = ["done"] * 4 + ["failed", "lost", "interrupted", "idle"]


class Trained:
    """An executor whose cells end in the order and in the way that `fates` says; it counts the results that it gave."""

    def __init__(self, fates, jobs, raise_after, stop_after):
        self.fates, self.jobs, self.raise_after, self.stop_after = fates, jobs, raise_after, stop_after
        self.done, self.steps = [], 0

    def __call__(self, settings, take, stop):
        running = []
        while True:
            while len(running) < self.jobs and not stop.is_set() and (cell := take()) is not None:
                running.append(cell)
                yield CellStarted(cell.key)
            if not running:
                return
            self.steps += 1
            if self.steps == self.raise_after:
                raise RuntimeError("the cluster is gone")
            if self.steps == self.stop_after:
                stop.set()
            place, fate = next(self.fates, (0, "done"))
            cell = running.pop(place % len(running))
            if stop.is_set() or fate == "interrupted":
                yield CellEnded(cell.key, "interrupted")
            elif fate == "failed":
                yield CellEnded(cell.key, "failed", None, "no luck", None)
            elif fate == "done":
                record = {"train_loss": 1.0, "lr": 0.1, "seconds": 1.0, "images_per_second": 1.0}
                records = [{"epoch": epoch, **record} for epoch in range(1, cell.recipe["epochs"] + 1)]
                yield from (EpochEnded(cell.key, record) for record in records)
                self.done.append(cell.key)
                value = int(cell.key[:6], 16) / 0xFFFFFF
                metrics = {"accuracy": value, "loss": value}
                yield CellEnded(cell.key, "done", Result(records, metrics, cell.key, 1.0, 1, cell.identity))


@contextmanager
def unstopped(warn):
    yield threading.Event()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """A study of a fixed number of seeds, and one that adds seeds until it is decided."""
    folder = tmp_path_factory.mktemp("data")
    rules = {"fixed": 3, "sequential": {"min": 3, "max": 5, "stop": "decided"}}
    return {name: prepare(SPEC | {"seeds": seeds}, (), Options(data_dir=folder, device="cpu")) for name, seeds in rules.items()}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(["fixed", "sequential"]),
    sittings=st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 3), st.sampled_from(FATES)), max_size=12),
            st.integers(1, 3),
            st.none() | st.integers(1, 6),
            st.none() | st.integers(1, 6),
        ),
        max_size=4,
    ),
)
def test_every_cell_is_done_once_whatever_an_executor_does(jobs, tmp_path_factory, kind, sittings):
    job, folder = jobs[kind], tmp_path_factory.mktemp("store")
    finished = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "stop_on_signals", unstopped)
        patch.setattr(driver, "try_recipes", lambda job, keys: [])
        patch.setattr(rounds, "HELD_SECONDS", 0.0)
        for fates, count, raise_after, stop_after in [*sittings, ([], 2, None, None)]:
            executor = Trained(iter(fates), count, raise_after, stop_after)
            with Store(folder) as store:
                try:
                    study, stopped = execute(job, Options(), store, lambda executor=executor: executor, None, {}, lambda _: None)
                except EnvironmentProblem:
                    assert executor.steps == raise_after, "it fails as the executor does"
                else:
                    assert stopped == (stop_after is not None and executor.steps >= stop_after)
                    statuses = set(study.cells["status"])
                    assert "running" not in statuses, "every cell has an end"
                    assert stopped or "missing" not in statuses, "no cell is forgotten"
            finished += executor.done
    assert len(finished) == len(set(finished)), "no cell is trained to its end twice"
    assert set(study.cells["status"]) == {"done"}
    with Store(folder) as store:
        assert store.stored(finished) == set(finished), "what was finished is stored"
