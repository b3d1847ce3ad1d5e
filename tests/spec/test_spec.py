"""Strict loading: every mistake is told, with its place."""

import pytest

from ablate.errors import Problem, SpecError, UsageError
from ablate.spec import load
from ablate.spec.strict import DEEPEST


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "x", "name": "y"}', "name: the key is there twice"),
        ('{"base": {"model": {"use": "a", "use": "b"}}}', "base.model.use: the key is there twice"),
        ('{"name": NaN}', "the number NaN is not allowed"),
        ('{"name": -Infinity}', "the number -Infinity is not allowed"),
        ('{"name": 1e999}', "the number 1e999 is not allowed"),
        ('{"name": -1e999}', "the number -1e999 is not allowed"),
        ('{"name": ' + "9" * 5000 + "}", "name: the number " + "9" * 40 + "… is not allowed"),
        ('{"name": ', "line 1, column 1: this { is never closed"),
        ("[" * 100_000, f"line 1, column {DEEPEST + 1}: nested more than {DEEPEST} levels deep"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "levels deep"),
        ("[]", "found [], expected an object"),
        ('{"name": "../x", "base": {}}', "name: found"),
    ],
)
def test_what_is_not_strict_json_is_refused(write, text, message):
    path = write(text)
    with pytest.raises(SpecError) as error:
        load(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: 1 problem")


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


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            {"factors": {"a.b": {"x": {}, "y": {}}}},
            Problem('factors."a.b"', "levels 'x', 'y' are all the base", "At most one level is {}."),
        ),
        ({"factors": {"a": {"x": {}}}}, Problem("factors.a", "no level changes anything", "Give a level that patches the base.")),
        (
            {"factors": {"a": {"base": {"epochs": 1}}}},
            Problem("factors.a.base", "the level that changes nothing is called 'base'", "Choose another name."),
        ),
    ],
)
def test_a_factor_that_is_none_has_a_place_and_a_remedy(spec, write, more, problem):
    path = write(spec | more)
    with pytest.raises(SpecError) as error:
        load(path)
    assert problem in error.value.problems
    assert error.value.source == str(path)


def test_a_design_needs_factors(spec):
    del spec["factors"]
    with pytest.raises(SpecError) as error:
        load(spec | {"variants": {"long": {"epochs": 9}}, "design": {"use": "factorial"}})
    expected = Problem("design", "there are no factors to make a design of", "Add factors, or remove the design.")
    assert (error.value.source, error.value.problems) == ("spec", (expected,))
    assert load(spec | {"factors": {"long": {"on": {"epochs": 9}}}, "design": {"use": "factorial"}}).document["design"]


def test_the_recipe_is_looked_at_with_its_components(spec):
    """Not here, where nothing is known of them: so that all of its problems are told at once."""
    del spec["base"]["optimizer"]
    assert load(spec).name == "tiny"


def test_the_limits_are_allowed(spec, write, monkeypatch):
    path = write(spec)
    monkeypatch.setattr("ablate.spec.document.LARGEST", path.stat().st_size)
    assert load(path).document == spec
    monkeypatch.setattr("ablate.spec.document.LARGEST", path.stat().st_size - 1)
    with pytest.raises(UsageError, match=r"spec\.json: the file is larger than \d+ bytes, which no spec is"):
        load(path)
    with pytest.raises(SpecError, match="expected an object"):
        load(write("[" * DEEPEST + "]" * DEEPEST))


def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path):
    (tmp_path / "spec.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"spec\.json: cannot be read: line 1 is no UTF-8"):
        load(tmp_path / "spec.json")


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


COMMENTED = """// what this is // and more
{ /* two
     lines "with quotes" */
  "name": "x", // a "quote
  "question": "is // this /* kept */, and \\"//\\"?", /**/
  "base": {} /* at the */ // end
}
"""


def test_comments_are_left_out_of_jsonc_and_nothing_else(tmp_path):
    path = tmp_path / "s.jsonc"
    path.write_text(COMMENTED)
    assert load(path).document == {"name": "x", "question": 'is // this /* kept */, and "//"?', "base": {}}
    for line_end in ("\r\n", "\r"):
        path.write_bytes(COMMENTED.replace("\n", line_end).encode())
        assert load(path).document["name"] == "x"
    plain = tmp_path / "s.json"
    plain.write_text(COMMENTED)
    with pytest.raises(SpecError, match=r"line 1, column 1: a comment \(//\): JSON has none, so remove it, or let .* \.jsonc"):
        load(plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n  // one\n  /* two */ "name": "x",\n  "base": {},\n}', "line 4, column 13"),
        ('{"name": "x", /* é\n*/ "base": NaN}', "base: the number NaN is not allowed: line 2, column 12"),
        ('{"name": "x", // a\n "base": {}, "base": {}}', "the key is there twice: line 2, column 14, and line 2, column 2"),
        ('{"name": "x",\n /* "base": {}}', "line 2, column 2: this comment does not end"),
        ('{"name": "x", # a\n "base": {}}', r"line 1, column 15: a comment \(#\): JSON has none, so remove it\n"),
        ('{"name": "x // y\n", "base": {}}', "line 1, column 10: this text does not end in its line"),
        ("// nothing", "line 1, column 1: it is empty"),
        ("/*/", "line 1, column 1: this comment does not end"),
    ],
)
def test_mistakes_behind_comments_are_told_where_they_are(tmp_path, text, message):
    path = tmp_path / "s.jsonc"
    path.write_text(text)
    with pytest.raises(SpecError, match=message):
        load(path)
