"""Designs: which combinations of levels they run."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from ablate.components import designs
from ablate.contracts import Factor
from ablate.errors import SpecError
from ablate.plan import make_plan
from ablate.registry import default
from ablate.spec import load


def factors_of(size, levels=2):
    return [Factor(f"f{i}", "off", tuple(f"on{level}" for level in range(1, levels))) for i in range(size)]


def signs(assignments):
    """`[variants, factors]`: 1 at the base, -1 at the other level."""
    return np.array([[1 if level == "off" else -1 for level in assignment.values()] for assignment in assignments])


def resolution(table):
    """The smallest number of columns whose product is constant (Montgomery, 8th ed., 8.2), by trying all of them up to five."""
    for size in range(1, 6):
        for some in combinations(range(table.shape[1]), size):
            if abs(table[:, list(some)].prod(axis=1).sum()) == len(table):
                return size
    return 6


@pytest.mark.parametrize("orders", [0, 1, 4])
def test_cumulative_walks_along_random_orders_too(orders):
    factors = factors_of(5)
    walks = [tuple(range(5)), *designs.random_orders(5, orders, seed=3)]
    assert len(set(walks)) == orders + 1
    found = [frozenset(np.flatnonzero(row < 0)) for row in signs(designs.cumulative(factors, orders=orders, seed=3))]
    assert len(set(found)) == len(found)
    assert set(found) == {frozenset(walk[:size]) for walk in walks for size in range(6)}
    assert found[:6] == [frozenset(range(size)) for size in range(6)]


def test_cumulative_with_all_orders_is_the_factorial():
    factors = factors_of(3, levels=3)
    first_levels = [Factor(factor.name, factor.base, factor.others[:1]) for factor in factors]
    found = designs.cumulative(factors, orders=100)
    assert sorted(map(str, found)) == sorted(map(str, designs.factorial(first_levels)))


def test_random_orders_depend_on_the_seed_alone():
    assert designs.random_orders(6, 5, 1) == designs.random_orders(6, 5, 1) != designs.random_orders(6, 5, 2)
    assert designs.random_orders(6, 8, 1)[:5] == designs.random_orders(6, 5, 1)


def test_random_orders_are_equally_likely():
    drawn = [designs.random_orders(3, 1, seed)[0] for seed in range(1000)]
    counts = np.unique(drawn, axis=0, return_counts=True)[1]
    assert len(counts) == 5
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("factors", "wanted", "runs"),
    # Montgomery, Design and Analysis of Experiments, 8th ed., table 8.14
    [
        (3, 3, 4),
        (5, 3, 8),
        (7, 3, 8),
        (11, 3, 16),
        (15, 3, 16),
        (4, 4, 8),
        (7, 4, 16),
        (8, 4, 16),
        (5, 5, 16),
        (8, 5, 64),
        (9, 5, 128),
    ],
)
def test_fractions_have_their_resolution_and_size(factors, wanted, runs):
    table = signs(designs.screening(factors_of(factors), resolution=wanted))
    assert len(np.unique(table, axis=0)) == len(table) == runs
    assert resolution(table) >= wanted
    assert (table[0] == 1).all()


@pytest.mark.parametrize(("factors", "wanted", "found"), [(5, 4, 5), (4, 3, 4), (8, 3, 4), (9, 3, 3), (6, 4, 4)])
def test_a_higher_resolution_is_taken_where_it_costs_nothing(factors, wanted, found):
    assert resolution(signs(designs.screening(factors_of(factors), resolution=wanted))) == found


@pytest.mark.parametrize(
    ("factors", "runs"), [(2, 4), (3, 4), (4, 8), (8, 12), (11, 12), (15, 16), (19, 20), (23, 24), (24, 32), (27, 32), (36, 40)]
)
def test_plackett_burman_designs_are_orthogonal_and_small(factors, runs):
    table = signs(designs.screening(factors_of(factors), method="plackett_burman"))
    assert len(np.unique(table, axis=0)) == len(table) == runs
    np.testing.assert_array_equal(table.T @ table, runs * np.eye(factors))
    assert (table.sum(axis=0) == 0).all()
    assert (table[0] == 1).all()


@pytest.mark.parametrize(
    ("design", "factors", "messages"),
    [
        ({"resolution": 5}, 4, ["at least 5 factors", "there are 4", "resolution 4", "all 16 combinations"]),
        ({}, 2, ["resolution 4", "the design 'factorial'"]),
        ({"method": "plackett_burman", "resolution": 3}, 4, ["leave out 'resolution'"]),
        ({"resolution": 6}, 8, ["design.resolution"]),
        ({"method": "taguchi"}, 8, ["design.method"]),
    ],
)
def test_designs_that_do_not_exist_are_refused(spec, design, factors, messages):
    levels = {f"f{i}": {"on": {"optimizer": {"lr": 0.1 + i}}} for i in range(factors)}
    with pytest.raises(SpecError) as error:
        make_plan(load(spec | {"factors": levels, "design": {"use": "screening", **design}}), default())
    for message in messages:
        assert message in str(error.value)


def test_screening_wants_two_levels():
    with pytest.raises(ValueError, match="'f0', 'f1'"):
        designs.screening(factors_of(2, levels=3))


def test_the_plan_of_a_screening_has_the_base_as_its_reference(spec):
    levels = {
        "batch_norm": {"on": {"model": {"batch_norm": True}}},
        "rate": {"low": {"optimizer": {"lr": 0.01}}},
        "long": {"yes": {"epochs": 3}},
    }
    plan = make_plan(load(spec | {"factors": levels, "design": {"use": "screening", "resolution": 3}}), default())
    names = [variant.name for variant in plan.variants]
    assert names == ["base", "rate=low,long=yes", "batch_norm=on,long=yes", "batch_norm=on,rate=low"]
    assert plan.design == {"use": "ablate-core:screening", "method": "fractional_factorial", "resolution": 3}
    assert plan.compare.reference == "base"
