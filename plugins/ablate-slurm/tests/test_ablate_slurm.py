"""Studies as jobs: the table is the local executor's, whatever happens to the jobs."""

import os
import signal
import threading
import time

import ablate_slurm
import pytest
from ablate_slurm import job
from ablate_slurm.jobs import Limits

import ablate
from ablate.errors import EnvironmentProblem, UsageError
from ablate.registry import default
from ablate.runner.driver import run_study
from ablate.runner.job import Options
from ablate.store import Store
from ablate.testing.misfits import Listener, study, table


def run(spec, store, executor="slurm", listener=None, warn=pytest.fail):
    options = Options(store, store.parent / "data", 2, "cpu", executor)
    return run_study(spec, (), options, {"ears": listener} if listener else {}, warn)


@pytest.fixture
def slow():
    return study("slow", epochs=4)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The table of the slow study, as the local executor gives it; made once."""
    made: dict[str, str] = {}

    def expected(slow):
        if not made:
            store = tmp_path_factory.mktemp("local") / "s"
            run(slow, store, "local")
            made.update(table(store))
        return made

    return expected


def test_a_job_that_is_preempted_goes_on_and_gives_the_same(slow, expected, tmp_path, local, pids):
    pids.write_text("")
    ears = Listener(lambda: None)
    seen = threading.Thread(target=warn_first_job, args=(pids,))
    seen.start()
    told, stopped = run(slow, tmp_path / "s", listener=ears)
    seen.join()
    assert table(tmp_path / "s") == expected(slow)
    assert len(told.epochs) == 8
    assert not stopped
    assert ears.started == 3, "one cell was begun twice"
    assert not list((tmp_path / "s" / "slurm").iterdir())


def warn_first_job(pids):
    """What Slurm does before it takes a job's place away."""
    while not pids.read_text().count("\n") > 1:
        time.sleep(0.05)
    os.kill(int(pids.read_text().splitlines()[0]), signal.SIGUSR2)


def test_a_stopped_study_goes_on_where_it_was(slow, expected, tmp_path, local):
    ears = Listener(lambda: signal.raise_signal(signal.SIGINT))
    _, stopped = run(slow, tmp_path / "s", listener=ears, warn=lambda message: None)
    assert stopped
    again = Listener(lambda: None)
    run(slow, tmp_path / "s", listener=again)
    assert ears.epochs + again.epochs <= 8, "no epoch was trained twice"
    assert table(tmp_path / "s") == expected(slow)


def test_failures_are_told(tmp_path, local):
    told, _ = run(study("raise", "die", "hang", timeout=20), tmp_path / "s")
    statuses = dict(zip(told.cells["variant"], told.cells["status"], strict=True))
    assert statuses == {"base": "done", "way=raise": "failed", "way=die": "failed", "way=hang": "failed"}
    errors = dict(zip(told.cells["variant"], told.cells["error"], strict=True))
    assert errors["way=raise"] == "RuntimeError: no luck today"
    assert errors["way=hang"] == "it took longer than the timeout of 20 seconds"
    assert "without a result: " in errors["way=die"]
    with Store(tmp_path / "s") as store:
        log = store.logs(told.cells.set_index("variant").loc["way=raise", "key"])[1]
    assert "Traceback" in log
    assert "about to raise" in log


def test_an_array_is_submitted_and_a_lost_node_made_up_for(tmp_path, slurm, monkeypatch):
    monkeypatch.setenv("ABLATE_SLURM_PARTITION", "short")
    monkeypatch.setenv("ABLATE_SLURM_MINUTES", "7")
    monkeypatch.setenv("ABLATE_SLURM_PARAMETERS", '{"account": "lab"}')
    spec = study("well")
    (slurm / "break-next").touch()
    result, _ = run(spec, tmp_path / "s")
    assert result.cells["error"].isna().all()
    run(spec, tmp_path / "local", "local")
    assert table(tmp_path / "s") == table(tmp_path / "local")
    assert len(table(tmp_path / "s")) == 2
    script = (slurm / "script-1").read_text()
    for option in ("--array=0-1", "--partition=short", "--time=7", "--account=lab", "--cpus-per-task=1", "--gpus-per-node=0"):
        assert f"#SBATCH {option}" in script
    assert (slurm / "count").read_text() == "2\n", "the cell whose node was lost was submitted again, and no other"


def test_a_cluster_that_is_not_there_is_a_problem_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="jobs cannot be submitted to slurm: .*srun"):
        ablate.run(study("well"), store=tmp_path / "s", data_dir=tmp_path / "data", device="cpu", executor="slurm")


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLUSTER", "cloud"), ("MINUTES", "0"), ("CPUS", "many"), ("PARAMETERS", "{"), ("PARAMETERS", "[]"), ("GPUS", "-1")],
)
def test_a_wrong_variable_is_named(monkeypatch, name, value):
    monkeypatch.setenv(f"ABLATE_SLURM_{name}", value)
    with pytest.raises(UsageError, match=f"ABLATE_SLURM_{name} is "), ablate_slurm.executor(1):
        pass


def test_a_job_sees_that_its_driver_has_died(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(job.time, "monotonic", lambda: now[0])
    alive = tmp_path / "alive"
    alive.touch()
    driver = job.SignOfLife(alive)
    for second in range(600):
        now[0] += 1
        os.utime(alive, (second, second))
        assert not driver.has_ended()
    now[0] += job.LOOK_SECONDS
    assert not driver.has_ended()
    now[0] += job.ORPHAN_SECONDS + 1
    assert driver.has_ended()


def test_a_job_sees_that_its_driver_wants_it_to_stop(tmp_path):
    assert job.SignOfLife(tmp_path / "alive").has_ended()


def test_its_parameters_are_ones_that_json_can_set():
    loaded = default().load("executor", "slurm")
    assert {"cluster", "partition", "minutes", "gpus", "parameters"} < set(loaded.signature.parameters)
    assert all(parameter.doc for parameter in loaded.signature.parameters.values())


@pytest.mark.parametrize(
    ("given", "device", "devices", "cpus", "gpus"),
    [
        ({}, "cpu", 1, 1, 0),
        ({}, "cpu", 2, 2, 0),
        ({}, "cuda", 1, 1, 1),
        ({}, "cuda:0", 4, 4, 4),
        ({"cpus": 8, "gpus": 3}, "cuda", 2, 8, 3),
    ],
)
def test_a_job_has_the_devices_of_its_cell(given, device, devices, cpus, gpus):
    limits = Limits(partition=None, minutes=60, memory_gb=None, parameters={}, **{"cpus": None, "gpus": None, **given})
    asked = limits.of_submitit(device, devices)
    assert (asked["cpus_per_task"], asked["gpus_per_node"]) == (cpus, gpus)
