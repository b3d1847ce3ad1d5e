"""What is not JSON is told in the words of who wrote it: where, what it is, and how JSON writes it."""

import json

import pytest

from ablate.errors import SpecError, UsageError, checked
from ablate.spec import load
from ablate.spec.mistakes import mended
from ablate.spec.strict import parse


def told(text):
    with pytest.raises(SpecError) as error:
        parse(text, "spec")
    return [(problem.path, problem.message) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ('{"a": True}', 7, "True is Python, and JSON writes true"),
        ('{"a": None}', 7, "None is Python, and JSON writes null"),
        ('{"a": FALSE}', 7, "FALSE is not a word of JSON, which writes false"),
        ('{"a": undefined}', 7, "undefined is not a word of JSON, which writes null"),
        ('{"a": 1} // c', 10, "a comment (//): JSON has none"),
        ('{"a": 1 # c\n}', 9, "a comment (#): JSON has none"),
        ('{/* c */"a": 1}', 2, "a comment (/*): JSON has none"),
        ('{"a": 1,}', 8, "a comma behind the last value"),
        ("[1, 2,]", 6, "a comma behind the last value"),
        ("[1,,2]", 4, "there is nothing before this comma"),
        ("{'a': 1}", 2, 'text with single quotes: JSON writes "a"'),
        ('{"a": \'it"s\'}', 7, r'text with single quotes: JSON writes "it\"s"'),
        ('{"a": """x"""}', 7, 'text with three quotes: JSON writes "x"'),
        ('{"a": f"x"}', 7, 'text with f before the quotes: JSON writes "x"'),
        ("{a: 1}", 2, 'a key is in double quotes: write "a"'),
        ('{"a": net}', 7, 'text is in double quotes: write "net"'),
        ('{"a": “net”}', 7, 'the quotes are not straight: JSON writes "net"'),
        ('{"a”: 1, "b": 2}', 4, '” does not end a text: write "'),
        ('{"a": 1 "b": 2}', 8, "a comma is missing here"),
        ('{"a": 1\n  "b": 2}', 8, "a comma is missing here"),
        ('{"a" = 1}', 6, "= after a key: JSON writes :"),
        ('{"a" 1}', 6, "a : is missing between the key and its value"),
        ('{"a"：1}', 5, "： only looks like the : of JSON"),
        ('{"a": 1; "b": 2}', 8, "; between two: JSON writes ,"),
        ('{"a": 007}', 7, "007 is not how JSON writes a number: write 7"),
        ('{"a": .5}', 7, ".5 is not how JSON writes a number: write 0.5"),
        ('{"a": -.5}', 7, "-.5 is not how JSON writes a number: write -0.5"),
        ('{"a": 5.}', 7, "5. is not how JSON writes a number: write 5.0"),
        ('{"a": +5}', 7, "+5 is not how JSON writes a number: write 5"),
        ('{"a": 0x10}', 7, "0x10 is not how JSON writes a number: write 16"),
        ('{"a": 1_000}', 7, "1_000 is not how JSON writes a number: write 1000"),
        ('{"a": 1.2.3}', 7, "1.2.3 is no number, and text is in double quotes"),
        ('{"a": .inf}', 7, ".inf is not finite, and JSON has finite numbers only"),
        ('{"a": (0.9, 0.99)}', 7, "(0.9, 0.99) is a tuple of Python, and JSON has lists: write [0.9, 0.99]"),
        ('{"a": dict(lr=1)}', 7, "dict(…) is a call"),
        ('{"a": [0.5] * 3}', 13, "a calculation"),
        ('{"a": [1, 2}', 12, "} where the [ of line 1, column 7, is open: write ] before it"),
        ('{"a": 1}}', 9, "nothing is open here"),
        ('{"a": {"b": 1}', 1, "this { is never closed: a } is missing"),
        ('{"a": "x', 7, "the text that begins here does not end"),
        ('{"a": "x\n"}', 7, "this text does not end in its line"),
        ('{"a": "x\ty"}', 9, r"a control character in a text: write \t"),
        (r'{"a": "C:\data"}', 10, r"a backslash in a text is written twice: \\"),
        ('{"a": "say "hi""}', 12, 'this " ends the text'),
        ('{"a":\xa01}', 6, "an invisible character (U+00A0)"),
        ('{"a", "b"}', 5, "the value of this key is missing"),
        ('{"a": }', 7, "the value is missing before this"),
        ('["a": 1]', 5, "a : behind a value"),
        ('{"a": ...}', 7, "three dots"),
        ('{"a": 1}\n{"b": 2}', 1, "a second document begins here"),
        ("<<<<<<< HEAD\n{}", 1, "a line of a merge"),
        ('"a": 1', 1, "the { at the beginning is missing"),
        ("", 1, "it is empty, and a spec is JSON"),
        (" \n\t", 1, "it is empty, and a spec is JSON"),
        ("name: x\nbase:\n  epochs: 2\n", 1, "it looks like YAML, and a spec is JSON"),
        ("# a study\nname: x\n", 1, "it looks like YAML"),
        ("[base]\nepochs = 2\n", 1, "it looks like TOML"),
        ('name = "x"\n', 1, "it looks like TOML"),
        ("<html></html>", 1, "it looks like a web page or XML"),
    ],
)
def test_each_mistake_says_what_it_is_where_it_stands(text, column, message):
    (place, said), *more = told(text)
    assert said.startswith(message)
    assert place.endswith(f", column {column}")
    assert more == []


