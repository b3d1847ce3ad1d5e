"""A store that is looked after: what is removed is what nobody names, and nothing that somebody needs."""

import json
import os
import time

import pytest
from typer.testing import CliRunner

from ablate.cli import app
from ablate.contracts import Cell
from ablate.errors import DiskProblem, UsageError
from ablate.report.tables import room
from ablate.store import Store, tidying
from tests.store.test_store import RESULT
from tests.store.test_store import save as save_study


def key(name):
    return name * 64


def finish(store, *names):
    """Finished cells, each with weights of 100 bytes, predictions of 10, and a metric that was measured later."""
    for name in names:
        assert store.claim(Cell(key(name), {"epochs": 1}, 0, "cpu", {}), {}) == "claimed"
        assert store.finish(key(name), RESULT)
        for folder, size in (("weights", 100), ("predictions", 10)):
            (store.directory / folder).mkdir(exist_ok=True)
            suffix = "safetensors" if folder == "weights" else "npz"
            (store.directory / folder / f"{key(name)}.{suffix}").write_bytes(bytes(size))
        store.evaluations.add(key(name), {"top5": ("k", 0.5, 10, {})})


def save(store, name, *cells):
    save_study(store, *map(key, cells), name=name)


def there(store):
    """The first letters of the cells in the database, and of the files of weights and predictions."""
    rows = {row["key"][0] for row in store.access.read("SELECT key FROM cells")}
    for table, column in (("epochs", "key"), ("evaluations", "cell")):
        assert {row[column][0] for row in store.access.read(f"SELECT {column} FROM {table}")} <= rows
    return "".join(sorted(rows)), *(
        "".join(sorted(path.name[0] for path in (store.directory / folder).glob("*"))) for folder in ("weights", "predictions")
    )


@pytest.fixture
def store(tmp_path):
    """Two studies that share the cell b, and d of no study."""
    with Store(tmp_path / "store") as store:
        finish(store, *"abcd")
        save(store, "one", "a", "b")
        save(store, "two", "b", "c")
        yield store


def test_the_studies_are_listed_with_what_they_share(store):
    one, two = tidying.listed(store)
    assert (one.name, one.cells, one.done, one.shared) == ("one", 2, 2, 1)
    assert (two.name, two.cells, two.done, two.shared) == ("two", 2, 2, 1)
    assert one.bytes == two.bytes > 2 * 110
    assert abs(one.updated - time.time()) < 60


def test_a_removed_study_leaves_the_cells_of_others(store):
    would = tidying.remove(store, "one", dry_run=True)
    assert there(store) == ("abcd", "abcd", "abcd")
    assert store.studies() == ["one", "two"]
    assert tidying.remove(store, "one") == would
    assert (would.cells.count, would.done, would.shared) == (1, 1, 1)
    assert would.files == {
        "weights": tidying.Amount(1, 100),
        "predictions": tidying.Amount(1, 10),
        "checkpoints": tidying.Amount(),
    }
    assert store.studies() == ["two"]
    assert there(store) == ("bcd", "bcd", "bcd")
    assert store.study("two").cells["status"].tolist() == ["done", "done"]


def test_garbage_is_what_no_study_names(store):
    (store.directory / "weights" / f"{key('e')}.safetensors").write_bytes(bytes(7))  # of a cell that is nowhere
    would = tidying.collect(store, dry_run=True)
    assert there(store) == ("abcd", "abcde", "abcd")
    assert tidying.size(store).unnamed == would
    assert tidying.collect(store) == would
    assert (would.cells.count, would.done, would.files["weights"]) == (1, 1, tidying.Amount(2, 107))
    assert there(store) == ("abc", "abc", "abc")
    assert tidying.collect(store).nothing
    assert [study.done for study in tidying.listed(store)] == [2, 2]


def test_cells_that_failed_or_were_interrupted_go_with_logs_and_checkpoints(store):
    for name, status in (("e", "failed"), ("f", "interrupted")):
        store.claim(Cell(key(name), {}, 0, "cpu", {}), {})
        store.fail(key(name), status, "no luck", "x" * 100_000)
    (store.checkpoints / key("f")).mkdir(parents=True)
    (store.checkpoints / key("f") / "part").write_bytes(bytes(50))
    (store.checkpoints / f"{key('e')}.safetensors").write_bytes(bytes(30))
    found = tidying.collect(store)
    assert (found.cells.count, found.done, found.files["checkpoints"]) == (3, 1, tidying.Amount(2, 80))
    assert found.cells.bytes > 200_000
    assert list(store.checkpoints.iterdir()) == []


