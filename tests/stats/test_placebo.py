"""The A/A study."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from ablate.stats.placebo import PARTITIONS, false_positive_rate
from ablate.study import Compare

COMPARE = Compare("accuracy", "last", "base")


def test_few_values_are_shared_out_in_all_ways():
    values = np.array([1.0, 1.1, 1.2, 2.0, 2.1, 2.2, 2.3, 2.4])
    found = false_positive_rate(values, 2, 4, COMPARE)
    wrong = sum(
        stats.ttest_ind(values[list(chosen)], np.delete(values, chosen), equal_var=False).pvalue < 0.05
        for chosen in combinations(range(8), 4)
    )
    assert (found.studies, found.false) == (70, wrong)
    assert found.low == found.rate == found.high == wrong / 70
    assert found.verdicts == ("better",)


def test_many_values_are_shared_out_at_random():
    values = np.random.default_rng(0).normal(size=25)
    found = false_positive_rate(values, 5, 5, COMPARE)
    assert found == false_positive_rate(values, 5, 5, COMPARE)
    assert found.studies == PARTITIONS
    assert found.low < found.rate < found.high < 0.06
    assert len(found.verdicts) == 4


def test_the_rate_follows_alpha():
    values = np.random.default_rng(0).normal(size=25)
    rates = [false_positive_rate(values, 5, 5, Compare("a", "last", "r", alpha=alpha)).rate for alpha in (0.01, 0.05, 0.3)]
    assert rates[0] < rates[1] < rates[2]
    assert 0.15 < rates[2] < 0.35


def test_pairs_and_missing_values_are_judged_as_in_a_study():
    values = np.random.default_rng(0).normal(size=24)
    values[3] = np.nan
    found = false_positive_rate(values, 3, 8, Compare("a", "last", "r", paired=True))
    assert 0 < found.rate < 0.08


def test_values_that_cannot_be_shared_out():
    with pytest.raises(ValueError, match="7 values cannot be shared out to 2 groups of 4"):
        false_positive_rate([1.0] * 7, 2, 4, COMPARE)
    with pytest.raises(ValueError, match="at least 2 groups"):
        false_positive_rate([1.0] * 4, 1, 4, COMPARE)
