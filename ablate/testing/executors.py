"""What an executor has to keep: cells give what the engine gives, a failure is one cell's own, and a stop loses nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event as Flag
from typing import Any, ClassVar

import torch

from ablate.contracts import Cell, Result
from ablate.engine import checkpoint
from ablate.engine.train import train
from ablate.executors import Advanced, CellEnded, CellStarted, EpochEnded, Event, Run, Settings
from ablate.executors.believing import unbelievable
from ablate.runner.job import Job, Options, prepare
from ablate.spec.trainer import Controls

from .component import ComponentContract

NORMALIZE = {"use": "normalize", "mean": [0.5], "std": [0.5]}
STUDY: dict[str, Any] = {
    "name": "contract",
    "base": {
        "dataset": {"use": "digits", "size": 16, "limit": 64},
        "train_transforms": {"normalize": NORMALIZE},
        "eval_transforms": {"normalize": NORMALIZE},
        "model": {"use": "net", "dropout": 0.2},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 2,
    },
    "variants": {"failing": {"train_transforms": {"normalize": {"mean": [0.5, 0.5, 0.5]}}}, "long": {"epochs": 5000}},
    "seeds": 2,
}


class ExecutorContract(ComponentContract):
    """A context manager of `run(settings, take, stop)`.

    Attributes:
        jobs: Cells at once.
        timeout: Seconds that a cell may take.
    """

    kind: ClassVar[str] = "executor"
    jobs: int = 1
    timeout: float = 100.0

    def engine_arguments(self) -> tuple[Any, ...]:
        return (self.jobs,)

    def settings(self, job: Job, directory: Path) -> Settings:
        checkpoints = directory / "checkpoints"
        return Settings(self.jobs, 1, "cpu", job.environment, checkpoints, checkpoint_seconds=3600, timeout=self.timeout)

    def test_cells_give_what_the_engine_gives(self, tmp_path: Path) -> None:
        job, cells = _study(tmp_path, self.component)
        good, settings = cells["base"], self.settings(job, tmp_path)
        with self.make() as run:
            assert list(run(settings, lambda: None, Flag())) == [], "it tells something, and there is no cell: end at once."
            ended = _follow(run, settings, good[:1]) | _follow(run, settings, good[1:])
        for cell in good:
            event = ended[cell.key]
            assert event.status == "done", f"a cell that trains well is {event.status}: {event.error}\n{event.log}"
            assert event.result is not None, "a cell is done without a result."
            if job.own_results:
                continue  # the executor says so itself, and runs that would train these cells are never served its results
            expected = _trained_here(job, cell, tmp_path)
            wrong = unbelievable(cell, event.result)
            same = event.result.weights_sha256 == expected.weights_sha256
            assert same, (
                "the weights differ from those that the engine gives: train with ablate.engine.train, and change nothing."
            )
            assert event.result.metrics == expected.metrics, "the metrics differ from those that the engine gives."
            assert wrong is None, f"the result would not be stored: {wrong}."

    def test_a_failed_cell_is_told_and_costs_no_other(self, tmp_path: Path) -> None:
        job, cells = _study(tmp_path, self.component)
        wanted = [cells["failing"][0], cells["base"][0]]
        with self.make() as run:
            ended = _follow(run, self.settings(job, tmp_path), wanted)
        failed, done = (ended[cell.key] for cell in wanted)
        assert failed.status == "failed", f"a cell whose transform raises is {failed.status}: catch the error, and tell `failed`."
        assert failed.error is not None, "a failed cell has no `error`: give the message of the exception."
        assert "mean has 3 numbers" in failed.error, f"the error is {failed.error!r}: give the message of the exception."
        assert failed.log is not None, "a failed cell has no `log`: give the traceback."
        assert "Traceback" in failed.log, f"the log is {failed.log!r}: give the traceback."
        assert done.status == "done", f"the cell after a failed one is {done.status}: {done.error}"

    def test_a_stopped_cell_is_told_and_its_state_is_saved(self, tmp_path: Path) -> None:
        job, cells = _study(tmp_path, self.component)
        cell, settings = cells["long"][0], self.settings(job, tmp_path)
        with self.make() as run:
            events = _stopped(run, settings, [cell, *cells["base"]])
        told = {event.key for event in events}
        assert told == {cell.key} or self.jobs > 1, "a cell is begun after the flag was set: look at `stop` before `take()`."
        *_, last = (event for event in events if event.key == cell.key)
        assert isinstance(last, CellEnded), "the cell that ran when the flag was set has no end: tell it as interrupted."
        assert last.status == "interrupted", f"the cell that ran when the flag was set is {last.status}, not interrupted."
        file = settings.checkpoints / f"{cell.key}.safetensors"
        state = checkpoint.load(file, cell.key, torch.device("cpu"))
        hint = "Give the engine `settings.checkpoints / f'{cell.key}.safetensors'`, and let it save before the process ends."
        assert state is not None, f"there is no checkpoint of the cell that ran when the flag was set. {hint}"
        reached = max(event.record["epoch"] for event in events if isinstance(event, EpochEnded) and event.key == cell.key)
        saved = state["progress"]["epoch"]
        assert saved >= reached, f"epoch {reached} was told, and the checkpoint is of epoch {saved}. {hint}"


def _study(directory: Path, executor: Mapping[str, Any]) -> tuple[Job, dict[str, list[Cell]]]:
    """A tiny study, and its cells by variant."""
    job = prepare(STUDY, (), Options(data_dir=directory / "data", device="cpu", executor=executor, download=False))
    cells: dict[str, list[Cell]] = {}
    for planned in job.cells:
        cells.setdefault(planned.variant, []).append(planned.cell)
    return job, cells


def _follow(run: Run, settings: Settings, cells: Sequence[Cell]) -> dict[str, CellEnded]:
    """Runs cells to their ends, looks at what is told of each, and returns the ends by key."""
    waiting = list(cells)
    told: dict[str, list[Event]] = {cell.key: [] for cell in cells}
    for event in run(settings, lambda: waiting.pop(0) if waiting else None, Flag()):
        assert event.key in told, "something is told of a cell that was not given."
        told[event.key].append(event)
    assert not waiting, f"it ends, and {len(waiting)} cells were not asked for: call `take()` until it gives None."
    ends = {}
    for key, events in told.items():
        assert events, "nothing is told of a cell."
        first, *middle, last = events
        assert isinstance(first, CellStarted), f"the first that is told of a cell is {type(first).__name__}: tell CellStarted."
        assert isinstance(last, CellEnded), f"the last that is told of a cell is {type(last).__name__}: tell CellEnded."
        assert all(isinstance(event, EpochEnded | Advanced) for event in middle), "start or end of a cell is told twice."
        if last.result is not None:
            records = [event.record for event in middle if isinstance(event, EpochEnded)]
            assert records == last.result.epochs, "the epochs that are told are not those of the result: tell each as it ends."
        ends[key] = last
    return ends


def _stopped(run: Run, settings: Settings, cells: Sequence[Cell]) -> list[Event]:
    """What is told of a run that is stopped after its first epoch."""
    waiting, stop = list(cells), Flag()
    events = []
    for event in run(settings, lambda: waiting.pop(0) if waiting else None, stop):
        events.append(event)
        if isinstance(event, EpochEnded):
            stop.set()
    return events


def _trained_here(job: Job, cell: Cell, directory: Path) -> Result:
    controls = Controls(directory / "here" / f"{cell.key}.safetensors", 3600)
    return train(job.registry, cell, job.environment, torch.device("cpu"), controls)
