"""What stands beside a verdict."""

import math

import pytest

from ablate.stats.effects import effects
from ablate.stats.wording import robust, seeds, verdict


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ((None, None, False), ""),
        ((24, 180, True), "24–180 seeds, or never"),
        ((24, None, True), "24 seeds or more, or never"),
        ((24, 1800, False), "24–1,800 seeds"),
        ((24, 24, False), "24 seeds"),
    ],
)
def test_seeds(told, words):
    assert seeds(*told) == words


def test_all_that_a_reader_must_know_stands_beside_the_verdict(make_study):
    nan = float("nan")
    values = {
        "base": [0.90, 0.91, 0.89, 0.90, None],
        "big": [0.97, nan, 0.98, nan, 0.976],
        "wild": [0.70, 0.99, 0.80, 0.95, 0.60],
        "sure": [0.97, 0.98, 0.97, 0.98, 0.97],
    }
    found = {effect.variant: verdict(effect) for effect in effects(make_study(values))}
    of_base = "of the reference, 1 of 5 runs failed"
    assert found["big"] == f"undecided (better where it trains; 2 of 5 runs without a value; {of_base})"
    assert found["wild"].startswith(f"undecided ({of_base}; ")
    assert ", or never; sd ratio " in found["wild"]
    assert found["wild"].rpartition("; ")[2].startswith("robust p ")
    assert found["sure"] == f"better ({of_base})"


def test_a_decision_whose_interval_touches_zero_says_why(make_study):
    base = [0.890, 0.910, 0.895, 0.905, 0.900]
    some = [0.016 + value for value in base]
    values = {"base": base, **{f"far {i}": [i / 20 + value for value in base] for i in range(1, 6)}, "near": some}
    found = {effect.variant: effect for effect in effects(make_study(values))}
    assert found["near"].low < 0 < found["near"].pointwise_low
    assert verdict(found["near"]) == "better (by the steps of Holm)"
    assert verdict(found["far 1"]) == "better"


def test_robust_p():
    class Told:
        p_robust = math.nan

    assert robust(Told()) == "no robust p"
    Told.p_robust = 1e-5
    assert robust(Told()) == "robust p < 0.001"
