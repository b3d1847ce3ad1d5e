"""The store: claims are exclusive, killed drivers hold nothing, and what was stored stays."""

import errno
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

import pytest

from ablate.contracts import Cell, Factor, Result
from ablate.errors import StoreError, UsageError
from ablate.store import Store, database, locks, version
from ablate.study import Compare, Stopping, VariantInfo

RESULT = Result([{"epoch": 1, "train_loss": 1.0, "accuracy": 0.5}], {"accuracy": 0.5, "loss": None}, "w", 1.0, 7)


def cell(name="a"):
    return Cell(name * 8, {"epochs": 1}, 0, "cpu", {})


def save(store, *keys, name="s"):
    variants = [VariantInfo("base", {}, ()), VariantInfo("x", {}, ("epochs: 1 → 2",))]
    record = {
        "question": "?",
        "compare": vars(Compare("accuracy", "last", "base")),
        "variants": [vars(variant) for variant in variants],
        "metrics": ["accuracy", "loss"],
        "published": {},
    }
    store.save_study(name, {}, record, [("base" if i == 0 else "x", i, key) for i, key in enumerate(keys)])


def test_a_result_is_there_after_opening_again(tmp_path):
    with Store(tmp_path) as store:
        save(store, cell().key, cell("b").key)
        assert store.claim(cell(), {"cpu": "c"}) == "claimed"
        store.record_epoch(cell().key, RESULT.epochs[0])
        assert store.finish(cell().key, RESULT)
    with Store(tmp_path, create=False) as store:
        study = store.study("s")
    assert study.cells["status"].tolist() == ["done", "missing"]
    assert study.cells["accuracy"].tolist()[0] == 0.5
    assert study.cells["loss"].isna().all()
    assert study.epochs[["variant", "epoch", "train_loss"]].values.tolist() == [["base", 1, 1.0]]
    assert study.variants[1].changes == ("epochs: 1 → 2",)
    assert study.provenance == ({"cpu": "c"},)


def test_the_number_of_images_is_there_where_somebody_counted(tmp_path):
    machine = {"cpu": "c", "git": None, "name": "\ud800"}
    with Store(tmp_path) as store:
        save(store, cell().key, cell("b").key, cell("c").key)
        for name, result in (("a", RESULT), ("b", replace(RESULT, evaluated_images=360))):
            store.claim(cell(name), machine)
            store.finish(cell(name).key, result)
        study = store.study("s")
        assert study.cells["evaluated_images"].fillna(-1).tolist() == [-1, 360, -1]
        assert study.provenance == (machine,)
        assert [store.ended([cell(name).key])[cell(name).key].evaluated_images for name in "ab"] == [None, 360]


def test_what_a_cell_was_trained_on_is_what_its_worker_says(tmp_path):
    """It may be another machine than the driver's, with which the cell was claimed."""
    with Store(tmp_path) as store:
        save(store, cell().key)
        store.claim(cell(), {"cpu": "driver's", "device": "driver's", "executor": "ray", "git": None})
        store.finish(cell().key, replace(RESULT, machine={"cpu": "worker's", "device": "worker's"}))
        assert store.study("s").provenance == ({"cpu": "worker's", "device": "worker's", "executor": "ray", "git": None},)