def test_what_a_living_driver_trains_is_not_touched(store):
    with Store(store.directory) as driver:
        driver.claim(Cell(key("e"), {}, 0, "cpu", {}), {})
        for folder in ("weights", "checkpoints"):
            (store.directory / folder).mkdir(exist_ok=True)
            (store.directory / folder / f".{key('e')}.safetensors.77").write_bytes(bytes(9))
            os.utime(store.directory / folder / f".{key('e')}.safetensors.77", (0, 0))
        found = tidying.collect(store)
        assert (found.cells.count, found.running) == (1, 1)
        assert found.files["checkpoints"].count == 0
        assert driver.finish(key("e"), RESULT)
    with Store(store.directory) as driver:
        save(store, "three", "f")
        driver.claim(Cell(key("f"), {}, 0, "cpu", {}), {})
        with pytest.raises(UsageError, match=r"study 'three' runs now: process \d+@.* \(1 cell, since .*\)\. End that run first"):
            tidying.remove(store, "three")
    assert tidying.remove(store, "three").cells.count == 1, "of a driver that is gone"


def test_half_written_files_are_left_to_who_writes_them_for_a_day(store):
    new, old = (store.directory / "weights" / f".{key('a')}.safetensors.{number}" for number in (1, 2))
    for file in (new, old):
        file.write_bytes(bytes(5))
    store.checkpoints.mkdir()
    left = store.checkpoints / f"{key('a')}.safetensors"  # of a finished cell
    left.write_bytes(bytes(6))
    for file in (old, left):
        os.utime(file, (time.time() - 90_000,) * 2)
    found = tidying.collect(store)
    assert (found.files["checkpoints"], found.files["weights"]) == (tidying.Amount(1, 6), tidying.Amount(2, 105))
    assert new.exists()
    assert not old.exists()
    assert not left.exists()


def test_the_room_of_removed_rows_goes_back_to_the_disk(store):
    for index in range(30):
        store.claim(Cell(f"{index:064x}", {"x": "y" * 50_000}, 0, "cpu", {}), {})
        store.finish(f"{index:064x}", RESULT)
    before = tidying.size(store)
    found = tidying.collect(store)
    after = tidying.size(store)
    assert found.cells.count == 31
    assert before.database.bytes - after.database.bytes > 1_400_000
    assert before.bytes == before.database.bytes + 440
    assert store.access.read("PRAGMA quick_check")[0][0] == "ok"


def test_links_are_removed_and_not_followed(store, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(bytes(1000))
    store.checkpoints.mkdir()
    (store.checkpoints / key("e")).symlink_to(tmp_path / "mine")
    assert tidying.collect(store).files["checkpoints"].bytes < 1000
    assert (tmp_path / "mine" / "file").exists()
    assert list(store.checkpoints.iterdir()) == []


def test_a_key_that_is_a_path_removes_nothing_elsewhere(store, tmp_path):
    (tmp_path / "victim.safetensors").write_bytes(b"mine")
    store.claim(Cell("../../victim", {}, 0, "cpu", {}), {})
    store.finish("../../victim", RESULT)
    assert tidying.collect(store).cells.count == 2
    assert (tmp_path / "victim.safetensors").exists()


def test_what_cannot_be_removed_stays_whole(store, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError("not yours")

    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(DiskProblem, match=r"d{64}\.\w+: cannot be removed: not yours\. Make room or repair the place"):
        tidying.collect(store)
    assert there(store)[0] == "abcd"


def call(store, *words):
    done = CliRunner().invoke(app, ["store", *words, "--store", str(store.directory)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_commands_say_what_they_do(store):
    assert call(store, "list").splitlines()[1].split()[:4] == ["one", "2", "2", "1"]
    assert [study["name"] for study in json.loads(call(store, "list", "--json"))["studies"]] == ["one", "two"]
    told = json.loads(call(store, "size", "--json"))
    assert (told["version"], told["unnamed"]["cells"]["count"], told["files"]["weights"]["bytes"]) == (1, 1, 400)
    assert "No study names 1 cell (1 finished), weights of 1, predictions of 1" in call(store, "size")
    would = call(store, "gc", "--dry-run")
    assert would.startswith("would remove 1 cell (1 finished), weights of 1, predictions of 1: ")
    assert call(store, "gc") == would.replace("would remove", "removed")
    assert call(store, "gc") == "nothing to remove\n"
    assert "; kept is 1 cell that other studies name or use" in call(store, "remove", "one")
    with pytest.raises(UsageError, match=r"has no study 'tow'\. Did you mean 'two'"):
        tidying.remove(store, "tow")


def test_sizes_in_words():
    sizes = (0, 999, 1000, 1_234_567, 999_499, 999_999, 123_456_789_012)
    assert [room(size) for size in sizes] == ["0 bytes", "999 bytes", "1 kB", "1.23 MB", "999 kB", "1 MB", "123 GB"]
