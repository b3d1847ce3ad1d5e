"""What people write where JSON is expected, from Python, JavaScript, YAML or a word processor, and how JSON writes it."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from re import Match

from ablate.plain import shorten

SPEC = 'a spec is JSON, such as {"name": "…", "base": {…}}'
_LITERALS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"} | dict.fromkeys(
    ("null", "none", "nil", "undefined"), "null"
)
_PYTHON = ("True", "False", "None")
_NOT_FINITE = re.compile(r"[+-]?(\.|\w+\.)?(inf|infinity|nan)", re.IGNORECASE)
_ALIKE = {"：": ":", "，": ",", "；": ",", "｛": "{", "｝": "}", "［": "[", "］": "]"}
_CURLY = "“”„‟«»‘’‚‹›＂"
_FORMATS = {  # by how a text in them begins, behind comments
    "a web page or XML": r"<(?!<)",
    "Markdown, with a fence around": r"```",
    "a program": r"(import|from|def|class|export|const|var|let)\s+\w|\w+\s*=\s*(\{|dict\()",
    "TOML": r"\[{1,2}[\w.\"' -]+\]{1,2}\s*\n\s*([\w.\"'-]+\s*=|\[|#)|[\w.\"'-]+\s*=",
    "YAML": r"---|%YAML|-\s|[\w-]+\s*:(\s|\Z)",
}

Words = Callable[[Match[str]], str]


@dataclass(frozen=True)
class Mistake:
    """One thing that is not JSON.

    Attributes:
        start: Where it begins in the text.
        end: Where it ends.
        message: What it is, and how JSON writes it.
        instead: What JSON has there; None where nobody can tell.
        guessed: Whether what follows in the line may be part of the same mistake.
    """

    start: int
    end: int
    message: str
    instead: str | None = None
    guessed: bool = False


@dataclass(frozen=True)
class _Rule:
    """Something that is recognised by how it looks.

    Attributes:
        where: What the parser expected: `k`ey, `:`, `v`alue, `,`, or `e`nd.
        pattern: How it looks.
        say: The message.
        write: What JSON has there; None where nobody can tell.
    """

    where: str
    pattern: re.Pattern[str]
    say: Words
    write: Callable[[Match[str]], str | None]


def another_format(text: str) -> Mistake | None:
    """A text that is not meant to be JSON, as its beginning tells."""
    body = re.sub(r"\A(\s*#[^\n]*\n)+", "", text).lstrip()
    if not text.strip():
        return Mistake(0, 0, f"it is empty, and {SPEC}")
    at = len(text) - len(body)
    for name, pattern in _FORMATS.items():
        if re.match(pattern, body):
            return Mistake(at, at, f"it looks like {name}, and {SPEC}")
    if re.match(r"(\"[^\"\n]*\"|'[^'\n]*')\s*:", body):
        return Mistake(at, at, f"the {{ at the beginning is missing: {SPEC}")
    return None


def recognised(text: str, at: int, where: str) -> Mistake | None:
    """What stands at a place where JSON would have something else."""
    if where == "," and (number := _number_around(text, at)):
        return number
    for rule in _RULES:
        if where in rule.where and (match := rule.pattern.match(text, at)):
            return Mistake(at, match.end(), rule.say(match), rule.write(match))
    return None


def shown(text: str) -> str:
    """A piece of the text, as a message quotes it."""
    return shorten(text, 40)


def _word(match: Match[str]) -> str:
    """A word without quotes, where a value is expected: a constant, a number, or text."""
    word = match.group()
    if _NOT_FINITE.fullmatch(word):
        return f"{shown(word)} is not finite, and JSON has finite numbers only: write one, or null"
    if word in _PYTHON:
        return f"{word} is Python, and JSON writes {_LITERALS[word.lower()]}"
    if word.lower() in _LITERALS:
        return f"{shown(word)} is not a word of JSON, which writes {_LITERALS[word.lower()]}"
    if (number := _number(word)) is not None:
        return f"{shown(word)} is not how JSON writes a number: write {shown(number)}"
    if word[0] in "0123456789+-.":
        return f"{shown(word)} is no number, and text is in double quotes: write {json.dumps(shown(word), ensure_ascii=False)}"
    return f"text is in double quotes: write {json.dumps(shown(word), ensure_ascii=False)}"


def _as_json(match: Match[str]) -> str:
    word = match.group()
    if _NOT_FINITE.fullmatch(word):
        return "null"
    return _LITERALS.get(word.lower()) or _number(word) or json.dumps(word)


def _number(word: str) -> str | None:
    """A number as JSON writes it: without a bare point, leading zeros, underscores, a plus, or another base."""
    for read in (lambda: int(word, 10), lambda: int(word, 0), lambda: float(word)):
        try:
            value = read()
        except ValueError:
            continue
        return repr(value) if math.isfinite(value) else None
    return None


def _number_around(text: str, at: int) -> Mistake | None:
    """A number that JSON ends earlier than it was meant to end, such as `007`, `5.` or `0x10`."""
    if not at or not text[at - 1].isdigit() or not (match := re.compile(r"[\w.+%-]+").match(text, at)):
        return None
    before = re.search(r"[\w.+-]+\Z", text[:at])
    word = re.compile(r".+", re.DOTALL).match(text, before.start() if before else at, match.end())
    return word and Mistake(word.start(), word.end(), _word(word), _as_json(word))


def _content(match: Match[str]) -> str:
    """The text between quotes of another kind, as JSON writes it."""
    content = re.sub(r"\\(['`])", r"\1", match["content"])
    return json.dumps(content.replace('\\"', '"'), ensure_ascii=False)


def _quoted(match: Match[str]) -> str:
    named = {"'": "single quotes", "`": "backquotes"}.get(match["quote"], "three quotes")
    named = f"{match['prefix']} before the quotes" if match["prefix"] else named
    if "\n" in match["content"]:
        return f"text with {named}: JSON has double quotes, and a line end in a text is \\n"
    return f"text with {named}: JSON writes {shown(_content(match))}"


def _list(match: Match[str]) -> str:
    content = re.sub(r",(\s*)\Z", r"\1", match["content"])
    return f"[{content}]"


def _blank(match: Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _rule(
    where: str, pattern: str, say: str | Callable[[Match[str]], str], write: str | Callable[[Match[str]], str] = ""
) -> _Rule:
    """One whose message or replacement is the same for every match has it as it is; without a replacement, nobody can tell it."""
    say_it = say if callable(say) else lambda match: say
    write_it = write if callable(write) else lambda match: write or None
    return _Rule(where, re.compile(pattern, re.DOTALL), say_it, write_it)


_RULES = (
    _rule(
        "k:v,e",
        r"(?P<mark>//|#)[^\n]*|(?P<open>/\*).*?(\*/|\Z)|(?P<tag><!--).*?(-->|\Z)",
        lambda match: (
            f"a comment ({match['mark'] or match['open'] or match['tag']}): JSON has none, so remove it"
            + (", or let the file's name end in .jsonc" if match["mark"] == "//" or match["open"] else "")
        ),
        _blank,
    ),
    _rule("k:v,e", r"[<=>|]{7}", "a line of a merge that was not finished: keep one of the two versions, and remove this line"),
    _rule(
        "k:v,e",
        r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]+",
        lambda match: f"an invisible character (U+{ord(match.group()[0]):04X}): remove it, or write a space",
        _blank,
    ),
    _rule(
        "k:v,e",
        f"[{''.join(_ALIKE)}]",
        lambda match: f"{match.group()} only looks like the {_ALIKE[match.group()]} of JSON: write {_ALIKE[match.group()]}",
        lambda match: _ALIKE[match.group()],
    ),
    _rule("k:v,e", r"\.\.\.|…", "three dots: JSON has none, so write what they stand for, or remove them"),
    _rule(
        "kv",
        rf"[{_CURLY}](?P<content>[^\n\"{_CURLY}]*)[\"{_CURLY}]",
        lambda match: f"the quotes are not straight: JSON writes {shown(_content(match))}",
        _content,
    ),
    _rule(
        "kv",
        r"(?P<prefix>(?i:[rbuf]{0,2}))(?P<quote>'''|\"\"\"|['`\"])(?P<content>(?:\\.|(?!(?P=quote)).)*)(?P=quote)",
        _quoted,
        _content,
    ),
    _rule("kv", r"['`‘’]", 'text is in double quotes, and this begins or ends one with another: write "'),
    _rule(
        "k",
        r"[^\s,:=\[\]{}()\"']+(?=\s*(:|=))",
        lambda match: f"a key is in double quotes: write {shown(json.dumps(match.group(), ensure_ascii=False))}",
        lambda match: json.dumps(match.group()),
    ),
    _rule("k", r"[^\s,\]}]", 'a key in double quotes is missing here: an object is {"key": value}, and a list [value]'),
    _rule(":", r"=>|:=|=|;", lambda match: f"{match.group()} after a key: JSON writes :", ":"),
    _rule(":", r"[,}\]]", 'the value of this key is missing: write "key": value; what has no keys is a list, in [ and ]'),
    _rule(":", r"(?=[\"\[{\w.+-])", "a : is missing between the key and its value", ":"),
    _rule(
        "v",
        r"[A-Za-z_][\w.]*\s*\(",
        lambda match: f"{shown(match.group())}…) is a call: JSON has values only, so write its result",
    ),
    _rule(
        "v",
        r"\((?P<content>[^()]*)\)",
        lambda match: f"{shown(match.group())} is a tuple of Python, and JSON has lists: write {shown(_list(match))}",
        _list,
    ),
    _rule("v", r"\(", "a bracket that JSON does not have: write [ and ] around a list"),
    _rule("v", r"[^\s,:;\[\]{}()\"'“”‘’]+", _word, _as_json),
    _rule(",", r";", "; between two: JSON writes ,", ","),
    _rule(",", r"(\*\*|[*/%]|[+-]\s|(if|for|or|and)\b)", "a calculation, and JSON has values only: write its result"),
    _rule(",", r":", 'a : behind a value: an object is {"key": value}, and a list has no keys'),
    _rule("e", r"[}\])]", "nothing is open here that this could close: remove it, or one before it closes too early"),
    _rule("e", r"[,;]", "nothing comes after the end of the spec: remove it"),
    _rule("e", r"[{\[]", "a second document begins here, and a spec is one"),
    _rule(
        "e",
        r"\S+",
        lambda match: f"{shown(match.group())} stands after the end: remove it, or a bracket closes too early",
    ),
)
