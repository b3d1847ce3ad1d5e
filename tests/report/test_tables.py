"""Numbers as text."""

import math

import pytest

from ablate.plain import one_line, shorten
from ablate.report.tables import count, decimals, duration, interval, make_table, measured, number, plural, probability


@pytest.mark.parametrize(
    ("values", "digits"),
    [([0.93, 0.5], 4), ([1.0], 4), ([1.21], 3), ([56.3, 0.1], 2), ([1500.0], 0), ([0.05], 5), ([1e-30], 8), ([], 4), ([0.0], 4)],
)
def test_four_digits_are_shown_of_the_largest(values, digits):
    assert decimals([*values, math.nan]) == digits


def test_one_value_has_no_standard_deviation():
    assert measured(0.5, 0.0123, 3) == "0.500 ± 0.012"
    assert measured(0.5, math.nan, 3) == "0.500"
    assert measured(math.nan, math.nan, 3) == "–"


def test_p_values_are_never_zero():
    assert [probability(p) for p in (0.0, 0.00099, 0.001, 0.0456, 1.0, math.nan)] == [
        "< 0.001",
        "< 0.001",
        "0.001",
        "0.046",
        "1.000",
        "–",
    ]


def test_intervals_need_both_ends():
    assert interval(-0.01234, 0.5, 3) == "[-0.012, +0.500]"
    assert interval(math.nan, 0.5, 3) == interval(0.5, math.nan, 3) == number(math.nan, ".1f") == "–"


def test_counts_and_times_read_as_people_say_them():
    assert [duration(s) for s in (0.84, 59.4, 80, 3700, math.nan)] == ["0.8 s", "59 s", "1 min 20 s", "1 h 1 min", "–"]
    assert [plural(n, "cell") for n in (0, 1, 1234)] == ["0 cells", "1 cell", "1,234 cells"]
    assert count({"n": 3, "failed": 1, "diverged": 0, "missing": 2}) == "3 (1 failed, 2 missing)"
    assert count({"n": 3, "failed": 0, "diverged": 4, "missing": 0}) == "3 (4 diverged)"
    assert count({"n": 3, "failed": 0, "diverged": 0, "missing": 0}) == "3"


def test_columns_that_say_nothing_are_left_out():
    table = make_table(["a", "b", "c", "d"], [["x", "–", "", "1"], ["y", "", "–", "–"]], ["c"])
    assert table.headings == ("a", "d")
    assert table.rows == (("x", "1"), ("y", "–"))
    assert table.without(["a"]).rows == (("1",), ("–",))


def test_a_line_has_no_control_characters():
    assert one_line(" a\x1b[1m\r\n\tb\u202e\ud800 ") == "a�[1m b��"
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("abcd", 4) == "abcd"
