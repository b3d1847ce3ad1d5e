"""Tuners: what they draw."""

import numpy as np
import pytest
from scipy import stats

from ablate.components import tuners
from ablate.contracts import Choice, Range, Trial


def draws(domain, count=2000, seed=0, path="a.b"):
    """What is drawn for one path after 0, 1, … trials."""
    suggest = tuners.random({path: domain}, seed=seed)
    trials = [Trial({}, 0.0)] * count
    return [suggest(trials[:number])[path] for number in range(count)]


@pytest.mark.parametrize(
    ("domain", "scale"),
    [(Range(0.5, 2.5), lambda x: (x - 0.5) / 2), (Range(0.001, 10.0, log=True), lambda x: np.log10(x / 0.001) / 4)],
)
def test_every_part_of_a_range_is_as_likely_as_any_other(domain, scale):
    assert stats.kstest(scale(np.array(draws(domain))), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        (Range(3, 7), [3, 4, 5, 6, 7]),
        (Range(8, 30, step=8), [8, 16, 24]),
        (Range(0.1, 0.7, step=0.2), [0.1, 0.3, 0.5, 0.7]),
        (Choice(("a", None, 3)), ["a", None, 3]),
    ],
)
def test_every_step_and_every_choice_is_as_likely_as_any_other(domain, values):
    found = [round(value, 9) if isinstance(value, float) else value for value in draws(domain)]
    assert {type(value) for value in found} == {type(value) for value in values}
    counts = [found.count(value) for value in values]
    assert sum(counts) == len(found)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_whole_numbers_on_a_logarithmic_range():
    found = draws(Range(1, 100, log=True))
    assert set(map(type, found)) == {int}
    assert min(found) == 1
    assert max(found) == 100
    expected = (np.log(10.5) - np.log(0.5)) / (np.log(100.5) - np.log(0.5))
    assert np.mean(np.array(found) <= 10) == pytest.approx(expected, abs=0.04)


def test_draws_depend_on_seed_path_and_trial_and_not_on_other_paths():
    domain = Range(0.0, 1.0)
    assert draws(domain, 5) == draws(domain, 5) != draws(domain, 5, seed=1)
    assert draws(domain, 5) != draws(domain, 5, path="a.c")
    both = tuners.random({"x": domain, "a.b": domain})([])
    assert both["a.b"] == draws(domain, 1)[0]
