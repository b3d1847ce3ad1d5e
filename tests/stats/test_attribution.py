"""Shapley values and their intervals, against definitions and hand-written formulas."""

import math
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from coverage_of_shares import coverage, factors_of, game_of, mean, noisy, of_shares, shapley, study_of, uneven
from scipy import stats

from ablate.components import designs
from ablate.stats import attribution as module
from ablate.stats.attribution import attribution


def shares(found):
    return [share.value for share in found.shares]


def table_of(size, seed=0):
    """A random number for every subset of so many factors: interactions of all orders."""
    return np.random.default_rng(seed).normal(size=[2] * size)


def value_in(table):
    return lambda levels, seed: float(table[tuple(int(level[-1]) for level in levels.values())])


def brings(table, order):
    """What each factor brings where they are added in this order, by the factor."""
    place, before, found = [0] * len(order), table[(0,) * len(order)], [0.0] * len(order)
    for factor in order:
        place[factor] = 1
        found[factor] = table[tuple(place)] - before
        before = table[tuple(place)]
    return found


def by_definition(table):
    """Shapley values as the mean over all orders (Shapley, 1953)."""
    return np.mean([brings(table, order) for order in permutations(range(table.ndim))], axis=0)


def through(assignments, size):
    """All orders whose every step is between two of these combinations."""
    there = {tuple(int(level[-1]) for level in levels.values()) for levels in assignments}
    sets = lambda order: (tuple(int(factor in order[:count]) for factor in range(size)) for count in range(size + 1))  # noqa: E731
    return [order for order in permutations(range(size)) if there.issuperset(sets(order))]


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_all_combinations_give_exact_shapley_values(size):
    factors, table = factors_of(*[2] * size), table_of(size)
    found = attribution(study_of(factors, designs.factorial(factors), value_in(table), design={"base": "plain"}))
    assert (found.method, found.orders) == ("shapley", math.factorial(size))
    np.testing.assert_allclose(shares(found), by_definition(table), rtol=0, atol=1e-9)
    assert found.gain == pytest.approx(table[(1,) * size] - table[(0,) * size], abs=1e-12)
    assert sum(shares(found)) == pytest.approx(found.gain, abs=1e-9)


def test_twelve_factors():
    factors = factors_of(*[2] * 12)
    game = game_of(factors, np.random.default_rng(0))
    study = study_of(factors, designs.factorial(factors), lambda levels, seed: mean(game, levels), design={"base": "plain"})
    np.testing.assert_allclose(shares(attribution(study)), [shapley(game, factor.name) for factor in factors], rtol=0, atol=1e-9)


