"""What trackers share: nothing that a service did not take is lost, and one that fails or is slow is left alone."""

import pandas as pd
import pytest

from ablate.registry.hooks import CellInfo, Hooks
from ablate.runner.tracking import Patience, Tracker, allowed_name, numbers, shown
from ablate.study import Compare, Study

CELLS = [CellInfo(key, ("base",), seed, 3) for seed, key in enumerate("ab")]
STUDY = Study("s", "", Compare("accuracy", "last", "base"), (), pd.DataFrame(), pd.DataFrame())


class Memory:
    """A service that notes what it takes, and fails for the cells in `broken`."""

    def __init__(self):
        self.heard, self.tries, self.broken = [], [], set()

    def tell(self, log):
        self.tries.append(log.cell.key)
        if log.cell.key in self.broken:
            raise OSError("away")
        log.run = log.cell.key
        self.heard += [(log.cell.key, epoch) for epoch in sorted(log.waiting)]
        log.waiting.clear()
        if log.end:
            self.heard.append((log.cell.key, log.end.status))
            log.taken = True

    def conclude(self, study):
        self.heard.append(study.name)


@pytest.fixture
def service():
    return Memory()


def listening(service, **patience):
    """Hooks with a tracker, and what listeners were blamed for."""
    blamed = []
    hooks = Hooks(blamed.append)
    hooks.register(Tracker(lambda study: service, Patience(**patience)), "tracker")
    hooks.call("study_start", study="s", cells=CELLS, stored=0)
    return hooks, blamed


def epoch(hooks, cell, number):
    hooks.call("epoch_end", cell=cell, record={"epoch": number, "accuracy": 0.5})


def end(hooks, cell):
    hooks.call("cell_end", cell=cell, status="interrupted", result=None, error=None, log=None)


def test_all_is_told_once_and_in_order(service):
    hooks, blamed = listening(service)
    hooks.call("cell_start", cell=CELLS[0], resumed=None)
    epoch(hooks, CELLS[0], 1)
    epoch(hooks, CELLS[0], 2)
    end(hooks, CELLS[0])
    hooks.call("study_end", study=STUDY)
    assert service.heard == [("a", 1), ("a", 2), ("a", "interrupted"), "s"]
    assert blamed == []


def test_a_service_that_fails_is_left_alone_until_the_end(service):
    hooks, blamed = listening(service)
    service.broken = {"a"}
    for number in (1, 2, 3):
        epoch(hooks, CELLS[0], number)
    assert service.tries == ["a"]
    service.broken = set()
    end(hooks, CELLS[0])
    hooks.call("study_end", study=STUDY)
    assert service.heard == [("a", 1), ("a", 2), ("a", 3), ("a", "interrupted"), "s"]
    assert blamed == ["listener 'tracker' failed in epoch_end: OSError: away"]


def test_it_hears_what_it_missed_with_the_next_event_after_the_pause(service):
    hooks, _ = listening(service, pause=0.0)
    service.broken = {"a"}
    epoch(hooks, CELLS[0], 1)
    service.broken = set()
    epoch(hooks, CELLS[1], 1)
    assert service.heard == [("a", 1), ("b", 1)]


def test_a_cell_that_cannot_be_logged_keeps_no_other_back(service):
    hooks, _ = listening(service, pause=0.0)
    service.broken = {"a"}
    epoch(hooks, CELLS[0], 1)
    epoch(hooks, CELLS[1], 1)
    epoch(hooks, CELLS[1], 2)
    assert service.heard == [("b", 1), ("b", 2)]


def test_a_slow_service_is_left_alone_and_has_what_it_took(service):
    hooks, blamed = listening(service, event=-1.0)
    epoch(hooks, CELLS[0], 1)
    epoch(hooks, CELLS[0], 2)
    assert service.heard == [("a", 1)]
    assert ["the service is slow" in message for message in blamed] == [True]
    hooks.call("study_end", study=STUDY)
    assert service.heard == [("a", 1), ("a", 2), "s"]


def test_a_further_round_is_the_same_study_and_another_name_another(service):
    asked = []
    tracker = Tracker(lambda study: asked.append(study) or service, Patience())
    for study in ("s", "s", "t"):
        tracker.study_start(study)
    assert asked == ["s", "t"]


def test_where_no_service_is_asked_for_nothing_is_kept():
    tracker = Tracker(lambda study: None, Patience())
    tracker.study_start("s")
    tracker.cell_start(CELLS[0], None)
    tracker.epoch_end(CELLS[0], {"epoch": 1})
    tracker.study_end(STUDY)
    assert tracker.logs == {}


def test_names_and_numbers():
    assert numbers({"epoch": 1, "a": 0.5, "b": None, "c": True, "d": 2}) == {"a": 0.5, "d": 2}
    assert len({allowed_name(name, r"[^\w]", 200) for name in ("a/b", "a_b", "a:b", "x" * 300, "x" * 301)}) == 5
    assert allowed_name("fine", r"[^\w]", 200) == "fine"
    assert shown("bell\x07" + "x" * 9000).isprintable()
    assert len(shown("x" * 9000)) == 5000