def test_a_cell_has_one_driver(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        assert one.claim(cell(), {}) == "claimed"
        assert other.claim(cell(), {}) == "held"
        assert not other.finish(cell().key, RESULT)
        assert one.finish(cell().key, RESULT)
        assert other.claim(cell(), {}) == "done"


def test_a_thousand_claims_of_many_drivers_are_exclusive(tmp_path):
    cells = [Cell(f"{index:08d}", {}, 0, "cpu", {}) for index in range(125)]
    Store(tmp_path).__exit__()

    def drive(_):
        with Store(tmp_path) as store:
            got = [c.key for c in cells if store.claim(c, {}) == "claimed"]
            for key in got:
                store.finish(key, RESULT)
            return got

    with ThreadPoolExecutor(8) as pool:
        taken = [key for keys in pool.map(drive, range(8)) for key in keys]
    assert sorted(taken) == [c.key for c in cells]


def test_the_cells_of_a_killed_driver_are_free(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from ablate.store import Store; from ablate.contracts import Cell;"
        f"s = Store(Path({str(tmp_path)!r})); print(s.claim(Cell('a' * 8, {{}}, 0, 'cpu', {{}}), {{}}), flush=True);"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    with Store(tmp_path) as store:
        save(store, cell().key)
        assert store.claim(cell(), {}) == "held"
        assert store.study("s").cells["status"].tolist() == ["running"]
        process.kill()
        process.wait()
        assert store.study("s").cells["status"].tolist() == ["interrupted"]
        assert store.claim(cell(), {}) == "claimed"


def test_a_failed_cell_is_claimed_again(tmp_path):
    with Store(tmp_path) as store:
        save(store, cell().key)
        store.claim(cell(), {})
        store.fail(cell().key, "failed", "no luck", "Traceback")
        assert store.study("s").cells["error"].tolist() == ["no luck"]
        assert store.logs(cell().key) == ("no luck", "Traceback")
        assert store.claim(cell(), {}) == "claimed"
        assert store.logs(cell().key) == (None, None)


def test_a_study_is_replaced_and_its_cells_stay(tmp_path):
    with Store(tmp_path) as store:
        save(store, cell().key)
        store.claim(cell(), {})
        store.finish(cell().key, RESULT)
        save(store, cell("b").key, cell().key)
        assert store.stored([cell().key, cell("b").key]) == {cell().key}
        assert len(store.study("s").cells) == 2
        assert store.studies() == ["s"]


def test_a_study_that_is_not_there_gets_close_matches(tmp_path):
    with Store(tmp_path) as store:
        save(store, cell().key, name="batch")
        with pytest.raises(UsageError, match="has no study 'bach'. Did you mean 'batch'"):
            store.study("bach")


def test_a_study_comes_back_with_all_that_was_planned(tmp_path):
    record = {
        "question": "which?",
        "compare": vars(Compare("accuracy", 3, "x", margin=0.01, paired=True)),
        "variants": [{"name": "x", "levels": {"f": "a"}, "changes": ["epochs: 1 → 2"]}],
        "metrics": ["accuracy"],
        "published": {"source": "s", "accuracy": {"x": 0.5}},
        "factors": [{"name": "f", "base": "a", "others": ["b", "c"]}],
        "design": {"use": "factorial"},
        "stopping": {"least": 3, "most": 9},
        "split": "by_seed",
    }
    with Store(tmp_path) as store:
        store.save_study("s", {"name": "s"}, record, [("x", 4, "k")])
        study = store.study("s")
        assert store.spec("s") == {"name": "s"}
    assert (study.name, study.question, study.compare) == ("s", "which?", Compare("accuracy", 3, "x", margin=0.01, paired=True))
    assert study.variants == (VariantInfo("x", {"f": "a"}, ("epochs: 1 → 2",)),)
    assert (study.factors, study.design) == ((Factor("f", "a", ("b", "c")),), {"use": "factorial"})
    assert (study.stopping, study.published, study.split) == (Stopping(3, 9), record["published"], "by_seed")
    assert study.cells[["variant", "seed", "key", "status"]].values.tolist() == [["x", 4, "k", "missing"]]
    columns = ["variant", "seed", "epoch", "train_loss", "lr", "seconds", "images_per_second", "accuracy"]
    assert study.epochs.columns.tolist() == columns
    assert study.provenance == ()


def test_a_cell_comes_back_with_all_that_is_known_of_it(tmp_path):
    with Store(tmp_path) as store:
        save(store, "abc1", "abd2")
        for key in ("abc1", "abd2"):
            store.claim(Cell(key, {"epochs": 1}, 7, "cpu", {"engine": 2}), {"cpu": key})
            store.finish(key, RESULT)
        (found,) = store.cells("abc")
        assert found == {
            "key": "abc1",
            "recipe": {"epochs": 1},
            "seed": 7,
            "device": "cpu",
            "identity": {"engine": 2},
            "status": "done",
            "metrics": RESULT.metrics,
            "seconds": 1.0,
            "parameters": 7,
            "weights_sha256": "w",
            "provenance": {"cpu": "abc1"},
        }
        assert [cell["key"] for cell in store.cells("ab")] == ["abc1", "abd2"]
        assert store.logs("nobody") == (None, None)
        study = store.study("s")
    assert study.provenance == ({"cpu": "abc1"}, {"cpu": "abd2"})
    frame = study.cells[["variant", "seed", "key", "status", "error", "seconds", "parameters", "weights_sha256"]]
    assert frame.values.tolist() == [["base", 0, "abc1", "done", None, 1.0, 7, "w"], ["x", 1, "abd2", "done", None, 1.0, 7, "w"]]
    assert study.epochs[["variant", "seed", "epoch"]].values.tolist() == [["base", 0, 1], ["x", 1, 1]]


def test_attempts_are_counted_and_an_epoch_is_told_again(tmp_path):
    with Store(tmp_path) as store:
        save(store, cell().key)
        for accuracy in (0.1, 0.2):
            assert store.claim(cell(), {}) == "claimed"
            store.record_epoch(cell().key, {"epoch": 1, "accuracy": accuracy})
            store.fail(cell().key, "interrupted", None, None)
        store.record_epoch(cell().key, {"epoch": 2, "accuracy": 0.3})  # of a cell that is not its own any more
        assert store.study("s").epochs["accuracy"].tolist() == [0.2]
        assert store.access.read("SELECT attempt FROM cells")[0]["attempt"] == 2


def test_what_is_no_json_is_not_stored(tmp_path):
    with Store(tmp_path) as store:
        store.claim(cell(), {})
        with pytest.raises(ValueError, match="not JSON compliant"):
            store.record_epoch(cell().key, {"epoch": 1, "accuracy": float("nan")})


def test_a_driver_has_a_lock_while_it_lives(tmp_path):
    with Store(tmp_path) as store:
        assert not (tmp_path / "drivers").exists()
        store.claim(cell(), {})
        assert [path.name for path in (tmp_path / "drivers").iterdir()] == [f"{store.drivers.own}.lock"]
    assert list((tmp_path / "drivers").iterdir()) == []


def test_a_store_that_cannot_be_locked_says_so(tmp_path):
    with Store(tmp_path) as store:
        (tmp_path / "drivers").write_text("")
        with pytest.raises(StoreError, match=r"drivers: the store cannot be locked: .* Make room or repair the place"):
            store.claim(cell(), {})


def test_a_place_without_a_store(tmp_path):
    with pytest.raises(StoreError, match="there is no store in"):
        Store(tmp_path, create=False)


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_file_that_is_no_store(tmp_path, content):
    (tmp_path / "store.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match="cannot be opened as a store"):
        Store(tmp_path)


def test_a_store_of_a_later_version(tmp_path):
    Store(tmp_path).__exit__()
    with sqlite3.connect(tmp_path / "store.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="format 99"):
        Store(tmp_path)


def test_a_full_disk_is_told_and_loses_nothing(tmp_path):
    with Store(tmp_path) as store:
        store.claim(cell(), {})
        store.finish(cell().key, RESULT)
        pages = store.access.read("PRAGMA page_count")[0][0]
        store.access.read(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"cannot be written: database or disk is full. What it has is kept"):
            for index in range(1000):
                store.claim(Cell(f"{index}", {"x": "y" * 4000}, 0, "cpu", {}), {})
    with Store(tmp_path) as store:
        assert store.stored([cell().key]) == {cell().key}


def test_the_store_waits_for_a_writer(tmp_path):
    with Store(tmp_path) as store, ThreadPoolExecutor(1) as pool:

        def write():
            with Store(tmp_path) as other:
                return other.claim(cell(), {})

        with store.access.transaction():
            claimed = pool.submit(write)
            time.sleep(0.2)
            assert not claimed.done()
        assert claimed.result() == "claimed"


def test_a_writer_that_is_stopped_is_waited_for(tmp_path, monkeypatch):
    """Readers do not wait; a driver waits, and says so; without anybody to tell, it is an error."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(database, "SAY_SECONDS", 0.1)
    told = []
    with Store(tmp_path) as stopped, ExitStack() as writing:
        save(stopped, cell().key)
        writing.enter_context(stopped.access.transaction())
        with Store(tmp_path, create=False) as reader:
            assert reader.studies() == ["s"]
            with pytest.raises(StoreError, match="another process writes to the store, and does not end"):
                reader.claim(cell(), {})

        def waiting(message):
            told.append(message)
            if len(told) == 3:
                writing.close()

        with Store(tmp_path, waiting=waiting) as driver:
            assert driver.claim(cell(), {}) == "claimed"
    assert len(told) == 3
    assert "waiting for another process that writes to" in told[0]


def test_the_holders_of_cells_are_named(tmp_path):
    with Store(tmp_path) as one, Store(tmp_path) as other:
        one.claim(cell(), {})
        other.claim(cell("b"), {})
        (holder,) = other.holders([cell().key, cell("b").key])
        assert re.fullmatch(rf"process {os.getpid()}@{socket.gethostname()} \(1 cell, since [-\d]{{10}} [:\d]{{8}}\)", holder)
        assert one.holders([cell().key]) == []


def test_a_message_that_is_no_text_is_stored(tmp_path):
    with Store(tmp_path) as store:
        store.claim(cell(), {})
        store.fail(cell().key, "failed", "no \udc80 luck", "a log \ud800")
        assert store.logs(cell().key) == (r"no \udc80 luck", r"a log \ud800")


@pytest.mark.filterwarnings("ignore:flock not supported")  # some versions of filelock say so, and go on with a marker file
@pytest.mark.parametrize("flock", ["none", "keeps nobody out"])
def test_a_place_without_locks_is_refused(tmp_path, monkeypatch, flock):
    """A lock that is only a file outlives its process, and its cells would never be free again."""
    monkeypatch.setattr("fcntl.flock", _no_locks if flock == "none" else lambda *_: None)
    with Store(tmp_path) as store:
        for _ in range(2):
            with pytest.raises(StoreError, match="drivers: the store cannot be locked"):
                store.claim(cell(), {})
            assert list((tmp_path / "drivers").iterdir()) == []
        assert store.cells("") == []


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "a.lock"
    hold = (
        "import sys; from pathlib import Path; from ablate.store import locks\n"
        "lock = locks.hold(Path(sys.argv[1])); print(1, flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", hold, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        driver.stdout.readline()
        assert locks.is_held(path)
        driver.kill()
        driver.wait()
    assert path.exists()
    assert not locks.is_held(path)


def _no_locks(*_):
    raise OSError(errno.ENOSYS, "not here")


def test_another_spec_of_a_name_leaves_the_first_its_record(tmp_path):
    """It has a name of its own, until its spec comes back; without a result there is nothing to keep."""
    record = {"question": "", "compare": {"metric": "accuracy", "at": "last", "reference": "base"}, "published": {}}
    record |= {"metrics": ["accuracy"], "variants": [{"name": "base", "levels": {}, "changes": []}]}
    first, second = {"name": "s", "base": {"epochs": 1}}, {"name": "s", "base": {"epochs": 2}}
    with Store(tmp_path) as store:
        assert store.save_study("s", first, record, [("base", 0, cell().key)]) is None
        assert store.save_study("s", second, record, [("base", 0, cell("b").key)]) is None
        assert store.studies() == ["s"]
        store.claim(cell("b"), {})
        store.finish(cell("b").key, Result([], {"accuracy": 0.5}, "", 1.0, 1))
        assert store.save_study("s", second, record, [("base", 0, cell("b").key)]) is None
        earlier = store.save_study("s", first, record, [("base", 0, cell().key)])
        assert earlier == version("s", second)
        assert store.studies() == ["s", earlier]
        assert store.spec(earlier) == second
        assert list(store.study(earlier).cells["accuracy"]) == [0.5]
        store.claim(cell(), {})
        store.finish(cell().key, Result([], {"accuracy": 0.25}, "", 1.0, 1))
        assert store.save_study("s", second, record, [("base", 0, cell("b").key)]) == version("s", first)
        assert store.studies() == ["s", version("s", first)]


@pytest.mark.parametrize("beside", [False, True], ids=["nobody", "a driver that writes"])
def test_a_store_that_cannot_be_written_to_is_read(tmp_path, monkeypatch, beside):
    with Store(tmp_path) as store:
        save(store, cell().key)
        store.claim(cell(), {})
        if not beside:
            store.finish(cell().key, RESULT)
    writer = Store(tmp_path) if beside else None
    if writer:
        writer.claim(cell(), {})
        writer.finish(cell().key, RESULT)
    monkeypatch.setattr(database.os, "access", lambda place, mode: False)
    before = sorted(path.name for path in tmp_path.iterdir())
    with Store(tmp_path, create=False) as store:
        assert store.study("s").cells["accuracy"].tolist() == [0.5]
        with pytest.raises(StoreError, match=r"cannot be written: attempt to write a readonly database\. What it has is kept"):
            store.claim(cell("b"), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    if writer:
        writer.access.close()


def test_a_store_that_was_just_begun_has_nothing_to_read(tmp_path):
    database = sqlite3.connect(tmp_path / "store.sqlite")
    database.execute("PRAGMA journal_mode = WAL")  # with which a driver begins
    database.close()
    with pytest.raises(StoreError, match="nothing is stored in it yet"):
        Store(tmp_path, create=False, read_only=True)
