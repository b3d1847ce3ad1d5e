"""The time that is left of a run, from how its cells go: on a clock that the tests turn."""

import pytest

from ablate.registry.hooks import CellInfo
from ablate.report import remaining
from ablate.report.remaining import Remaining, makespan


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(remaining.time, "monotonic", lambda: now[0])
    return now


def cells(count, variant="base", epochs=10):
    return [CellInfo(f"{variant} {seed}", (variant,), seed, epochs) for seed in range(count)]


def test_waiting_cells_begin_as_soon_as_a_place_is_free():
    assert makespan([], [], 2) == 0
    assert makespan([5.0, 1.0], [], 2) == 5
    assert makespan([5.0, 1.0], [3.0, 3.0], 2) == 7
    assert makespan([], [4.0, 4.0, 4.0], 2) == 8
    assert makespan([], [4.0, 4.0, 4.0], 3) == 4


def test_nothing_is_said_before_a_cell_tells(clock):
    left = Remaining()
    left.add(cells(2))
    left.begin(cells(2)[0], 0)
    clock[0] += 30
    assert left.seconds() is None


def test_a_part_of_the_first_epoch_tells(clock):
    """What comes before the first batch is no part of an epoch: a worker that starts."""
    left, (one, other) = Remaining(), cells(2)
    left.add([one, other])
    left.begin(one, 0)
    clock[0] += 20  # until it tells for the first time
    left.advance(one, 0.1)
    assert left.seconds() is None, "of 20 s nobody knows how many were the worker's"
    clock[0] += 10
    left.advance(one, 0.3)  # 50 s an epoch
    assert left.seconds() == pytest.approx(9.7 * 50 + 10 * 50)
    clock[0] += 25  # in which nothing was heard
    assert left.seconds() == pytest.approx(9.7 * 50 - 25 + 10 * 50)


def test_each_variant_is_taken_to_be_like_its_own_cells(clock):
    left, slow, fast = Remaining(), cells(2, "slow"), cells(2, "fast")
    left.add([slow[0], fast[0], slow[1], fast[1]])
    for cell, seconds, start in ((slow[0], 100, 40), (fast[0], 10, 0)):
        left.begin(cell, 0)
        clock[0] += seconds + start
        left.end(cell, seconds)
    assert left.seconds() == pytest.approx(110)
    left.add(cells(1, "another"))
    assert left.seconds() == pytest.approx(110 + 55), "of which nothing is known"


def test_cells_beside_each_other_count_once(clock):
    left, some = Remaining(), cells(4)
    left.add(some)
    for cell in some[:2]:
        left.begin(cell, 0)
    clock[0] += 90
    for cell in some[:2]:
        left.end(cell, 60)
    assert left.seconds() == pytest.approx(60), "the 30 s of the workers are over"
    left.begin(some[2], 0)
    clock[0] += 20
    assert left.seconds() == pytest.approx(60)


def test_what_lies_between_two_cells_counts(clock):
    left, some = Remaining(), cells(4)
    left.add(some)
    for cell in some[:2]:
        left.begin(cell, 0)
        clock[0] += 12
        left.end(cell, 10)
    assert left.seconds() == pytest.approx(2 * (10 + 2))


def test_a_second_worker_that_starts_is_not_taken_to_train(clock):
    """It has the start of the first one before it, as far as that is known."""
    left, some = Remaining(), cells(3)
    left.add(some)
    left.begin(some[0], 0)
    left.begin(some[1], 0)
    clock[0] += 15
    left.end(some[0], 10)
    assert left.seconds() == pytest.approx(10), "5 s to start: the second is 0 to 10 s from its end, and the third needs 10"
    left.end(some[1], None)
    left.begin(some[2], 0)
    clock[0] += 4
    assert left.seconds() == pytest.approx(6)


def test_what_ended_long_ago_counts_less(clock):
    """The machine has other things to do from some time on."""
    left, some = Remaining(), cells(40)
    left.add(some)
    for number, cell in enumerate(some[:30]):
        left.begin(cell, 0)
        clock[0] += 10 if number < 15 else 30
        left.end(cell, 10 if number < 15 else 30)
    assert 260 < left.seconds() < 300, "the plain mean would say 200"


def test_a_failed_or_resumed_cell_says_nothing_of_what_lies_between(clock):
    left, some = Remaining(), cells(4)
    left.add(some)
    left.begin(some[0], 0)
    clock[0] += 1
    left.end(some[0], None)
    assert left.seconds() is None
    left.begin(some[1], 8)
    clock[0] += 500
    left.end(some[1], 50)
    left.begin(some[2], 8)
    clock[0] += 10
    left.end(some[2], 50)
    assert left.seconds() == pytest.approx(50), "over all sittings"


def test_a_resumed_cell_is_told_by_the_epochs_of_this_sitting(clock):
    for told in (4, 0):  # by who begins it, or by its first record alone
        left, (one,) = Remaining(), cells(1)
        left.add([one])
        left.begin(one, told)
        clock[0] += 8
        left.advance(one, 4.5)
        clock[0] += 5
        left.advance(one, 5)
        assert left.seconds() == pytest.approx(50)


def test_a_length_that_nobody_knows_is_that_of_finished_cells(clock):
    left, some = Remaining(), cells(3, epochs=None)
    left.add(some)
    left.begin(some[0], 0)
    clock[0] += 3
    left.advance(some[0], 1)
    assert left.seconds() is None
    clock[0] += 37
    left.end(some[0], 40)
    left.begin(some[1], 0)
    clock[0] += 15
    assert left.seconds() == pytest.approx(25 + 40)
