"""Executors are not believed: a result is stored as a cell's only with the trace of its training, or apart."""

import json
from dataclasses import replace

import pytest

import ablate
from ablate import registry
from ablate.contracts import Result
from ablate.executors.believing import unbelievable
from ablate.runner.job import Options, prepare
from ablate.stats.training import notes
from ablate.store import Store

PLUGIN = '''
from contextlib import contextmanager

from ablate.executors import CellEnded, CellStarted, EpochEnded
from ablate.contracts import Result


@contextmanager
def inventing(workers: int, /, *, accuracy: float = 0.42):
    """Trains nothing."""

    def run(settings, take, stop):
        while cell := take():
            yield CellStarted(cell.key)
            epochs = range(1, cell.recipe["epochs"] + 1)
            records = [{"epoch": epoch, "train_loss": 1.0, "accuracy": accuracy, "loss": 1.0} for epoch in epochs]
            yield from (EpochEnded(cell.key, record) for record in records)
            yield CellEnded(cell.key, "done", Result(records, {"accuracy": accuracy, "loss": 1.0}, "0" * 64, 1.0, 1))

    yield run


@contextmanager
def simulating(workers: int, /, *, accuracy: float = 0.42):
    """Says that its results are its own."""
    with inventing(workers, accuracy=accuracy) as run:
        yield run


simulating.own_results = True
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    info = tmp_path / "site" / "inventors-1.5.dist-info"
    info.mkdir(parents=True)
    (tmp_path / "site" / "inventors.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: inventors\nVersion: 1.5\n")
    names = "".join(f"{name} = inventors:{name}\n" for name in ("inventing", "simulating"))
    (info / "entry_points.txt").write_text(f"[ablate.executors]\n{names}")
    monkeypatch.syspath_prepend(tmp_path / "site")
    registry.default.cache_clear()
    yield
    registry.default.cache_clear()


def run(spec, tmp_path, executor):
    return ablate.run(spec, store=tmp_path / "s", device="cpu", jobs=1, executor=executor, progress=False)


@pytest.fixture
def short(spec):
    del spec["factors"]
    return spec | {"seeds": 1}


def test_a_result_that_nothing_was_trained_for_is_not_stored(short, tmp_path, plugin):
    cell = run(short, tmp_path, "inventing").cells.iloc[0]
    assert (cell["status"], cell["accuracy"]) == ("failed", pytest.approx(float("nan"), nan_ok=True))
    assert cell["error"].startswith("its result is not stored: nothing says that ablate trained it. An executor hands on")
    trained = run(short, tmp_path, "local").cells.iloc[0]
    assert (trained["key"], trained["status"]) == (cell["key"], "done")
    assert trained["accuracy"] != 0.42


def test_own_results_are_served_to_the_executor_that_gave_them_and_to_no_other(short, tmp_path, plugin):
    own = run(short, tmp_path, "simulating")
    trained = run(short, tmp_path, "local")
    other = run(short, tmp_path, {"use": "simulating", "accuracy": 0.5})
    assert [study.cells["accuracy"].item() for study in (own, other)] == [0.42, 0.5]
    assert trained.cells["accuracy"].item() not in (0.42, 0.5)
    assert len({study.cells["key"].item() for study in (own, trained, other)}) == 3
    assert own.provenance[0]["executor"] == "inventors:simulating 1.5"
    assert own.provenance[0]["results"] == "the executor's own, not trained by ablate"
    assert trained.provenance[0]["executor"].startswith("ablate-core:local ")
    assert "results" not in trained.provenance[0]
    again = run(short, tmp_path, "simulating")
    assert again.cells["key"].item() == own.cells["key"].item()
    assert notes(own)[0] == "inventors:simulating 1.5: results are the executor's own, not trained by ablate."
    assert not any("executor" in note for note in notes(trained))
    with Store(tmp_path / "s") as store:
        attempts = store.access.read("SELECT attempt FROM cells")
    assert [row["attempt"] for row in attempts] == [1, 1, 1], "the second time it was served"


def test_the_upgrade_of_an_executor_makes_its_own_results_stale(short, tmp_path, plugin):
    before = prepare(short, (), Options(tmp_path / "s", tmp_path / "data", executor="simulating", device="cpu")).cells[0].cell
    info = tmp_path / "site" / "inventors-1.5.dist-info" / "METADATA"
    info.write_text(info.read_text().replace("1.5", "1.6"))
    registry.default.cache_clear()
    after = prepare(short, (), Options(tmp_path / "s", tmp_path / "data", executor="simulating", device="cpu")).cells[0].cell
    assert before.key != after.key


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"trained": None}, "nothing says that ablate trained it"),
        ({"metrics": {"accuracy": 0.5}}, "it has the metrics accuracy, and the recipe has accuracy, loss"),
        ({"epochs": []}, "it has records of the epochs [], and the recipe has 2 epochs"),
        ({"epochs": [{"epoch": 1}, {"epoch": 3}]}, "it has records of the epochs [1, 3], and the recipe has 2 epochs"),
        ({"trained": {"engine": 1}}, "it was trained with another data, engine, packages than the study was planned with"),
    ],
)
def test_what_a_result_must_have(short, tmp_path, change, why):
    cell = prepare(short, (), Options(tmp_path / "s", tmp_path / "data", device="cpu")).cells[0].cell
    records = [{"epoch": 1}, {"epoch": 2}]
    result = Result(records, {"accuracy": 0.5, "loss": None}, "0" * 64, 1.0, 1, json.loads(json.dumps(cell.identity)))
    assert unbelievable(cell, result) is None
    assert why in unbelievable(cell, replace(result, **change))
