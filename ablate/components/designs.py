"""Designs: which combinations of levels a study runs.

A factory gets the factors and returns assignments of a level to every factor; the first is the reference.
"""

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Literal

from ablate.records import Assignment, Factor


def one_at_a_time(factors: Sequence[Factor], /) -> list[Assignment]:
    """The base, and the base with one factor changed to each of its other levels."""
    return around(factors, _base(factors))


def leave_one_out(factors: Sequence[Factor], /, *, base: Literal["full", "plain"] = "full") -> list[Assignment]:
    """The full recipe, and the full recipe with each of its changes taken out.

    Args:
        base: What the base is: the `full` recipe, from which each factor takes one thing out; or the `plain` one, to which each
            factor adds one, so that the full recipe is all factors at their first other level.
    """
    full = _base(factors) if base == "full" else _changed(factors)
    return _distinct([*around(factors, full), _base(factors)])


def add_one_in(factors: Sequence[Factor], /, *, base: Literal["full", "plain"] = "full") -> list[Assignment]:
    """The plain recipe, and the plain recipe with each of the changes put in.

    Args:
        base: What the base is: the `full` recipe, from which each factor takes one thing out, so that the plain recipe is all
            factors at their first other level; or the `plain` one, to which each factor adds one.
    """
    plain = _base(factors) if base == "plain" else _changed(factors)
    return _distinct([*around(factors, plain), _base(factors)])


def cumulative(factors: Sequence[Factor], /) -> list[Assignment]:
    """The base, and one factor more at its first other level each time, in the order of the spec."""
    changed = _changed(factors)
    names = [factor.name for factor in factors]
    return [{**_base(factors), **{name: changed[name] for name in names[:count]}} for count in range(len(names) + 1)]


def factorial(factors: Sequence[Factor], /) -> list[Assignment]:
    """Every combination of levels."""
    combinations = product(*([factor.base, *factor.others] for factor in factors))
    return [{factor.name: level for factor, level in zip(factors, levels, strict=True)} for levels in combinations]


def around(factors: Sequence[Factor], centre: Assignment) -> list[Assignment]:
    """`centre`, and `centre` with one factor at each of its other levels."""
    levels = [(factor.name, level) for factor in factors for level in (factor.base, *factor.others)]
    return _distinct([centre, *({**centre, name: level} for name, level in levels)])


def _base(factors: Sequence[Factor]) -> Assignment:
    return {factor.name: factor.base for factor in factors}


def _changed(factors: Sequence[Factor]) -> Assignment:
    return {factor.name: factor.others[0] for factor in factors}


def _distinct(assignments: Iterable[Assignment]) -> list[Assignment]:
    return list({tuple(assignment.items()): assignment for assignment in assignments}.values())
