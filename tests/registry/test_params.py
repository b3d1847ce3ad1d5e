"""Signatures become schemas."""

from typing import Annotated, Any, Literal

import pytest

from ablate.registry.params import Bound, Fraction, Nested, Positive, SignatureError, signature
from ablate.spec.validation import coerce, problems


def factory(
    info: object,
    /,
    *,
    rate: Positive,
    part: Fraction = 0,
    mode: Literal["a", "b"] = "a",
    pair: tuple[int, int] = (1, 2),
    names: list[str] | None = None,
    free: dict[str, Any] = {},  # noqa: B006
    inner: Annotated[object, Nested("transform")] = None,
):
    """A thing.

    Args:
        rate: How fast.
    """


def test_the_schema_says_what_the_signature_says():
    schema = signature(factory).schema()
    assert schema["required"] == ["rate"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["rate"] == {"type": "number", "exclusiveMinimum": 0, "description": "How fast."}
    assert schema["properties"]["pair"]["default"] == [1, 2]
    assert schema["properties"]["mode"] == {"enum": ["a", "b"], "default": "a"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rate": 0}, "found 0, expected a number > 0"),
        ({"rate": "1"}, 'found "1", expected a number > 0'),
        ({"rate": True}, "found true, expected a number > 0"),
        ({"rate": 1, "part": 1}, "found 1, expected a number ≥ 0 and < 1"),
        ({"rate": 1, "mode": "c"}, 'expected one of "a", "b"'),
        ({"rate": 1, "pair": [1]}, "expected a list of length 2 with a whole number each"),
        ({"rate": 1, "names": 3}, "expected a list with a string each or null"),
        ({"rate": 1, "raet": 2}, "there is no such setting"),
        ({}, "'rate' is missing"),
    ],
)
def test_each_mistake_has_words(given, message):
    assert [message in str(problem) for problem in problems(signature(factory).schema(), given)] == [True]


def test_all_mistakes_are_told_at_once():
    assert len(list(problems(signature(factory).schema(), {"rate": -1, "part": 2, "x": 1, "mode": 0}))) == 4


@pytest.mark.parametrize(
    "bad",
    [lambda info: None, lambda *, width: None, lambda *, width=1: None, lambda **settings: None],
)
def test_signatures_that_a_spec_cannot_set_are_refused(bad):
    with pytest.raises(SignatureError):
        signature(bad)


def test_one_and_one_point_zero_are_one_setting():
    schema = signature(factory).schema()
    assert coerce({"rate": 1, "pair": [1.0, 2]}, schema) == coerce({"rate": 1.0, "pair": [1, 2]}, schema)
    assert isinstance(coerce(1, {"anyOf": [{"type": "null"}, {"type": "number"}]}), float)
    assert isinstance(coerce(3, Bound(minimum=1).schema() | {"type": "integer"}), int)
