"""Designs: which combinations of levels a study runs.

A factory gets the factors and returns assignments of a level to every factor; the first is the reference.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import permutations, product
from typing import TYPE_CHECKING, Annotated, Literal

from ablate.contracts import MOST_VARIANTS, Assignment, Factor
from ablate.registry.params import Bound, NonNegativeInt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Orders = Annotated[int, Bound(minimum=0, maximum=1000)]


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


def cumulative(factors: Sequence[Factor], /, *, orders: Orders = 0, seed: NonNegativeInt = 0) -> list[Assignment]:
    """The base, and one factor more at its first other level each time, in the order of the spec and in random orders.

    With random orders, what each factor brings is told apart from its place in the order (Castro et al., 2009,
    doi:10.1016/j.cor.2008.04.004).

    Args:
        orders: Random orders beside the one of the spec, no two of them the same; all that exist where there are no more.
        seed: Which random orders.
    """
    base, changed = _base(factors), _changed(factors)
    walks = [range(len(factors)), *random_orders(len(factors), orders, seed)]
    names = [[factors[index].name for index in walk] for walk in walks]
    return _distinct({**base, **{name: changed[name] for name in walk[:size]}} for walk in names for size in range(len(walk) + 1))


def random_orders(size: int, orders: int, seed: int) -> list[tuple[int, ...]]:
    """Distinct orders of `range(size)` other than itself, each as likely as any; all of them where `orders` asks for more."""
    given = tuple(range(size))
    if orders >= math.factorial(size) - 1:
        return list(permutations(given))[1:]
    import numpy as np

    rng = np.random.default_rng(seed)
    drawn = {given: None}
    while len(drawn) <= orders:
        drawn[tuple(rng.permutation(size).tolist())] = None
    return list(drawn)[1:]


def factorial(factors: Sequence[Factor], /) -> list[Assignment]:
    """Every combination of levels.

    Raises:
        ValueError: There are more of them than a study can have.
    """
    count = math.prod(1 + len(factor.others) for factor in factors)
    if count > MOST_VARIANTS:
        raise ValueError(
            f"the factors have {count:,} combinations, and a study has at most {MOST_VARIANTS:,} variants: leave out some, or "
            "choose the design 'screening' or 'one_at_a_time'"
        )
    combinations = product(*([factor.base, *factor.others] for factor in factors))
    return [{factor.name: level for factor, level in zip(factors, levels, strict=True)} for levels in combinations]


def screening(
    factors: Sequence[Factor],
    /,
    *,
    method: Literal["fractional_factorial", "plackett_burman"] = "fractional_factorial",
    resolution: Literal[3, 4, 5] | None = None,
) -> list[Assignment]:
    """A few of the combinations of two-level factors, chosen so that every main effect is measured by all cells.

    Both methods are those of pyDOE. +1 in its tables is the base here, since the run with +1 everywhere is part of each.

    Args:
        method: `fractional_factorial`, the smallest of the resolution (Box and Hunter, 1961, doi:10.1080/00401706.1961.10489951),
            or `plackett_burman`, with as many combinations as the next multiple of four above the number of factors that has a
            known table (Plackett and Burman, 1946, doi:10.1093/biomet/33.4.305).
        resolution: What a fractional factorial has at least, 4 unless given. 3: main effects are aliases of interactions of two
            factors; 4: only of larger ones; 5: interactions of two factors are no aliases of each other either.

    Raises:
        ValueError: A factor has more than two levels, or the factors are too few for the resolution.
    """
    many = [repr(factor.name) for factor in factors if len(factor.others) > 1]
    if many:
        raise ValueError(f"screening compares two levels of each factor, and there are more of {', '.join(many)}: remove some")
    if method == "plackett_burman":
        if resolution is not None:
            raise ValueError("a Plackett-Burman design always has resolution 3: leave out 'resolution'")
        signs = _plackett_burman(len(factors))
    else:
        signs = _fraction(len(factors), resolution or 4)
    pairs = [{1: factor.base, -1: factor.others[0]} for factor in factors]
    rows = [[pair[int(sign)] for pair, sign in zip(pairs, row, strict=True)] for row in signs[::-1]]  # the last is all +1
    return _distinct(dict(zip((factor.name for factor in factors), row, strict=True)) for row in rows)


def _fraction(size: int, resolution: int) -> "npt.NDArray[np.float64]":
    import pydoe  # type: ignore[import-untyped]  # half a second that only this design has to spend

    if size < resolution:
        possible = f"choose resolution {size}, or" if size >= 3 else "choose"
        raise ValueError(
            f"a fraction of resolution {resolution} needs at least {resolution} factors, and there are {size}: "
            f"{possible} the design 'factorial', which has all {2**size} combinations"
        )
    tables: list[npt.NDArray[np.float64]] = [pydoe.fracfact_by_res(size, at) for at in range(resolution, min(size, 5) + 1)]
    return [table for table in tables if len(table) == len(tables[0])][-1]  # a higher resolution at the same price


def _plackett_burman(size: int) -> "npt.NDArray[np.float64]":
    import pydoe

    runs = min(known for least in (4, 12, 20) for doublings in range(size) if (known := least << doublings) > size)
    signs: npt.NDArray[np.float64] = pydoe.pbdesign(runs - 1)[:, :size]
    return signs


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