def test_all_of_them_are_told_each_in_its_line_and_one_kind_once():
    text = "{\n  'a': True, # c\n  'b': (1, 2,),\n  'c': .5,\n}\n"
    assert [(place, said.partition(":")[0]) for place, said in told(text)] == [
        ("line 2, column 3", "text with single quotes"),
        ("line 2, column 8", "True is Python, and JSON writes true"),
        ("line 2, column 14", "a comment (#)"),
        ("line 3, column 8", "(1, 2,) is a tuple of Python, and JSON has lists"),
        ("line 4, column 8", ".5 is not how JSON writes a number"),
        ("line 4, column 10", "a comma behind the last value"),
    ]
    assert "(also in line 3, 4)" in told(text)[0][1]


def test_a_bracket_that_was_forgotten_is_found_by_the_indentation():
    text = '{\n  "a": {\n    "b": 1,\n  "c": {\n    "d": 2\n  }\n}\n'
    assert told(text) == [("line 2, column 8", "this { is never closed: a } is missing")]


def test_what_is_mended_is_what_was_meant():
    text = "{'a': True, b: (1, 0x10), // c\n \"c\" = .5, 'd': `it's \"so\"`,}"
    made, _ = checked(mended(text, json.loads))
    assert made.whole
    assert json.loads(made.text) == {"a": True, "b": [1, 16], "c": 0.5, "d": 'it\'s "so"'}


@pytest.mark.parametrize(
    ("text", "line", "mark"),
    [
        ('{"a":\n\t\t{"x" : True}}', '{"x" : True}}', 7),
        ('{"日本語": True}', '{"日本語": True}', 11),
        ('{"a\x1b[31m": 1, "b": True}', '{"a�[31m": 1, "b": True}', 19),
        ('{"a": "' + "x" * 100 + '", "b": True, "c": "' + "y" * 100 + '"}', None, 26),
    ],
)
def test_a_mark_stands_below_the_place(text, line, mark):
    with pytest.raises(SpecError) as error:
        parse(text, "spec")
    shown, caret = [part.removeprefix("    ") for part in error.value.problems[-1].hint.split("\n")]
    assert caret == " " * mark + "^"
    assert line in (None, shown)
    assert len(shown) <= 52
    if line is None:
        assert shown[mark:].startswith("True")


def test_a_key_that_is_there_twice_has_both_its_places():
    text = '{\n  "base": {"epochs": 1,\n    "epochs": 2}, "x": [{"y": NaN}]\n}'
    assert told(text) == [
        ("base.epochs", "the key is there twice: line 3, column 5, and line 2, column 12"),
        ("x.0.y", "the number NaN is not allowed: line 3, column 31"),
    ]


def test_what_is_mended_and_what_is_not_allowed_are_told_together():
    assert told('{\'a\': NaN,\n "b": 1, "b": 2}') == [
        ("line 1, column 2", 'text with single quotes: JSON writes "a"'),
        ("b", "the key is there twice: line 2, column 10, and line 2, column 2"),
        ("a", "the number NaN is not allowed: line 1, column 7"),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_has_its_name(tmp_path, encoding):
    (tmp_path / "spec.json").write_bytes('{"name": "é"}'.encode(encoding))
    with pytest.raises(
        UsageError, match=rf"spec\.json: it is written in {encoding[:6].upper()}, and JSON in UTF-8: save it as UTF-8"
    ):
        load(tmp_path / "spec.json")


def test_a_mark_at_the_beginning_is_no_mistake(tmp_path, spec):
    (tmp_path / "spec.json").write_text(json.dumps(spec), "utf-8-sig")
    assert load(tmp_path / "spec.json").document == spec


def test_an_override_says_it_too(spec):
    with pytest.raises(UsageError, match="'True' is not JSON: True is Python, and JSON writes true"):
        load(spec, ["compare.paired=True"])