def test_one_order_gives_the_differences_along_it():
    factors, table = factors_of(2, 2, 2, 2), table_of(4)
    found = attribution(study_of(factors, designs.cumulative(factors), value_in(table), design={"base": "plain"}))
    assert (found.method, found.orders) == ("given order", 1)
    np.testing.assert_allclose(shares(found), brings(table, range(4)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lost", [[], ["a1,b0,c0,d0"], ["a1,b1,c0,d0", "a0,b1,c1,d0", "a0,b0,c0,d1"]])
def test_other_variants_give_the_mean_over_all_orders_through_them(lost):
    factors, table = factors_of(2, 2, 2, 2), table_of(4)
    some = [levels for levels in designs.factorial(factors) if ",".join(levels.values()) not in ["a0,b1,c0,d1", *lost]]
    found = attribution(study_of(factors, some, value_in(table), design={"base": "plain"}))
    orders = through(some, 4)
    assert (found.method, found.orders) == ("sampled orders", len(orders))
    np.testing.assert_allclose(shares(found), np.mean([brings(table, order) for order in orders], axis=0), rtol=0, atol=1e-12)


def test_shares_of_drawn_orders_are_unbiased(monkeypatch):
    """The mean over all samples of two orders that can be drawn is the Shapley value, with the given order in all of them."""
    factors, table = factors_of(2, 2, 2, 2), table_of(4)
    others = list(permutations(range(4)))[1:]
    found = []
    for drawn in combinations(others, 2):
        monkeypatch.setattr(module, "random_orders", lambda *_, drawn=drawn: list(drawn))
        monkeypatch.setattr(designs, "random_orders", lambda *_, drawn=drawn: list(drawn))
        spec = {"orders": 2, "seed": 0}
        study = study_of(factors, designs.cumulative(factors, **spec), value_in(table), design={"base": "plain", **spec})
        result = attribution(study)
        assert (result.method, result.orders) == ("sampled orders", 3)
        assert sum(shares(result)) == pytest.approx(result.gain, abs=1e-9)
        found.append(shares(result))
    np.testing.assert_allclose(np.mean(found, axis=0), by_definition(table), rtol=0, atol=1e-9)
    assert np.std(found, axis=0).min() > 0.1


def test_the_interval_of_drawn_orders_has_their_variance():
    """Without noise it is that of a stratified sample without replacement (Cochran, Sampling Techniques, 3rd ed.)."""
    factors, table = factors_of(2, 2, 2, 2), table_of(4)
    spec = {"orders": 6, "seed": 5}
    study = study_of(factors, designs.cumulative(factors, **spec), value_in(table), seeds=2, design={"base": "plain", **spec})
    each = np.array([brings(table, order) for order in designs.random_orders(4, 6, 5)])
    part = 23 / 24
    value = part * each.mean(axis=0) + (1 - part) * np.array(brings(table, range(4)))
    half = stats.t.isf(0.025, 5) * part * np.sqrt(each.var(axis=0, ddof=1) / 6 * (1 - 6 / 23))
    found = attribution(study)
    np.testing.assert_allclose(shares(found), value, rtol=0, atol=1e-9)
    np.testing.assert_allclose([share.high for share in found.shares], value + half, rtol=0, atol=1e-9)
    np.testing.assert_allclose([share.low for share in found.shares], value - half, rtol=0, atol=1e-9)


def test_drawn_orders_of_which_a_variant_failed_give_way_to_all_that_are_left():
    factors, table = factors_of(2, 2, 2, 2), table_of(4)
    spec = {"orders": 3, "seed": 1}
    assignments = designs.cumulative(factors, **spec)
    lost = assignments[-2]
    value = lambda levels, seed: np.nan if levels == lost else value_in(table)(levels, seed)  # noqa: E731
    found = attribution(study_of(factors, assignments, value, design={"base": "plain", **spec}))
    left = [brings(table, order) for order in through([levels for levels in assignments if levels != lost], 4)]
    np.testing.assert_allclose(shares(found), np.mean(left, axis=0), rtol=0, atol=1e-9)


def test_intervals_of_independent_seeds_are_welchs():
    factors = factors_of(2, 2)
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(2, 2, 6)) * np.array([[1, 2], [3, 4]])[..., None]
    cells[1, 0, 4:] = np.nan  # two cells failed
    value = lambda levels, seed: cells[int(levels["a"][-1]), int(levels["b"][-1]), seed]  # noqa: E731
    found = attribution(study_of(factors, designs.factorial(factors), value, 6, {"base": "plain"}, alpha=0.1))
    n = np.array([6, 6, 4, 6])
    means, variances = (
        np.array([f(cell[~np.isnan(cell)]) for cell in cells.reshape(4, 6)]) for f in (np.mean, lambda x: x.var(ddof=1))
    )
    for share, weights in zip(found.shares, ([-0.5, -0.5, 0.5, 0.5], [-0.5, 0.5, -0.5, 0.5]), strict=True):
        parts = np.square(weights) * variances / n
        half = stats.t.isf(0.05, parts.sum() ** 2 / np.sum(parts**2 / (n - 1))) * np.sqrt(parts.sum())
        expected = [means @ weights, means @ weights - half, means @ weights + half]
        np.testing.assert_allclose([share.value, share.low, share.high], expected, rtol=0, atol=1e-9)
    welch = stats.ttest_ind(cells[1, 1], cells[0, 0], equal_var=False).confidence_interval(0.9)
    np.testing.assert_allclose([found.low, found.high], welch, rtol=0, atol=1e-9)


def test_intervals_of_seeds_that_pair_are_students_on_the_shares_of_each_seed():
    factors = factors_of(2, 2, 2)
    tables = np.random.default_rng(0).normal(size=(5, 2, 2, 2)) + np.arange(5)[:, None, None, None]
    tables[3, 1, 0, 1] = np.nan  # the cell failed, so that its seed has no shares
    study = study_of(
        factors,
        designs.factorial(factors),
        lambda levels, seed: value_in(tables[seed])(levels, seed),
        5,
        {"base": "plain"},
        paired=True,
    )
    found = attribution(study)
    each = np.array([by_definition(tables[seed]) for seed in (0, 1, 2, 4)])
    np.testing.assert_allclose(shares(found), each.mean(axis=0), rtol=0, atol=1e-9)
    assert sum(shares(found)) == pytest.approx(found.gain, abs=1e-9)
    for share, values in zip(found.shares, each.T, strict=True):
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        np.testing.assert_allclose([share.low, share.high], expected, rtol=0, atol=1e-9)
    gains = stats.ttest_1samp(each.sum(axis=1), 0).confidence_interval(0.95)
    np.testing.assert_allclose([found.low, found.high], gains, rtol=0, atol=1e-9)


def test_one_seed_gives_shares_without_intervals():
    factors, table = factors_of(2, 2, 2), table_of(3)
    for paired in (False, True):
        found = attribution(study_of(factors, designs.factorial(factors), value_in(table), paired=paired))
        assert np.isnan([found.low, found.high, *(end for share in found.shares for end in (share.low, share.high))]).all()
        assert sum(shares(found)) == pytest.approx(found.gain, abs=1e-9)


@pytest.mark.parametrize("paired", [False, True])
def test_seeds_that_all_give_the_same_tell_no_width(paired):
    factors, table = factors_of(2, 2), table_of(2)
    found = attribution(study_of(factors, designs.factorial(factors), value_in(table), seeds=3, paired=paired))
    assert np.isnan([found.low, found.high, *(end for share in found.shares for end in (share.low, share.high))]).all()


@pytest.mark.parametrize(
    ("design", "goal", "plain", "full", "gain"),
    [
        ({"base": "plain"}, "maximize", "a0,b0", "a1,b1", -3.0),
        ({"base": "full"}, "maximize", "a1,b1", "a0,b0", 3.0),
        ({"use": "factorial"}, "maximize", "a0,b0", "a1,b1", -3.0),
        (None, "minimize", "a0,b0", "a1,b1", -3.0),
    ],
)
def test_the_full_recipe_is_what_the_design_says_or_to_what_the_factors_lead(design, goal, plain, full, gain):
    factors, table = factors_of(2, 2), np.array([[1.0, 0.0], [0.5, -2.0]])
    found = attribution(study_of(factors, designs.factorial(factors), value_in(table), design=design, goal=goal))
    assert (found.plain, found.full, found.gain) == (plain, full, gain)
    np.testing.assert_allclose(shares(found), by_definition(table) * np.sign(gain) * -1, rtol=0, atol=1e-12)


def sure_of(values, **others):
    """A 2 × 2 study with these means, and so little noise that all is beyond it."""
    noise = np.array([-1e-3, 0, 1e-3])
    factors = factors_of(2, 2)
    cells = lambda levels, seed: value_in(np.array(values))(levels, seed) + noise[(seed + len(levels["a"])) % 3]  # noqa: E731
    return attribution(study_of(factors, designs.factorial(factors), cells, 3, **others))


def test_percentages_are_of_a_gain_beyond_its_noise():
    found = sure_of([[0.0, 1.0], [2.0, 4.0]])
    np.testing.assert_allclose([share.percent for share in found.rows], [62.5, 37.5, 100], rtol=0, atol=1e-9)
    found = sure_of([[0.0, -1.0], [1.0, 0.0]])
    assert found.shares[0].sure
    assert np.isnan([share.percent for share in found.rows]).all()


@pytest.mark.parametrize("gain", [0.0, 1e-17, -1e-17, 1e-4])
def test_a_gain_near_nothing_has_no_percentages(gain):
    found = sure_of([[0.0, 0.5], [-0.5, gain]])
    assert np.isnan([share.percent for share in found.rows]).all()


def test_without_intervals_there_are_no_percentages():
    factors, table = factors_of(2, 2), table_of(2)
    found = attribution(study_of(factors, designs.factorial(factors), value_in(table)))
    assert np.isnan([share.percent for share in found.rows]).all()


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("base", ["plain", "full"])
def test_what_is_added_last_is_the_full_recipe_less_the_one_without(base, paired):
    factors = factors_of(2, 2, 2)
    cells = np.random.default_rng(0).normal(size=(2, 2, 2, 5))
    value = lambda levels, seed: cells[tuple(int(level[-1]) for level in levels.values())][seed]  # noqa: E731
    study = study_of(factors, designs.factorial(factors), value, 5, {"base": base}, alpha=0.1, paired=paired)
    full = (1, 1, 1) if base == "plain" else (0, 0, 0)
    for index, share in enumerate(attribution(study).shares):
        without = tuple(1 - level if place == index else level for place, level in enumerate(full))
        x, y = cells[full], cells[without]
        test = stats.ttest_rel(x, y) if paired else stats.ttest_ind(x, y, equal_var=False)
        expected = [x.mean() - y.mean(), *test.confidence_interval(0.9)]
        np.testing.assert_allclose([share.last, share.last_low, share.last_high], expected, rtol=0, atol=1e-9)


def test_what_was_not_left_out_is_not_known():
    factors, table = factors_of(2, 2, 2), table_of(3)
    found = attribution(study_of(factors, designs.cumulative(factors), value_in(table), design={"base": "plain"}))
    assert np.isnan([share.last for share in found.shares]).tolist() == [True, True, False]
    assert found.shares[2].last == pytest.approx(found.shares[2].value, abs=1e-12)


def test_a_share_that_the_full_recipe_does_not_miss_is_a_contradiction():
    """b does what a does, so that a brings 1 alone and costs 0.2 beside b."""
    found = sure_of([[0.0, 1.0], [1.0, 0.8]])
    assert [share.contradicted for share in found.shares] == [True, True]
    np.testing.assert_allclose([share.last for share in found.shares], [-0.2, -0.2], rtol=0, atol=1e-9)
    assert not any(share.contradicted for share in sure_of([[0.0, 1.0], [1.0, 2.0]]).shares)
    assert [share.contradicted for share in sure_of([[0.0, -1.0], [-1.0, -0.8]]).shares] == [True, True]


def test_further_levels_take_no_part():
    factors = factors_of(3, 2, 4)
    table = np.random.default_rng(0).normal(size=(3, 2, 4))
    found = attribution(study_of(factors, designs.factorial(factors), value_in(table), design={"base": "plain"}))
    np.testing.assert_allclose(shares(found), by_definition(table[:2, :2, :2]), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("levels", "design"),
    [
        ((2,), designs.factorial),
        ((2, 2), designs.one_at_a_time),
        ((2, 2, 2), designs.leave_one_out),
        ((2, 2, 2), lambda factors: designs.screening(factors, resolution=3)),
        ((2, 2, 2), lambda factors: designs.factorial(factors)[1:]),
    ],
)
def test_nothing_is_divided_where_no_order_leads_from_end_to_end(levels, design):
    factors = factors_of(*levels)
    assert attribution(study_of(factors, design(factors), lambda levels, seed: 1.0)) is None


def test_nothing_is_divided_where_no_seed_has_all_variants():
    factors = factors_of(2, 2)
    study = study_of(
        factors, designs.factorial(factors), lambda levels, seed: np.nan if (levels["a"] == "a1") == seed else 1.0, 2, paired=True
    )
    assert attribution(study) is None


def test_the_same_study_gives_the_same_numbers_in_any_order_of_its_cells():
    factors = factors_of(2, 2, 2)
    rng = np.random.default_rng(0)
    study = study_of(factors, designs.factorial(factors), noisy(game_of(factors, rng), rng, uneven), 4)
    before = attribution(study)
    assert attribution(replace(study, cells=study.cells.sort_values("accuracy"))) == before


@pytest.mark.parametrize(("seed_sd", "orders"), [(0.0, None), (1.0, None), (0.0, 10)])
def test_intervals_contain_the_truth_as_often_as_they_say(seed_sd, orders):
    """The intervals of a study share its noise, so that the number of studies bounds the Monte-Carlo error."""
    studies, size = 150, 5 if orders else 3
    found = of_shares(studies, size, 3, orders, seed_sd=seed_sd)
    assert stats.binom.ppf(0.001, studies, 0.95) / studies <= found <= 0.99


@pytest.mark.slow
def test_coverage():
    """Within two points of 95 %, and of Monte-Carlo error."""
    found = coverage(1000)
    error = 3.3 * math.sqrt(0.95 * 0.05 / 1000)
    assert {name: rate for name, rate in found.items() if abs(rate - 0.95) > 0.02 + error} == {}
