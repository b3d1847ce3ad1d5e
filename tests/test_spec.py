"""Strict loading: every mistake is told, with its place."""

import pytest

from ablate.errors import SpecError, UsageError
from ablate.spec import DEEPEST, load


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "x", "name": "y"}', "name: the key is there twice"),
        ('{"base": {"model": {"use": "a", "use": "b"}}}', "base.model.use: the key is there twice"),
        ('{"name": NaN}', "the number NaN is not allowed"),
        ('{"name": -Infinity}', "the number -Infinity is not allowed"),
        ('{"name": 1e999}', "the number 1e999 is not allowed"),
        ('{"name": ', "line 1, column 10: not JSON"),
        ("[" * 100_000, f"line 1, column {DEEPEST + 1}: nested more than {DEEPEST} levels deep"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "levels deep"),
        ("[]", "found [], expected an object"),
        ('{"name": "../x", "base": {}}', "name: found"),
    ],
)
def test_what_is_not_strict_json_is_refused(write, text, message):
    with pytest.raises(SpecError) as error:
        load(write(text))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("factors", {}, "factors: is empty"),
        ("factors", {"a": {}}, "factors.a: is empty"),
        ("factors", {"a": {"x": {}}}, "no level changes anything"),
        ("factors", {"a": {"x": {}, "y": {}}}, "are all the base"),
        ("factors", {"a=b": {"x": {"epochs": 1}}}, "expected a name without"),
        ("seeds", 0, "seeds: found 0, expected a whole number ≥ 1"),
        ("seeds", [1, 1], "seeds"),
        ("compare", {"alpha": 2}, "compare.alpha: found 2, expected a number > 0 and < 1"),
        ("colour", 1, "colour: there is no such setting"),
        ("published", {"accuracy": {"base": 1}}, "'source' is missing"),
    ],
)
def test_structure_is_checked(spec, write, path, value, message):
    with pytest.raises(SpecError) as error:
        load(write(spec | {path: value}))
    assert message in str(error.value)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        load(tmp_path / "nothing.json")


def test_overrides_take_the_place_of_what_is_there(spec, write):
    loaded = load(write(spec), ["base.epochs=7", 'base.dataset={"use": "mnist"}', 'factors.lr."0.1".optimizer.lr=0.1'])
    assert loaded.document["base"]["epochs"] == 7
    assert loaded.document["base"]["dataset"] == {"use": "mnist"}
    assert loaded.document["factors"]["lr"] == {"0.1": {"optimizer": {"lr": 0.1}}}


@pytest.mark.parametrize("override", ["base.epochs", "base.model.use=net", "=1", "base.epochs=NaN"])
def test_an_override_that_is_none_is_refused(spec, override):
    with pytest.raises(UsageError, match="--set"):
        load(spec, [override])


def test_an_override_is_checked_like_the_file(spec):
    with pytest.raises(SpecError, match="base.epochz"):
        from ablate.plan import make_plan
        from ablate.registry import default

        make_plan(load(spec, ["base.epochz=2"]), default())
