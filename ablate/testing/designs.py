"""What a design has to keep."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from ablate.contracts import Assignment, Factor

from .component import ComponentContract


class DesignContract(ComponentContract):
    """Factors to assignments of a level to every factor.

    Attributes:
        levels: Studies that it is tried with: the number of levels of each factor.
        reference: Whether the first assignment, which the others are compared with, has every factor at its `base`, or `changed`,
            which is at its first other level.
    """

    kind: ClassVar[str] = "design"
    levels: Sequence[Sequence[int]] = ((2, 2, 2, 2), (3, 2, 4))
    reference: Literal["base", "changed"] = "base"

    def engine_arguments(self) -> tuple[Any, ...]:
        return (factors_of(self.levels[0]),)

    def assignments(self, factors: Sequence[Factor]) -> list[Assignment]:
        return list(self.make(factors))

    def test_every_factor_has_a_level_in_every_assignment(self) -> None:
        for counts in self.levels:
            factors = factors_of(counts)
            for assignment in self.assignments(factors):
                names = [factor.name for factor in factors]
                assert list(assignment) == names, f"an assignment has {list(assignment)}; expected {names} in this order."
                for factor in factors:
                    known, level = (factor.base, *factor.others), assignment[factor.name]
                    assert level in known, f"factor {factor.name!r} is at {level!r}, and its levels are {', '.join(known)}."

    def test_the_first_assignment_is_the_reference(self) -> None:
        for counts in self.levels:
            factors = factors_of(counts)
            expected = {f.name: f.base if self.reference == "base" else f.others[0] for f in factors}
            first = self.assignments(factors)[0]
            assert first == expected, f"the first assignment is {first}; expected {expected}. See `reference` of DesignContract."

    def test_no_assignment_is_there_twice(self) -> None:
        for counts in self.levels:
            found = [tuple(assignment.items()) for assignment in self.assignments(factors_of(counts))]
            assert len(found) == len(set(found)), (
                "an assignment is there twice, and would be compared with itself: leave one out."
            )

    def test_every_factor_varies(self) -> None:
        for counts in self.levels:
            factors = factors_of(counts)
            found = self.assignments(factors)
            fixed = [f.name for f in factors if len({assignment[f.name] for assignment in found}) < 2]
            assert not fixed, f"with {len(factors)} factors, {', '.join(fixed)} never varies: nothing can be learnt about it."

    def test_it_is_the_same_every_time(self) -> None:
        for counts in self.levels:
            factors = factors_of(counts)
            assert self.assignments(factors) == self.assignments(factors), (
                "a second call gives other assignments: draw from np.random.default_rng with a seed that is a parameter."
            )


def factors_of(counts: Sequence[int]) -> list[Factor]:
    """Factors with so many levels each, the base included."""
    return [Factor(f"factor{i}", "off", tuple(f"on{level}" for level in range(1, n))) for i, n in enumerate(counts, start=1)]
