"""Studies on worker processes: crashes, timeouts, signals, and two drivers at once. Plugins come from a folder on the path."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

import ablate
from ablate.executors import CellEnded, CellStarted, EpochEnded, Settings, order
from ablate.executors.local import local
from ablate.executors.worker import ENDS
from ablate.runner.job import Options, prepare

LOOK = """
import json, os
with open(f"/proc/{os.getppid()}/maps") as file:
    libraries = file.read()
with open(os.environ["ABLATE_RECORDS"], "a") as file:
    file.write(json.dumps({"torch": int("libtorch" in libraries)}))
"""
PATIENCE = 240  # seconds for what comes in a few where a processor is free
PLUGIN = '''
"""Components that misbehave."""
import os, sys, time
import torch
from torch import nn
from ablate.components.models import net
from ablate.registry.hooks import hookimpl


class Bad(nn.Module):
    def __init__(self, model, how):
        super().__init__()
        self.model, self.how, self.calls = model, how, 0

    def forward(self, images):
        self.calls += 1
        if self.calls > 4 and self.training:  # after the preflight
            print("about to", self.how, flush=True)
            if self.how == "crash":
                os.abort()
            if self.how == "raise":
                raise RuntimeError("no luck today")
            if self.how == "hang":
                time.sleep(600)
            if self.how == "slow":
                time.sleep(0.05)
            if self.how == "crash once" and not os.path.exists(os.environ["HEARD"] + ".crashed"):
                open(os.environ["HEARD"] + ".crashed", "w").close()
                os.abort()
            if self.how == "memory":
                raise torch.OutOfMemoryError("there is no more")
        return self.model(images)


def bad(info, /, *, how: str = "fine") -> nn.Module:
    """A network that misbehaves.

    Args:
        how: In which way.
    """
    return Bad(net(info), how)


@hookimpl
def cell_end(cell, status):
    raise ValueError("a listener that fails")


@hookimpl
def epoch_end(cell, record):
    with open(os.environ["HEARD"], "a") as file:
        file.write(f"{cell.variants[0]} {cell.seed} {record['epoch']}\\n")
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """An installed plugin, in this process and in those that it starts."""
    from ablate import registry

    folder = tmp_path / "site"
    info = folder / "misfits-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "misfits.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: misfits\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[ablate.models]\nbad = misfits:bad\n[ablate.hooks]\nears = misfits\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("HEARD", str(tmp_path / "heard"))
    registry.default.cache_clear()
    yield folder
    registry.default.cache_clear()


def bad_study(spec, *ways, **more):
    levels = {way: {"model": {"use": "bad", "how": way}} for way in ways}
    return spec | {"factors": {"way": levels}, "seeds": 1} | more


def statuses(study):
    return dict(zip(study.cells["variant"], study.cells["status"], strict=True))


def test_one_failure_is_recorded_and_the_others_go_on(spec, tmp_path, plugin):
    with pytest.warns(UserWarning, match="listener 'misfits:ears' failed in cell_end: ValueError: a listener that fails"):
        study = ablate.run(bad_study(spec, "raise", "crash", "fine"), store=tmp_path / "s", device="cpu", progress=False, jobs=2)
    assert statuses(study) == {"base": "done", "way=raise": "failed", "way=crash": "failed", "way=fine": "done"}
    errors = dict(zip(study.cells["variant"], study.cells["error"], strict=True))
    assert errors["way=raise"] == "RuntimeError: no luck today"
    assert errors["way=crash"] == "its worker process was killed by signal 6."
    from ablate.store import Store

    with Store(tmp_path / "s") as store:
        logs = {row.variant: store.logs(row.key)[1] for row in study.cells.itertuples()}
    assert "Traceback" in logs["way=raise"]
    assert "about to raise" in logs["way=raise"]
    assert "about to crash" in logs["way=crash"]
    assert "Fatal Python error: Aborted" in logs["way=crash"]
    heard = (tmp_path / "heard").read_text().splitlines()
    assert sorted(heard) == ["base 0 1", "base 0 2", "way=fine 0 1", "way=fine 0 2"]


def test_a_failed_cell_is_tried_again_and_no_other(spec, tmp_path, plugin):
    with pytest.warns(UserWarning, match="listener"):
        first, again = (
            ablate.run(bad_study(spec, "raise"), store=tmp_path / "s", device="cpu", jobs=1, progress=False) for _ in range(2)
        )
    assert statuses(first) == statuses(again)
    with sqlite3.connect(tmp_path / "s" / "store.sqlite") as db:
        attempts = dict(db.execute("SELECT status, attempt FROM cells").fetchall())
    assert attempts == {"done": 1, "failed": 2}


@pytest.mark.filterwarnings("ignore:listener")
def test_a_cell_that_hangs_is_ended_by_its_timeout(spec, tmp_path, plugin):
    study = ablate.run(bad_study(spec, "hang", "fine", timeout=20), store=tmp_path / "s", device="cpu", jobs=1)
    assert statuses(study) == {"base": "done", "way=hang": "failed", "way=fine": "done"}
    assert study.cells["error"].dropna().tolist() == ["it took longer than the timeout of 20 seconds"]


def command(path, store, *more):
    return [sys.executable, "-m", "ablate", "run", str(path), "--store", str(store), "--device", "cpu", *more]


def whole(path, store):
    """A run that nobody stops."""
    ablate.run(path, store=store, device="cpu", jobs=1, progress=False)


def digests(store: Path) -> dict[str, str]:
    with sqlite3.connect(store / "store.sqlite") as db:
        return dict(db.execute("SELECT key, weights_sha256 || metrics FROM cells WHERE status = 'done'").fetchall())


def wait_for(condition, process, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def slow_study(spec, write):
    document = bad_study(spec, "slow", checkpoint_seconds=0, seeds=[3])
    document["base"] |= {"epochs": 4, "model": {"use": "bad"}}
    return write(document)


def test_an_interrupted_run_goes_on_where_it_was(spec, write, tmp_path, plugin):
    """Interrupted in the middle of a cell, then run again: the bits are those of a run that nobody stopped.

    `tests/reliability/test_processes.py` does the same with other signals.
    """
    path = slow_study(spec, write)
    whole(path, tmp_path / "whole")
    store = tmp_path / "parts"
    process = subprocess.Popen(command(path, store, "--jobs", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "heard").read_text().count("way=slow 3 1") == 2, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "run the same command again" in err
    assert len(digests(store)) == 1
    assert list((store / "checkpoints").glob("*.safetensors"))
    done = subprocess.run(command(path, store, "--jobs", "1"), capture_output=True, text=True, check=True)
    assert "1 stored already" in done.stderr
    assert digests(store) == digests(tmp_path / "whole")
    assert not list((store / "checkpoints").glob("*.safetensors"))


def test_two_drivers_share_the_cells_of_a_study(spec, write, tmp_path):
    path = write(spec | {"seeds": 4})
    store = tmp_path / "store"
    processes = [
        subprocess.Popen(command(path, store, "--jobs", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=PATIENCE) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    with sqlite3.connect(store / "store.sqlite") as db:
        assert db.execute("SELECT count(*), max(attempt), sum(status = 'done') FROM cells").fetchone() == (8, 1, 8)
    trained = sum(err.count(": done ") for _, err in outputs)
    assert trained == 8, "no cell was trained twice"
    alone = tmp_path / "alone"
    whole(path, alone)
    assert digests(alone) == digests(store), "what runs beside a cell does not change it"


def test_workers_end_with_their_driver(spec, write, tmp_path, plugin):
    process = subprocess.Popen(
        command(slow_study(spec, write), tmp_path / "s", "--jobs", "1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    wait_for((tmp_path / "heard").exists, process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        process.kill()
        process.communicate()
        return  # only Linux says who the children are
    workers = [int(pid) for pid in children.read_text().split()]
    assert workers
    process.kill()
    process.communicate()
    end = time.monotonic() + 30
    while any(_runs(pid) for pid in workers):
        assert time.monotonic() < end, "a worker outlived its driver"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_studies_share_their_cells(spec, tmp_path):
    ablate.run(spec, store=tmp_path, device="cpu", jobs=1)
    other = spec | {"name": "other", "factors": {"epochs": {"three": {"epochs": 3}}}, "seeds": 1}
    study = ablate.run(other, store=tmp_path, device="cpu", jobs=1)
    with sqlite3.connect(tmp_path / "store.sqlite") as db:
        assert db.execute("SELECT count(*) FROM cells").fetchone() == (5,)
    assert json.loads(study.cells.to_json())["status"] == {"0": "done", "1": "done"}


def in_one_process(document, tmp_path):
    """Trains a study's cells as on a GPU: all in one worker, taking turns. Returns what the executor told."""
    job = prepare(document, (), Options(data_dir=tmp_path, device="cpu"))
    cells = {planned.cell.key: planned for planned in job.cells}
    waiting = [planned.cell for planned in job.cells]
    settings = Settings(len(cells), len(cells), "cpu", job.environment, tmp_path / "checkpoints", timeout=PATIENCE)
    with local(1) as run:
        events = list(run(settings, lambda: waiting.pop(0) if waiting else None, threading.Event()))
    return {cells[event.key].variant: event for event in events if isinstance(event, CellEnded)}, events


