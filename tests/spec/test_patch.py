"""Merge patches: the cases of RFC 7396, and the rules beside them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.errors import UsageError
from ablate.spec.patch import changes, flatten, join, merge, replace, split, useless_removals

KEYS = st.text(min_size=1, max_size=5)
JSON = st.recursive(st.integers() | st.text(max_size=3), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


@pytest.mark.parametrize(
    ("base", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": {"b": "c"}}, {"a": [1]}, {"a": [1]}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_cases_of_the_rfc(base, patch, result):
    assert merge(base, patch) == result


def test_another_component_resets_the_arguments():
    base = {"optimizer": {"use": "sgd", "lr": 0.1, "momentum": 0.9}}
    assert merge(base, {"optimizer": {"use": "adam"}}) == {"optimizer": {"use": "adam"}}
    assert merge(base, {"optimizer": {"use": "sgd", "lr": 1}})["optimizer"]["momentum"] == 0.9


def test_a_place_in_the_order_is_kept_by_null():
    base = {"transforms": {"crop": None, "normalize": {"use": "n"}}}
    assert list(merge(base, {"transforms": {"crop": {"use": "c"}}})["transforms"]) == ["crop", "normalize"]


def test_removing_nothing_is_a_problem():
    found = list(useless_removals({"a": {"b": 1}}, {"a": {"b": None, "c": None}, "d": None}, "p"))
    assert [problem.path for problem in found] == ["p.a.c", "p.d"]


@given(JSON, JSON)
def test_merging_twice_is_merging_once(base, patch):
    once = merge(base, patch)
    assert merge(once, patch) == once


@given(st.lists(KEYS, min_size=1, max_size=4), st.integers())
def test_any_key_can_be_written_in_a_path(keys, value):
    path = ""
    for key in keys:
        path = join(path, key)
    assert split(path) == keys
    assert flatten(replace({}, keys, value)) == {path: value}


@pytest.mark.parametrize("path", ["", ".", "a..b", "a."])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(UsageError):
        split(path)


def test_text_that_reads_like_something_else_is_quoted():
    before, after = {"a": "", "b": "1", "c": "none", "d": "true", "e": None}, {"a": "x", "b": 1, "c": None, "d": True, "e": "é b"}
    told = ('a: "" → x', 'b: "1" → 1', 'c: "none" → none', 'd: "true" → true', "e: none → é b")
    assert changes(before, after) == told


def test_changes_read_like_a_diff():
    before = {
        "optimizer": {"use": "ablate-core:sgd", "lr": 0.1},
        "model": {"use": "net", "bn": False},
        "t": {"a": 1, "b": 2},
    }
    after = {"optimizer": {"use": "adam", "lr": 0.1}, "model": {"use": "net", "bn": True}, "t": {"b": 2, "a": 1}}
    assert changes(before, after) == (
        "optimizer: sgd(lr=0.1) → adam(lr=0.1)",
        "model.bn: false → true",
        "t: order a, b → b, a",
    )


def test_a_transform_may_be_called_use():
    """Only a component's `use`, which is a text, resets what stands beside it."""
    base = {"crop": {"use": "random_crop"}, "use": {"use": "pad"}}
    assert merge(base, {"use": {"use": "resize"}}) == {"crop": {"use": "random_crop"}, "use": {"use": "resize"}}
    assert merge(base, {"use": None}) == {"crop": {"use": "random_crop"}}
    assert changes({"t": base}, {"t": {"use": base["use"], "crop": base["crop"]}}) == ("t: order crop, use → use, crop",)
    assert changes({"t": None}, {"t": base}) == ("t: none → {crop=random_crop(), use=pad()}",)


def test_the_order_is_told_at_any_depth_and_that_of_arguments_is_none():
    one = {"t": {"a": {"use": "p", "k": 1, "l": 2}, "b": {"use": "q"}}}
    other = {"t": {"b": {"use": "q"}, "a": {"use": "p", "l": 2, "k": 1}}}
    assert changes(one, other) == ("t: order a, b → b, a",)
    assert changes({"t": one["t"]["a"]}, {"t": other["t"]["a"]}) == ()
