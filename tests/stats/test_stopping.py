"""The stopping rule: its levels against known distributions, its decisions against what they promise."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablate.stats import comparison
from ablate.stats.stopping import decide, look_level, look_levels, replay, total_level, wanted
from ablate.study import Compare, Stopping

RULE = Stopping(3, 20)
COMPARE = Compare("accuracy", "last", "base")
NAMES = ["base", "a", "b"]


def frame(values):
    rows = [(variant, seed, value) for variant, numbers in values.items() for seed, value in numbers.items()]
    return pd.DataFrame(rows, columns=["variant", "seed", "value"])


def numbers(mean, n, seed, sd=0.01):
    return dict(enumerate(mean + sd * np.random.default_rng(seed).normal(size=n)))


def test_the_first_look_spends_its_share():
    for total in (0.025, 0.00625, 1e-5):
        assert look_level(total, 3, RULE) == pytest.approx(total * (3 / 20) ** 2, rel=0.003)


@pytest.mark.parametrize("total", [0.025, 0.005, 1e-4])
def test_with_many_seeds_the_levels_are_those_of_normal_theory(total):
    """The probability to cross first at the second or at the third of three looks, from the multivariate normal distribution."""
    rule = Stopping(400, 402)
    k = np.array([400, 401, 402])
    correlation = np.sqrt(np.minimum.outer(k, k) / np.maximum.outer(k, k))
    bounds = stats.norm.isf([look_level(total, int(n), rule) for n in k])
    spent = total * (k / 402) ** 2
    stays = [stats.multivariate_normal(cov=correlation[:i, :i], allow_singular=True, seed=0).cdf(bounds[:i]) for i in (1, 2, 3)]
    np.testing.assert_allclose(1 - np.array(stays), spent, rtol=0.02)


@pytest.mark.parametrize("rule", [Stopping(2, 4), RULE], ids=str)
@pytest.mark.parametrize("total", [0.05, 0.0125])
def test_the_levels_hold_for_students_t(rule, total):
    """One-sided t-tests at every look, of 100,000 normal samples: exact, so that only Monte-Carlo error is left."""
    studies = 100_000
    x = np.random.default_rng(0).normal(size=(studies, rule.most))
    crossed = np.zeros(studies, bool)
    for k in range(rule.least, rule.most + 1):
        t = np.sqrt(k) * x[:, :k].mean(1) / x[:, :k].std(1, ddof=1)
        crossed |= stats.t.sf(t, k - 1) <= look_level(total, k, rule)
        spent = total * (k / rule.most) ** 2
        assert crossed.mean() == pytest.approx(spent, abs=4 * np.sqrt(spent / studies))


def test_a_total_level_and_a_looks_level_are_inverse():
    for k in (3, 7, 20):
        for total in (0.3, 0.025, 1e-6):
            assert total_level(look_level(total, k, RULE), k, RULE) == pytest.approx(total, rel=1e-9)
    assert (np.diff(look_levels(RULE), axis=1) > 0).all()


def test_one_look_is_the_fixed_test():
    rng = np.random.default_rng(0)
    values, reference = rng.normal(size=(200, 4, 5)) + 1, rng.normal(size=(200, 5))
    looks = replay(values, reference, np.ones((4, 5), bool), COMPARE, Stopping(5, 5))
    p, _, verdict = comparison.judge(comparison.estimate(values, reference[:, None], False), COMPARE)
    np.testing.assert_allclose(looks.p_adjusted, p, rtol=0.003)
    assert (looks.verdict == verdict).mean() > 0.995  # the levels are interpolated


def test_p_adjusted_is_the_smallest_alpha_that_decides():
    rng = np.random.default_rng(3)
    values, reference = rng.normal(size=(1, 8)) + 2, rng.normal(size=8)
    known = np.ones((1, 8), bool)
    alpha = replay(values, reference, known, COMPARE, RULE).p_adjusted[0]
    assert 1e-6 < alpha < 0.5
    for factor, verdict in ((1.001, "better"), (0.999, "undecided")):
        compare = Compare("accuracy", "last", "base", alpha=alpha * factor)
        assert replay(values, reference, known, compare, RULE).verdict[0] == verdict


def test_the_interval_excludes_zero_where_the_rule_decides_one_comparison():
    rng = np.random.default_rng(0)
    values, reference = rng.normal(size=(500, 1, 20)) + 1.2, rng.normal(size=(500, 20))
    looks = replay(values, reference, np.ones((1, 20), bool), COMPARE, RULE)
    assert {"better", "undecided"} <= set(looks.verdict.ravel())
    assert (looks.low[looks.verdict == "better"] > 0).all()
    assert (looks.low[looks.verdict == "undecided"] < 0).all()


def test_what_is_rejected_passes_its_level_on():
    """The same data of one variant, beside one that is never decided and beside one that is decided soon."""
    rng = np.random.default_rng(2)
    reference, other, unclear, sure = rng.normal(size=(4, 8)) + np.array([[0], [1.3], [0], [20]])
    known = np.ones((2, 8), bool)
    looks = [replay(np.stack([other, x]), reference, known, COMPARE, RULE) for x in (unclear, sure)]
    assert [list(found.verdict) for found in looks] == [["undecided"] * 2, ["undecided", "better"]]
    assert looks[0].p_adjusted[0] == 2 * looks[1].p_adjusted[0] < 1


def test_equivalence_is_decided_in_few_looks():
    values = frame({"base": numbers(0.9, 20, 1), "a": numbers(0.9, 20, 2)})
    compare = Compare("accuracy", "last", "base", margin=0.05)
    found = decide(values, compare, ["base", "a"], RULE, range(20))["a"]
    assert found.verdict == "no meaningful difference"
    assert found.seeds < 8


def test_decisions_stay_as_seeds_are_added():
    everything = {"base": numbers(0.9, 20, 1), "a": numbers(0.92, 20, 2), "b": numbers(0.9, 20, 3)}
    decided = {}
    for n in range(21):
        values = frame({name: {s: v for s, v in found.items() if s < n} for name, found in everything.items()})
        for name, decision in decide(values, COMPARE, NAMES, RULE, range(20)).items():
            assert name not in decided or decision == decided[name]
            assert decision.seeds <= n
            if decision.verdict != "undecided":
                decided[name] = decision
    assert decided.keys() == {"a"}
    assert decided["a"].seeds < 20


def test_wanted_leads_to_the_end_round_by_round():
    everything = {"base": numbers(0.9, 20, 1), "a": numbers(0.92, 20, 2), "b": numbers(0.9, 20, 3)}
    have, seeds, rounds = dict.fromkeys(NAMES, 0), range(20), 0
    while True:
        values = frame({name: {s: everything[name][s] for s in range(n)} for name, n in have.items()})
        want = wanted(values, COMPARE, NAMES, RULE, seeds)
        if want == have:
            break
        assert rounds or want == dict.fromkeys(NAMES, 3)
        have, rounds = want, rounds + 1
    assert rounds == 18  # the first three seeds, then one at a time
    assert have["base"] == have["b"] == 20
    assert have["a"] == decide(values, COMPARE, NAMES, RULE, seeds)["a"].seeds < 20
    assert frame(everything).pipe(wanted, COMPARE, NAMES, RULE, seeds) == have  # what nobody asked for changes nothing


def test_a_look_waits_for_cells_that_have_not_ended_and_not_for_failed_ones():
    found = {"base": numbers(0.9, 5, 1), "a": numbers(0.9, 5, 2), "b": numbers(0.9, 5, 3)}
    del found["b"][4]
    assert {d.seeds for d in decide(frame(found), COMPARE, NAMES, RULE, range(20)).values()} == {4}
    decisions = decide(frame(found), COMPARE, NAMES, RULE, range(20), over={("b", 4)})
    assert {d.seeds for d in decisions.values()} == {5}
    del found["base"][0]
    assert {d.seeds for d in decide(frame(found), COMPARE, NAMES, RULE, range(20)).values()} == {0}


def test_seeds_are_added_in_the_order_of_the_plan():
    seeds = [7, 3, 11, 5]
    found = {name: {s: 0.9 + 0.01 * i for i, s in enumerate(seeds[:3])} for name in NAMES}
    assert decide(frame(found), COMPARE, NAMES, Stopping(3, 4), seeds)["a"].seeds == 3
    assert decide(frame(found), COMPARE, NAMES, Stopping(3, 4), [5, 7, 3, 11])["a"].seeds == 0


@pytest.mark.filterwarnings("error")
def test_values_that_are_not_numbers_and_variants_without_any():
    found = {"base": numbers(0.9, 20, 1), "a": dict.fromkeys(range(20), float("nan")), "b": numbers(1.0, 20, 2)}
    decisions = decide(frame(found), COMPARE, NAMES, RULE, range(20))
    assert (decisions["a"].verdict, decisions["a"].seeds) == ("undecided", 20)
    assert np.isnan(decisions["a"].low)
    assert decisions["b"].verdict == "better"
    assert wanted(frame({}), COMPARE, ["base"], RULE, range(20)) == {"base": 3}


@pytest.mark.parametrize(("margin", "nothing"), [(None, float("nan")), (0.5, 1.0)])
def test_before_a_look_nothing_is_known_and_without_a_margin_nothing_of_equivalence(margin, nothing):
    compare = Compare("accuracy", "last", "base", margin=margin)
    values, (reference,) = np.random.default_rng(0).normal(size=(2, 1, 5))
    few = replay(values[:, :2], reference[:2], np.ones((1, 2), bool), compare, RULE)
    assert few.seeds.dtype == np.int64
    assert (few.verdict.tolist(), few.seeds.tolist(), few.p_adjusted.tolist()) == (["undecided"], [0], [1.0])
    np.testing.assert_equal([few.p_equivalence[0], few.low[0], few.high[0]], [nothing, np.nan, np.nan])
    enough = replay(values, reference, np.ones((1, 5), bool), compare, RULE)
    assert enough.seeds.tolist() == [5]
    assert np.isnan(enough.p_equivalence[0]) == (margin is None)


def test_a_p_value_below_all_levels_has_the_smallest_total():
    from ablate.stats.stopping import TOTALS

    for k in (3, 20):
        assert total_level(0.0, k, RULE) == pytest.approx(TOTALS[0])
        assert total_level(look_levels(RULE)[k - 3][0] * 0.99, k, RULE) == pytest.approx(TOTALS[0])


def test_it_does_not_matter_in_which_order_cells_ended():
    found = frame({"base": numbers(0.9, 9, 1), "a": numbers(0.92, 9, 2), "b": numbers(0.9, 9, 3)})
    shuffled = found.sample(frac=1, random_state=0)
    assert decide(shuffled, COMPARE, NAMES, RULE, range(20)) == decide(found, COMPARE, NAMES, RULE, range(20))
