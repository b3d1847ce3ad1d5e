"""The promises of the verdicts on simulated studies: small ones always, those of the documentation with `-m slow`."""

from dataclasses import replace

import pytest
from simulations import (
    COMPARE,
    NOISE,
    PLANTED,
    RULE,
    bootstrap_coverage,
    coverage,
    false_equivalence,
    false_positives,
    planted,
    repeated_coverage,
)

SIZES = [pytest.param(2_000, id="small"), pytest.param(10_000, id="large", marks=pytest.mark.slow)]


@pytest.mark.parametrize("studies", SIZES)
@pytest.mark.parametrize("rule", [None, RULE], ids=["fixed", "rule"])
@pytest.mark.parametrize("paired", [False, True], ids=["independent", "paired"])
@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_false_differences(noise, paired, rule, studies):
    rate = false_positives(noise, studies, replace(COMPARE, paired=paired), rule)
    assert rate.share <= 0.05 + 3 * rate.error
    assert rate.share > 0.01  # or nothing would ever be found


@pytest.mark.parametrize("studies", SIZES)
@pytest.mark.parametrize("rule", [None, RULE], ids=["fixed", "rule"])
def test_false_equivalence(rule, studies):
    rate = false_equivalence(studies, rule)
    assert rate.share <= 0.05 + 3 * rate.error
    assert rate.share > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("rule", [None, RULE], ids=["fixed", "rule"])
def test_the_correction_of_benjamini_and_hochberg(rule):
    """Without any effect, the false discovery rate is the rate of studies with one."""
    rate = false_positives("normal", 10_000, replace(COMPARE, correction="benjamini_hochberg"), rule)
    assert rate.share <= 0.05 + 3 * rate.error


@pytest.mark.parametrize("cases", SIZES)
@pytest.mark.parametrize("n", [3, 5, 10])
def test_coverage_of_t(n, cases):
    exact = coverage("normal", cases, n, paired=True)
    assert exact.share == pytest.approx(0.95, abs=3 * exact.error)
    welch = coverage("normal", cases, n, paired=False)
    assert 0.95 - 3 * welch.error < welch.share < 0.97 + 3 * welch.error
    for noise in NOISE:
        for paired in (False, True):
            rate = coverage(noise, cases, n, paired)
            assert 0.94 - 3 * rate.error < rate.share < 0.975 + 3 * rate.error


def test_coverage_of_the_bootstrap_is_too_low_for_few_seeds():
    shares = [bootstrap_coverage("normal", 500, n, paired=False).share for n in (3, 10)]
    assert 0.7 < shares[0] < 0.87
    assert shares[0] < shares[1] < 0.95


@pytest.mark.parametrize("noise", NOISE)
def test_coverage_of_the_repeated_interval(noise):
    rate = repeated_coverage(noise, 2_000)
    assert rate.share > 0.95


@pytest.mark.parametrize("studies", [pytest.param(1_000, id="small"), pytest.param(4_000, id="large", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("compare", "effects"), [study[1:] for study in PLANTED], ids=[study[0] for study in PLANTED])
def test_planted_effects(compare, effects, studies):
    rows, saved = planted(effects, studies, compare)
    for row in rows:
        assert row.wrong <= 0.05
        assert row.right > 0.75
        assert row.saved > (0.3 if 0.98 < row.right < 1 else 0.1)  # where all are right, the fixed number is a matter of luck
    assert sum(row.saved for row in rows) / len(rows) > 0.27
    assert saved > 0.2
