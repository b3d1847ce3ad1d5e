"""The parts of the page: made once at each change, and sent where they have changed."""

import time

import numpy as np
from PIL import Image

from ablate.predictions import Predictions, packed
from ablate.report.content import page, verdicts
from ablate.report.live import live_page, problem_part, state_part
from ablate.report.web import parts
from ablate.store import Store
from ablate.store.following import Failed, Now, Training
from ablate.watch import live as watch
from ablate.watch.live import Live
from tests.report.studies import HOSTILE
from tests.watch.studies import begin, claim, finish, finished, record


def until(live, wanted, version=-1):
    """The first update after a version that is as wanted, with all that has changed until then."""
    changed, end = {}, time.monotonic() + 60
    while time.monotonic() < end:
        update = live.since(version, 60)
        version, changed = update.version, changed | update.changed
        if wanted(update):
            return update, changed
    raise AssertionError(changed)


def test_a_finished_study_is_the_report_and_nothing_more_happens(tmp_path):
    live = Live(finished(tmp_path), "s")
    with live.running():
        update, changed = until(live, lambda update: "1-how-to-read-it" in update.order)
        assert update.order[:2] == ("state", "1-header")
        assert "6 of 6 cells done" in changed["state"]
        assert "x is better than base" in changed["1-header"]
        assert live.since(update.version, 1) is None
        everything = live.since(-1)
    assert set(everything.changed) == set(everything.order)


def test_only_what_has_changed_is_told(tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
        finish(driver, 0, 0, 0.5)
        live = Live(tmp_path, "s")
        with live.running(), live.viewing():
            first, _ = until(live, lambda update: "1-cost" in update.order)
            driver.record_epoch(claim(driver, 1, 0), record(1, 0.25))
            second, changed = until(live, lambda update: "0.25" in update.changed.get("state", ""), first.version)
            assert "1-cost" not in changed
            assert "1 of 3" in changed["state"]
            _, changed = until(live, lambda update: "1-learning-curves" in update.changed, second.version)
            assert "1-how-to-read-it" not in changed


def test_verdicts_come_first_and_the_rest_follows(tmp_path, monkeypatch):
    """The whole report of a thousand cells takes seconds, and nobody is to wait for all of it."""
    monkeypatch.setattr(watch, "REST_OF_ALL", 1e9)
    with Store(tmp_path) as driver:
        begin(driver)
        finish(driver, 0, 0, 0.5)
        live = Live(tmp_path, "s")
        with live.running(), live.viewing():
            first, _ = until(live, lambda update: "1-cost" in update.order)
            finish(driver, 1, 0, 0.6)
            second, changed = until(live, lambda update: "1-comparison" in update.changed, first.version)
            assert "2 of 6" in changed["1-header"]
            assert "1-cost" not in changed
            assert second.order == first.order
    with Store(tmp_path, create=False, read_only=True) as store:
        study = store.study("s")
        live = Live(tmp_path, "s")
        with live.running(), live.viewing():
            _, changed = until(live, lambda update: "1-cost" in update.order)
        assert {name: html for name, html in changed.items() if name in parts(verdicts(study))} == parts(verdicts(study))
        assert {name: html for name, html in changed.items() if name != "state"} == parts(page(study))


def test_pictures_that_are_made_after_the_last_cell_are_seen(tmp_path):
    """Each image is right with one variant and wrong with the other; the pictures come when nothing is written to the store."""
    labels = np.array([0, 1, 0, 1])
    with Store(tmp_path) as driver:
        begin(driver, seeds=1)
        for place, answers in enumerate((labels, 1 - labels)):
            said = Predictions(labels, answers, np.full(4, 0.9), ("cat", "dog"), "digest")
            finish(driver, place, 0, 0.5, packed(said))
        live = Live(tmp_path, "s")
        with live.running(), live.viewing():
            update, changed = until(live, lambda update: "1-images" in update.order)
            assert "<img" not in changed["1-images"]
            file = driver.study("s").thumbnails("digest", 2)
            file.parent.mkdir(parents=True)
            Image.new("L", (8, 8)).save(file)
            _, changed = until(live, lambda update: "<img" in update.changed.get("1-images", ""), update.version)
            assert changed.keys() == {"1-images"}
            assert "image 2" in changed["1-images"]


def test_nobody_looks_so_the_report_rests(tmp_path):
    with Store(tmp_path) as driver:
        begin(driver)
        finish(driver, 0, 0, 0.5)
        live = Live(tmp_path, "s")
        with live.running():
            first, _ = until(live, lambda update: "1-cost" in update.order)
            finish(driver, 1, 0, 0.6)
            second, changed = until(live, lambda update: "2 of 6" in update.changed.get("state", ""), first.version)
            assert live.since(second.version, 1) is None, "how far it is costs next to nothing, and is made all the same"
            assert changed.keys() == {"state"}
            with live.viewing():
                until(live, lambda update: "1-cost" in update.changed, second.version)


def test_a_store_that_is_damaged_is_a_part_of_the_page_until_it_is_whole(tmp_path):
    whole = finished(tmp_path / "store") / "store.sqlite"
    live = Live(tmp_path / "store", "s")
    data = whole.read_bytes()
    whole.write_bytes(b"no store")
    with live.running():
        update, changed = until(live, lambda update: "problem-state" in update.order)
        assert "cannot be opened as a store" in changed["problem-state"]
        whole.write_bytes(data)
        update, _ = until(live, lambda update: {"state", "1-comparison"} <= set(update.order), update.version)
        assert not [name for name in update.order if name.startswith("problem")]


def test_names_of_strangers_are_text():
    training = tuple(Training(name, 0, 0.0, 1, None, {name: 0.5}) for name in HOSTILE)
    failed = tuple(Failed(f"{index}", name, 0, name, f"</pre>{name}\n{name}") for index, name in enumerate(HOSTILE))
    counts = {"done": 1, "running": len(HOSTILE), "failed": len(HOSTILE), "interrupted": 0, "missing": 1}
    state = state_part(HOSTILE[1], Now(counts, training, failed, 5.0))
    text = live_page(HOSTILE[3], 1, {"state": state, "problem": problem_part(ValueError(HOSTILE[0]))})
    for tag in ("<script>document", "<img", "<svg onload", "<b>accuracy"):
        assert tag not in text
    assert text.count("</pre>") == len(HOSTILE)
    assert "7*7" in text
    assert not any(control in text for control in ("\x1b", "\x00", "\x07", "\u202e"))


def test_who_looks_early_is_told_that_it_decides_nothing():
    counts = dict.fromkeys(("running", "failed", "interrupted"), 0)
    assert "Verdicts so far" in state_part("s", Now(counts | {"done": 1, "missing": 1}, (), (), None))
    assert "Verdicts so far" not in state_part("s", Now(counts | {"done": 2, "missing": 0}, (), (), None))
    assert "run</code> goes on with the other 1" in state_part("s", Now(counts | {"done": 1, "missing": 1}, (), (), None))


def test_a_failure_is_told_by_the_first_and_the_last_line_of_its_message():
    message = "the program ended with exit code 1. The end of what it printed:\nTraceback:\n    ^^^^\nRuntimeError: no <file>\n"
    failed = Failed("k", "x", 0, message, message), Failed("l", "x", 1, "it broke", "")
    counts = dict.fromkeys(("done", "running", "interrupted", "missing"), 0) | {"failed": 2}
    state = state_part("s", Now(counts, (), failed, None))
    assert "exit code 1. The end of what it printed: … RuntimeError: no &lt;file&gt;</summary>" in state
    assert "x, seed 1 failed: it broke</summary>" in state