def test_cells_that_take_turns_are_those_that_run_alone(spec, tmp_path):
    spec = spec | {"seeds": 1}
    spec["base"] |= {"model": {"use": "net", "dropout": 0.2}, "epochs": 4}
    study = ablate.run(spec, store=tmp_path / "s", device="cpu", jobs=1)
    ended, events = in_one_process(spec, tmp_path)
    assert {name: event.result.weights_sha256 for name, event in ended.items()} == dict(
        zip(study.cells["variant"], study.cells["weights_sha256"], strict=True)
    )
    told = [event.key for event in events if isinstance(event, EpochEnded)]
    assert sum(one != other for one, other in pairwise(told)) > 1, "they took turns"


def test_a_crash_of_one_process_costs_no_other_cell(spec, tmp_path, plugin):
    """The cells of the process run again one by one; only the one that crashes alone has failed."""
    ended, _ = in_one_process(bad_study(spec, "crash", "slow", "raise"), tmp_path)
    assert {name: event.status for name, event in ended.items()} == {
        "base": "done",
        "way=crash": "failed",
        "way=slow": "done",
        "way=raise": "failed",
    }
    assert ended["way=crash"].error == "its worker process was killed by signal 6."
    again, _ = in_one_process(bad_study(spec, "crash once", "slow"), tmp_path)
    assert {event.status for event in again.values()} == {"done"}


