"""Specs of strangers: a sentence with its place for every one, at once, and nothing touched that is not theirs."""

import json
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.errors import SpecError, UsageError
from ablate.spec import load
from ablate.spec.strict import MOST_VALUES, parse
from tests.soak import _specs, _touching

TOKENS = st.sampled_from([*"{}[],:", '"', "\\", '"base"', '"use"', '"name": "x"', *_specs.RAW])
JSON = st.recursive(
    st.sampled_from(_specs.EVIL) | st.floats() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
)


@given(st.text() | st.lists(TOKENS).map("".join) | JSON.map(json.dumps))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_with_its_place(text):
    try:
        document = parse(text, "it")
    except SpecError as error:
        lost = [problem for problem in error.problems if not problem.path and not _specs.PLACED.search(problem.message)]
    else:
        lost = []
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()  # what is read can be stored
    assert lost == []


@pytest.mark.parametrize("seed", range(4))
def test_changed_specs_and_garbage_have_no_traceback(seed):
    told = []
    found = _specs.tried(_specs.stream(seed), 60, told.append)
    assert [text for text in told if text.startswith("broken")] == []
    assert found["refused"] > 30


@pytest.mark.parametrize("name", _specs.exploding())
def test_what_explodes_is_refused_before_it_does(name, write):
    path = write(_specs.exploding()[name])
    if name == "a list of 29,000 means":  # as many numbers as that are only a long list
        assert _specs.outcome(path) == ("taken", "")
    else:
        assert _specs.outcome(path) == ("refused", "")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": [1, {"b": 1e999}]}', "a.1.b: the number 1e999"),
        ('{"a": [1, {"b": -99999999999999999999}]}', "a.1.b: the number -99999999999999999999"),
        ('{"a": {"b": "\\ud800"}}', "a.b: half of a surrogate pair"),
        ('{"a": {"\\ud800": 1}}', "a: half of a surrogate pair"),
        ('{"a": {"b": {"c": 1, "c": 2, "c": 3}}}', "a.b.c: the key is there twice"),
        ("{" + '"a":[' * 40 + "\n" + '{"a":' * 40, "line 2, column "),
        (json.dumps([0] * MOST_VALUES), f"there are more than {MOST_VALUES:,} values"),
    ],
)
def test_each_refusal_has_its_place(text, place):
    with pytest.raises(SpecError) as error:
        parse(text, "it")
    assert place in str(error.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "tiny\n"),
        ("name", "\ntiny"),
        ("factors", {"a\n": {"x": {"epochs": 1}}}),
        ("factors", {"a": {"x\n": {"epochs": 1}}}),
        ("variants", {"v\n": {"epochs": 1}}),
    ],
)
def test_no_name_ends_in_a_new_line(spec, path, value):
    with pytest.raises(SpecError, match="expected a name"):
        load(spec | {path: value})


def test_numbers_that_are_whole_are_whole_numbers(spec):
    assert load(spec | {"seeds": 3.0}).document["seeds"] == 3
    assert str(load(spec | {"seeds": [1.0, 2]}).document["seeds"]) == "[1, 2]"
    with pytest.raises(SpecError, match="seeds"):
        load(spec | {"seeds": [1, 1.0]})


def test_a_message_has_an_end(spec):
    with pytest.raises(SpecError) as error:
        load(spec | {f"{index}" * 300: 1 for index in range(1000)})
    assert str(error.value).startswith("spec: 100 problems")
    assert len(str(error.value)) < 120_000


def test_devices_and_bytes_that_are_no_text_are_no_spec(tmp_path):
    with pytest.raises(UsageError, match="the file is larger than"):
        load("/dev/zero")
    (tmp_path / "latin.json").write_bytes(b'{\n"name": "\xe9"}')
    with pytest.raises(UsageError, match="line 2 is no UTF-8"):
        load(tmp_path / "latin.json")
    with pytest.raises(UsageError, match="at most 64 levels"):
        load({"name": "x"}, [".".join("a" * 70) + "=1"])


def test_nothing_is_opened_or_asked_but_what_a_spec_has(spec, tmp_path):
    seen = _touching.touched(spec, tmp_path)
    assert seen["foreign"] == []
    assert seen["asked"] == []
    assert seen["taken"] == [
        "schema over http",
        "schema of a file",
        "ref in a free argument",
        "a large file",
        "data that is not there",
    ]


def test_the_stream_has_what_is_taken_and_what_is_not():
    texts = list(islice(_specs.stream(0), 200))
    assert len(set(texts)) > 190
