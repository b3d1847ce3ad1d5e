"""Values to try a parameter with: what its schema allows at its edges, and what lies just outside."""

from typing import Literal

import pytest

from ablate.registry.params import Fraction, NonNegativeInt, Positive, PositiveInt, signature
from ablate.testing.values import edges, out_of_range


def schema_of(annotation):
    def factory(*, value: annotation): ...

    return signature(factory).parameters["value"].schema


@pytest.mark.parametrize(
    ("annotation", "inside", "outside"),
    [
        (Positive, [0.5], [0, -0.5]),
        (Fraction, [0, 0.5, 0.5], [-0.5, 1, 1.5]),
        (PositiveInt, [1, 2], [0]),
        (NonNegativeInt | None, [0, 1, None], [-1]),
        (bool, [False, True], []),
        (Literal["a", "b"], ["a", "b"], []),
        (tuple[PositiveInt, PositiveInt], [[1, 1], [2, 2]], [[0, 0]]),
        (list[Positive], [[0.5]], [[0], [-0.5]]),
        (float, [], []),
        (str, [], []),
    ],
)
def test_edges_of_annotations(annotation, inside, outside):
    schema = schema_of(annotation)
    assert sorted(map(str, edges(schema))) == sorted(map(str, inside))
    assert sorted(map(str, out_of_range(schema))) == sorted(map(str, outside))