def test_a_cell_without_memory_runs_again_alone(spec, tmp_path, plugin):
    ended, _ = in_one_process(bad_study(spec, "memory", "slow"), tmp_path)
    assert {name: event.status for name, event in ended.items()} == {"base": "done", "way=memory": "failed", "way=slow": "done"}
    assert "there is no more" in ended["way=memory"].error


def test_a_worker_imports_what_its_first_cell_trains_with(tmp_path, monkeypatch):
    """torch takes seconds, and a program that ablate starts has no use for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "look.py").write_text(LOOK)
    program = {"use": "command", "argv": ["{python}", "{here}/look.py", "{seed}"], "metrics": {"torch": "minimize"}}
    job = prepare({"name": "looks", "base": program, "seeds": 1}, (), Options(data_dir=tmp_path, device="cpu"))
    (planned,) = job.cells
    settings = Settings(1, 1, "cpu", job.environment, tmp_path / "checkpoints", imports=job.plan.imports)
    message = {"do": "train", **order(planned.cell, settings)}
    with subprocess.Popen(
        [sys.executable, "-m", "ablate.executors.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        worker.stdin.write(json.dumps(message) + "\n")
        worker.stdin.flush()
        ended = next(said for said in map(json.loads, worker.stdout) if said["event"] in ENDS)
        worker.stdin.close()
    assert ended["result"]["metrics"] == {"torch": 0.0}


def test_a_worker_that_dies_of_the_interruption_has_not_failed(spec, tmp_path):
    """Ctrl-C reaches every process of a terminal, and a worker that has just been started does not ignore it yet."""
    job = prepare(spec, (), Options(data_dir=tmp_path, device="cpu"))
    waiting = [job.cells[0].cell]
    settings = Settings(1, 1, "cpu", job.environment, tmp_path / "checkpoints")
    stop = threading.Event()
    with local(1) as run:
        events = run(settings, lambda: waiting.pop() if waiting else None, stop)
        assert next(events) == CellStarted(job.cells[0].cell.key)
        stop.set()
        run.args[0].workers[0].process.kill()
        assert [event.status for event in events] == ["interrupted"]
