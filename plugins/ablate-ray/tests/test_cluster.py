"""Studies on a cluster of three nodes: the table is the local executor's, whatever is lost on the way."""

import json
import signal
import subprocess
import sys
import time

import pytest

import ablate
from ablate.errors import EnvironmentProblem
from ablate.runner.driver import run_study
from ablate.runner.job import Options
from ablate.store import Store
from ablate.testing import misfits
from ablate.testing.misfits import Listener, table


def run(spec, store, executor="ray", listener=None, jobs=3):
    options = Options(store, store.parent / "data", jobs, "cpu", executor)
    return run_study(spec, (), options, {"ears": listener} if listener else {}, pytest.fail)


def statuses(study):
    return dict(zip(study.cells["variant"], study.cells["status"], strict=True))


def test_the_table_is_the_local_executors(spec, tmp_path, address):
    run(spec, tmp_path / "local", "local", jobs=2)
    study, stopped = run(spec, tmp_path / "ray")
    assert table(tmp_path / "ray") == table(tmp_path / "local")
    assert len(table(tmp_path / "ray")) == 4
    assert len(study.epochs) == 8
    assert not stopped


@pytest.fixture
def slow():
    return misfits.study("slow", seeds=2, epochs=4)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The table of the slow study, as the local executor gives it; made once."""
    made: dict[str, str] = {}

    def expected(slow):
        if not made:
            store = tmp_path_factory.mktemp("local") / "s"
            run(slow, store, "local", jobs=2)
            made.update(table(store))
        return made

    return expected


def test_a_node_that_is_lost_changes_nothing(slow, expected, tmp_path, cluster, address):
    ears = Listener(lambda: cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False))
    run(slow, tmp_path / "ray", listener=ears)
    assert ears.started > 4, "the cell of the lost node was begun again"
    assert table(tmp_path / "ray") == expected(slow)


def test_failures_are_told_and_lost_workers_replaced(tmp_path, address, pids, monkeypatch):
    monkeypatch.setenv("ABLATE_RAY_RETRIES", "1")
    study, _ = run(misfits.study("raise", "die", "die once", "hang", timeout=60), tmp_path / "s")
    assert statuses(study) == {
        "base": "done",
        "way=raise": "failed",
        "way=die": "failed",
        "way=die once": "done",
        "way=hang": "failed",
    }
    errors = dict(zip(study.cells["variant"], study.cells["error"], strict=True))
    assert errors["way=raise"] == "RuntimeError: no luck today"
    assert errors["way=hang"] == "it took longer than the timeout of 60 seconds"
    assert errors["way=die"].startswith("its worker was lost 2 times: ")
    with Store(tmp_path / "s") as store:
        log = store.logs(study.cells.set_index("variant").loc["way=raise", "key"])[1]
    assert "Traceback" in log
    assert "about to raise" in log


def test_a_stopped_study_goes_on_where_it_was(slow, expected, tmp_path, address):
    ears = Listener(lambda: signal.raise_signal(signal.SIGINT))
    options = Options(tmp_path / "ray", tmp_path / "data", 3, "cpu", "ray")
    first, stopped = run_study(slow, (), options, {"ears": ears}, lambda message: None)
    assert stopped
    assert "interrupted" in set(first.cells["status"])
    assert list((tmp_path / "ray" / "checkpoints").iterdir())
    again = Listener()
    run(slow, tmp_path / "ray", listener=again)
    assert again.epochs < 16, "some epochs were in the saved states"
    assert table(tmp_path / "ray") == expected(slow)
    assert not list((tmp_path / "ray" / "checkpoints").iterdir())


def test_workers_end_with_their_driver(tmp_path, address, pids):
    pids.write_text("")
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps(misfits.study("slow", epochs=1000)))
    command = [sys.executable, "-m", "ablate", "run", str(spec), "--executor", "ray", "--device", "cpu"]
    driver = subprocess.Popen([*command, "--store", str(tmp_path / "s"), "--data-dir", str(tmp_path / "data")])
    try:
        wait(lambda: pids.read_text().count("\n") > 1, driver)
        worker = int(pids.read_text().splitlines()[0])
        assert alive(worker)
    finally:
        driver.kill()
        driver.wait()
    wait(lambda: not alive(worker))


def test_a_worker_that_no_node_can_hold_is_a_problem_of_the_environment(spec, tmp_path, address, monkeypatch):
    monkeypatch.setenv("ABLATE_RAY_CPUS", "5")
    monkeypatch.setenv("ABLATE_RAY_PATIENCE", "1")
    with pytest.raises(EnvironmentProblem, match="no node of the Ray cluster has the 5 CPU that a cell takes"):
        ablate.run(spec, store=tmp_path / "s", data_dir=tmp_path / "data", device="cpu", executor="ray")


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait(condition, process=None, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, "the driver has ended"
        assert time.monotonic() < end
        time.sleep(0.1)
