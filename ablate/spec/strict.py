"""Text -> JSON, as strictly as results need it: what could mean two things, or cannot be kept, is refused with its place."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ablate.contracts import Json
from ablate.errors import MOST, Problem, SpecError, checked
from ablate.plain import encodable

from .mistakes import mended, place, problem_at
from .patch import join

DEEPEST = 64  # levels of nesting
MOST_VALUES = 30_000  # of a whole document
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_OR_COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\r\n]*|/\*.*?(?P<end>\*/|\Z)', re.DOTALL)
_TWICE = "the key is there twice"


class _Refused(str):
    """A number that is not allowed, where it stands."""

    __slots__ = ()


def parse(text: str, source: str) -> Json:
    """Strict JSON: no NaN or Infinity, no duplicate key, no nesting without end, and nothing that UTF-8 or 64 bits cannot hold.

    Raises:
        SpecError: With every problem found, each with its path or its line.
    """
    repeated: dict[int, tuple[dict[str, Json], list[str]]] = {}

    def to_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        result = dict(pairs)
        if len(result) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            repeated[id(result)] = result, [key for key, count in counts.items() if count > 1]
        return result

    def to_int(digits: str) -> int | _Refused:
        value = int(digits) if len(digits) <= 20 else 2**64
        return value if -(2**63) <= value < 2**63 else _Refused(digits)

    def to_float(digits: str) -> float | _Refused:
        value = float(digits)
        return _Refused(digits) if value in (float("inf"), float("-inf")) else value

    def read(text: str) -> Json:
        if too_deep := list(_too_deep(text)):
            raise SpecError(source, too_deep)
        return json.loads(text, object_pairs_hook=to_object, parse_int=to_int, parse_float=to_float, parse_constant=_Refused)

    given, origin, found = text, None, list[Problem]()
    try:
        document = read(text)
    except json.JSONDecodeError:
        made, found = checked(mended(text, read))
        if not made.whole:
            raise SpecError(source, found) from None
        text, origin, document = made.text, made.origin, read(made.text)
    wrong = list(_wrong(document, repeated))
    if wrong or found:
        raise SpecError(source, [*found, *_located(wrong, given, text, origin)])
    return document


def without_comments(text: str, source: str) -> str:
    """The text with a space in place of each character of a comment, `// …` or `/* … */`, so that all else keeps its place.

    Raises:
        SpecError: A comment does not end.
    """

    def blank(match: re.Match[str]) -> str:
        if match.group().startswith("/*") and not match["end"]:
            raise SpecError(source, [problem_at(text, match.start(), "this comment does not end", "Close it with */.")])
        return match.group() if match.group().startswith('"') else re.sub(r"[^\r\n]", " ", match.group())

    return _OR_COMMENT.sub(blank, text)


def _wrong(document: Json, repeated: Mapping[int, tuple[dict[str, Json], list[str]]]) -> Iterator[Problem]:
    """What is wrong with a document that is JSON."""
    found = 0
    for count, (path, value) in enumerate(_walk(document, ""), start=1):
        if count > MOST_VALUES:
            yield Problem("", f"there are more than {MOST_VALUES:,} values, which no spec has")
        if count > MOST_VALUES or found > MOST:
            return
        _, keys = repeated.get(id(value), (None, ()))
        for problem in (*(Problem(join(path, key), _TWICE, "Keep one.") for key in keys), *_refusals(path, value)):
            found += 1
            yield problem


def _located(problems: Sequence[Problem], given: str, text: str, origin: Sequence[int] | None) -> Iterator[Problem]:
    """The problems with their places in the text that was given, of which `text` may be a mended copy."""
    places: dict[str, list[tuple[int, int]]] = {}
    for path, key, value in _places(text) if problems else ():
        places.setdefault(path, []).append((origin[key], origin[value]) if origin else (key, value))
    for problem in problems:
        keys_and_values = places.get(problem.path)
        if keys_and_values is None:
            yield problem
        elif problem.message == _TWICE:
            (first, _), (again, _), *_ = keys_and_values
            line, column = place(given, first)
            here = problem_at(given, again, "", problem.hint)
            yield replace(problem, message=f"{problem.message}: {here.path}, and line {line}, column {column}", hint=here.hint)
        else:
            here = problem_at(given, keys_and_values[0][1], "", problem.hint)
            message = f"{problem.message}: {here.path}" if problem.path else problem.message
            yield replace(problem, path=problem.path or here.path, message=message, hint=here.hint)


def _places(text: str) -> Iterator[tuple[str, int, int]]:
    """Each path of a text that is JSON, with where its key and its value begin."""
    stack: list[list[Any]] = []  # for each open bracket: its path, the key or index that is next, and where that began
    for match in _PIECES.finditer(text):
        piece, at = match.group(), match.start()
        if piece in "]}":
            stack.pop()
        elif piece == ",":
            stack[-1][1] = stack[-1][1] + 1 if isinstance(stack[-1][1], int) else None
        elif stack and stack[-1][1] is None:
            stack[-1][1:] = json.loads(piece), at
        elif piece != ":":
            path = join(stack[-1][0], stack[-1][1]) if stack else ""
            yield path, stack[-1][2] if stack and isinstance(stack[-1][1], str) else at, at
            if piece in "[{":
                stack.append([path, 0 if piece == "[" else None, at])


def _too_deep(text: str) -> Iterator[Problem]:
    """Where nesting is too deep; looked for before parsing, which recurs."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        bracket = match.group()
        depth += bracket in ("[", "{")
        depth -= bracket in ("]", "}")
        if depth > DEEPEST:
            line, column = place(text, match.start())
            yield Problem("", f"line {line}, column {column}: nested more than {DEEPEST} levels deep, which no spec is")
            return


def _walk(value: Json, path: str) -> Iterator[tuple[str, Json]]:
    yield path, value
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _walk(item, join(path, key))


def _refusals(path: str, value: Json) -> Iterator[Problem]:
    """What is wrong with one value by itself."""
    if isinstance(value, _Refused):
        shown = value if len(value) <= 40 else f"{value[:40]}…"
        yield Problem(path, f"the number {shown} is not allowed", "Write a finite number (whole ones in 64 bits), or null.")
    elif isinstance(value, str) and not encodable(value):
        yield Problem(path, "half of a surrogate pair stands alone in the text", "Remove what looks like \\ud800.")
    elif isinstance(value, dict) and not encodable("".join(value)):
        yield Problem(path, "half of a surrogate pair stands alone in a key", "Remove what looks like \\ud800.")
