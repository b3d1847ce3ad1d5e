"""How far a study is, from what the store has at a moment."""

import sqlite3
import time
from contextlib import closing

import pytest

from ablate.errors import StoreError
from ablate.store import Store
from ablate.store.following import LOG, MOST_LOGS
from tests.watch.studies import begin, claim, finish, finished, key, record


def test_cells_are_counted_and_those_in_training_are_told(tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
        finish(driver, 0, 0, 0.5)
        taken = claim(driver, 1, 0)
        driver.record_epoch(taken, record(1, 0.25) | {"diverged": "no", "selected": True})
        driver.fail(claim(driver, 0, 1), "failed", "it broke", "line 1\nline 2")
        driver.fail(claim(driver, 1, 1), "interrupted", None, None)
        with Store(tmp_path, create=False, read_only=True) as store:
            now = store.now("s")
    assert now.counts == {"done": 1, "running": 1, "interrupted": 1, "failed": 1, "missing": 2}
    assert now.total == 6
    (cell,) = now.training
    assert (cell.variant, cell.seed, cell.epoch, cell.epochs) == ("x", 0, 1, 3)
    assert cell.latest == {"train_loss": 1.0, "accuracy": 0.25}
    assert abs(cell.started - time.time()) < 60
    (failed,) = now.failed
    assert (failed.variant, failed.seed, failed.error, failed.log) == ("base", 1, "it broke", "line 1\nline 2")


def test_the_time_left_is_that_of_the_cells_that_are_left(tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
        assert driver.now("s").seconds_left is None
        finish(driver, 0, 0, 0.5)  # took 10 s
        assert driver.now("s").seconds_left is None, "nobody trains"
        driver.record_epoch(claim(driver, 1, 0), record(1, 0.2))
        driver.record_epoch(claim(driver, 0, 1), record(2, 0.2))
        assert driver.now("s").seconds_left == pytest.approx((10 * (2 / 3 + 1 / 3) + 3 * 10) / 2)


def test_a_cell_that_is_left_is_taken_to_be_like_those_of_its_variant(tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
        finish(driver, 0, 0, 0.5)
        finish(driver, 1, 0, 0.5, seconds=40.0)
        driver.record_epoch(claim(driver, 1, 1), record(1, 0.2))
        assert driver.now("s").seconds_left == pytest.approx(40 * 2 / 3 + 10 + 10 + 40)


def test_cells_of_a_killed_driver_are_interrupted(tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
        claim(driver, 0, 0)
    with Store(tmp_path, create=False, read_only=True) as store:
        now = store.now("s")
    assert (now.counts["running"], now.counts["interrupted"], now.training) == (0, 1, ())


def test_a_log_is_told_from_its_end_and_of_many_the_last(tmp_path):
    with Store(tmp_path) as driver:
        begin(driver, seeds=MOST_LOGS)
        for seed in range(MOST_LOGS):
            for variant in (0, 1):
                driver.fail(claim(driver, variant, seed), "failed", "it broke", "x" * LOG + f"{variant} {seed}")
        failed = driver.now("s").failed
    assert len(failed) == MOST_LOGS
    assert failed[0].log.endswith(f"1 {MOST_LOGS - 1}")
    assert {len(one.log) for one in failed} == {LOG}


def test_a_change_is_seen_and_who_only_reads_changes_nothing(tmp_path):
    finished(tmp_path)
    with Store(tmp_path, create=False, read_only=True) as store, Store(tmp_path, create=False) as driver:
        before = store.change()
        assert store.change() == before
        begin(driver, name="other")
        assert store.change() != before
        assert store.latest() == "other"
        with pytest.raises(StoreError, match="readonly"):
            begin(store)
    with Store(tmp_path / "empty") as empty:
        assert empty.latest() is None


@pytest.mark.parametrize("wrong", ["[1]", '{"accuracy": {}, "a\\u0000": 1}', "nonsense"])
def test_records_that_are_none_are_refused(tmp_path, wrong):
    with Store(tmp_path) as driver:
        begin(driver)
        driver.record_epoch(claim(driver, 0, 0), record(1, 0.5))
        with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db, db:
            db.execute("UPDATE epochs SET record = ?", (wrong,))
        with pytest.raises(StoreError, match="a record is not what ablate writes"):
            driver.now("s")


def test_a_study_that_is_not_there_has_no_cells(tmp_path):
    with Store(tmp_path) as driver:
        assert driver.now("s").total == 0
        assert key(0, 0) != key(1, 0)
