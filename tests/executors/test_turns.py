"""Cells that take turns in one worker, and a device that breaks under them."""

import io
import json
import threading

import pytest

from ablate.executors import training, worker

BROKEN = {"event": "failed", "error": "an illegal memory access", "traceback": "…", "memory": False, "broken": True}


@pytest.fixture
def heard(monkeypatch):
    """What two cells tell whose device breaks under the second one while the first says `last`, and how the worker ends."""

    class Ended(BaseException):
        pass

    def end(code):
        raise Ended(code)

    def heard(last):
        cells, out = {}, io.StringIO()
        told = {"one": [None, *last], "other": [None, None, BROKEN]}
        monkeypatch.setattr(training, "messages", lambda order, stop: iter(told[order["cell"]["key"]]))
        monkeypatch.setattr(worker.os, "_exit", end)
        for key in told:
            order = {"cell": {"key": key}, "device": "cpu"}
            cells[key] = worker._cell(order, threading.Event(), out, cells.__len__)
        with pytest.raises(Ended) as ended:
            while cells:
                worker.take_turns(cells)
        assert ended.value.args == (worker.BROKEN,)
        return [(message["key"], message["event"]) for message in map(json.loads, out.getvalue().splitlines())]

    return heard


@pytest.mark.parametrize("event", worker.ENDS)
def test_a_cell_that_just_ended_is_beside_nobody(heard, event):
    """The driver knows of one cell then, so that cell has to say what broke."""
    assert heard([None, {"event": event}]) == [("one", event), ("other", "failed")]
    assert heard([{"event": event}]) == [("one", event), ("other", "failed")]


def test_where_two_are_trained_nobody_knows_whose_it_was(heard):
    assert heard([None, None, {"event": "done"}]) == []
