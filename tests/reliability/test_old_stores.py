"""Stores of every released format are read and gone on with; what is no such store is refused, and left as it is."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import ablate
from ablate import registry
from ablate.cli import app
from ablate.contracts import Cell, Environment, Result
from ablate.errors import ExitCode, StoreError
from ablate.executors import Settings, order, training
from ablate.executors.training import messages
from ablate.store import Store, database
from tests.stores.linear import install

KEPT = Path(__file__).parent.parent / "stores"
VERSIONS = [f"v{version}" for version in range(1, database.VERSION + 1)]


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    site = install(tmp_path / "site")
    monkeypatch.syspath_prepend(site)
    registry.default.cache_clear()
    yield site
    registry.default.cache_clear()


@pytest.fixture(params=VERSIONS)
def kept(request, tmp_path):
    """A copy of a kept store: one cell is done, and one was interrupted in its second epoch, with a checkpoint."""
    return Path(shutil.copytree(KEPT / request.param, tmp_path / "store"))


def test_every_format_that_was_released_is_kept():
    assert {path.name for path in KEPT.iterdir() if path.is_dir() and path.name.startswith("v")} == set(VERSIONS)


def test_an_old_store_is_shown(kept):
    expected = json.loads((kept / "cells.json").read_text())
    study = ablate.load_study("kept", store=kept)
    found = json.loads(study.cells[["variant", "status", "accuracy"]].to_json(orient="records"))
    assert found == expected
    assert study.epochs[["variant", "epoch"]].values.tolist() == [["base", 1], ["base", 2], ["base", 3], ["lr=large", 1]]
    assert study.published["accuracy"] == {"base": 0.5}
    for words in (["status"], ["report", "kept"], ["diff", *study.cells["key"]], ["report", "kept", "--format", "html"]):
        result = CliRunner().invoke(app, [*words, "--store", str(kept)])
        assert result.exit_code == 0, result.output


def test_an_interrupted_cell_of_an_old_store_goes_on(kept, plugin, tmp_path, monkeypatch):
    """From its checkpoint: the first epoch, of which the store knows, is not trained again."""
    expected = json.loads((kept / "cells.json").read_text())
    monkeypatch.setattr(training, "as_planned", lambda cell, environment, elsewhere: cell.identity)  # with the packages of then
    with Store(kept) as store:
        key = store.study("kept").cells.set_index("variant")["key"]["lr=large"]
        (row,) = store.cells(key)
        cell = Cell(row["key"], row["recipe"], row["seed"], row["device"], row["identity"])
        assert store.claim(cell, {}) == "claimed"
        settings = Settings(1, 1, "cpu", Environment(tmp_path, False), store.checkpoints, 60.0, None)
        told = [message for message in messages(order(cell, settings), lambda: False) if message is not None]
        assert [message["record"]["epoch"] for message in told if message["event"] == "epoch"] == [2, 3]
        result = Result.from_json(told[-1]["result"])
        assert [record["epoch"] for record in result.epochs] == [1, 2, 3]
        assert store.finish(key, result)
        cells = store.study("kept").cells
    assert cells["status"].tolist() == ["done", "done"]
    assert cells["accuracy"].tolist()[0] == expected[0]["accuracy"]


def test_a_study_runs_again_in_an_old_store(kept, plugin, monkeypatch):
    """The packages differ, so its cells are new ones; the old ones stay."""
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    with Store(kept) as store:
        spec, before = store.spec("kept"), store.study("kept").cells
    study = ablate.run(spec, store=kept, device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done", "done"]
    with Store(kept) as store:
        assert store.stored(list(before["key"])) >= {before["key"][0]}
        (row,) = store.cells(before["key"][0])
    assert row["metrics"]["accuracy"] == before["accuracy"][0]


def _version(number):
    def change(path):
        with closing(sqlite3.connect(path)) as db, db:
            db.execute(f"PRAGMA user_version = {number}")

    return change


def _other(version):
    def change(path):
        path.unlink()
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE notes (text)")
            db.execute("INSERT INTO notes VALUES ('mine')")
            db.execute(f"PRAGMA user_version = {version}")

    return change


def _middle(path):
    """A page in the middle is overwritten, as by a disk that mixes blocks up."""
    data = path.read_bytes()
    path.write_bytes(data[: 4 * 4096] + b"\xab" * 4096 + data[5 * 4096 :])


def _cut(size):
    return lambda path: path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_version(database.VERSION + 1), f"the store has format {database.VERSION + 1}, and this version of ablate reads"),
        (_version(0), "the store has format 0"),
        (_other(0), "belongs to another application"),
        (_other(database.VERSION), "belongs to another application"),
        (_middle, "It is damaged, and was not changed: put a copy in its place"),
        (_cut(5 * 4096), "It is damaged, and was not changed: put a copy in its place"),
        (_cut(5000), "It is damaged, and was not changed: put a copy in its place"),
        (_cut(50), "It is damaged, and was not changed: put a copy in its place"),
        (lambda path: path.write_text("Dear diary"), "It is damaged, and was not changed: put a copy in its place"),
    ],
)
def test_what_is_no_store_of_this_format_is_refused_and_not_changed(tmp_path, change, message):
    store = Path(shutil.copytree(KEPT / VERSIONS[-1], tmp_path / "store"))
    change(store / "store.sqlite")
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    for create in (True, False):
        with pytest.raises(StoreError, match=message) as error:
            Store(store, create=create)
        assert str(store / "store.sqlite") in str(error.value)
        assert "with --store or ABLATE_STORE" in str(error.value)
    result = CliRunner().invoke(app, ["report", "kept", "--store", str(store)])
    assert isinstance(result.exception, StoreError)
    assert result.exception.exit_code == ExitCode.ENVIRONMENT
    assert {path: path.read_bytes() for path in store.rglob("*") if path.is_file()} == before


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "store.sqlite").mkdir()
    with pytest.raises(StoreError, match=r"store\.sqlite: cannot be opened as a store: .*repair the place"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="there is no store in"):
        Store(tmp_path, create=False)
    assert list((tmp_path / "store.sqlite").iterdir()) == []


def test_an_empty_file_is_a_store_that_was_not_begun(tmp_path):
    """A disk that is full from the start leaves one: only a run, which can go on from there, writes to it."""
    path = tmp_path / "store.sqlite"
    path.touch()
    with pytest.raises(StoreError, match="there is no store in"):
        Store(tmp_path, create=False)
    assert path.read_bytes() == b""
    with Store(tmp_path) as store:
        assert store.studies() == []


@pytest.mark.parametrize(("column", "table"), [("plan", "studies"), ("record", "epochs"), ("metrics", "cells")])
def test_a_text_that_lost_its_end_is_damage(tmp_path, column, table):
    store = shutil.copytree(KEPT / VERSIONS[-1], tmp_path / "store")
    with closing(sqlite3.connect(store / "store.sqlite")) as db, db:
        db.execute(f"UPDATE {table} SET {column} = substr({column}, 1, 5)")
    with Store(store) as opened, pytest.raises(StoreError, match="cannot be read: .* It is damaged"):
        opened.study("kept")


def test_the_kept_cells_have_a_result():
    for version in VERSIONS:
        frame = pd.DataFrame(json.loads((KEPT / version / "cells.json").read_text()))
        assert frame["status"].tolist() == ["done", "interrupted"]
        assert frame["accuracy"].notna().tolist() == [True, False]
