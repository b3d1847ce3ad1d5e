"""Designs that break their contract."""

import random

CAUGHT = {
    "incomplete": ("test_every_factor_has_a_level_in_every_assignment", "expected ['factor1', 'factor2'"),
    "inventing": ("test_every_factor_has_a_level_in_every_assignment", "factor 'factor1' is at 'other'"),
    "from_the_end": ("test_the_first_assignment_is_the_reference", "See `reference` of DesignContract"),
    "repeating": ("test_no_assignment_is_there_twice", "leave one out"),
    "first_factor_alone": ("test_every_factor_varies", "factor2, factor3, factor4 never varies"),
    "shuffled": ("test_it_is_the_same_every_time", "np.random.default_rng"),
}


def base(factors):
    return {factor.name: factor.base for factor in factors}


def one_at_a_time(factors):
    return [base(factors), *({**base(factors), factor.name: factor.others[0]} for factor in factors)]


def incomplete(factors, /):
    """Only what changes."""
    return [{}, *({factor.name: factor.others[0]} for factor in factors)]


def inventing(factors, /):
    """A level that no factor has."""
    return [base(factors), *({**base(factors), factor.name: "other"} for factor in factors)]


def from_the_end(factors, /):
    """The reference is the last."""
    return one_at_a_time(factors)[::-1]


def repeating(factors, /):
    """The base twice."""
    return [*one_at_a_time(factors), base(factors)]


def first_factor_alone(factors, /):
    """The other factors stay."""
    return one_at_a_time(factors)[:2]


def shuffled(factors, /):
    """Another order each time."""
    first, *others = one_at_a_time(factors * 1)
    return [first, *random.sample(others, len(others)), {**first, factors[0].name: random.choice(factors[0].others)}]
