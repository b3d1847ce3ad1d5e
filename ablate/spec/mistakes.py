"""What keeps a text from being JSON: at which line and column, what it is, and how JSON writes it.

Python's parser says where it stopped; what stands there is recognised. So that all mistakes are told at once, each is mended in
a copy, and the parser goes on.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len

from ablate.errors import Checking, Problem
from ablate.plain import printable

from .dialects import Mistake, another_format, recognised, shown

READ = 20_000_000  # characters in all, each time from the beginning, before no further mistakes are looked for
SHOWN = 50  # characters of a line that a message shows
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_CLOSES = {"{": "}", "[": "]"}
_EXPECTED = {
    "Expecting property name": "k",
    "Expecting ':'": ":",
    "Expecting value": "v",
    "Expecting ','": ",",
    "Extra data": "e",
}


@dataclass(frozen=True)
class Mended:
    """A text as JSON would write it.

    Attributes:
        text: With each mistake mended, up to the first that cannot be.
        origin: For each of its characters, and its end, where that came from.
        whole: Whether the text is JSON now.
    """

    text: str
    origin: list[int]
    whole: bool


def mended(text: str, parse: Callable[[str], object]) -> Checking[Mended]:
    """Tells what keeps a text from being JSON, in the order of the text, and mends it.

    Args:
        text: What was read.
        parse: Raises `json.JSONDecodeError` for a text that is not JSON.
    """
    original, origin, whole = text, list(range(len(text) + 1)), False
    found: dict[int, Mistake] = {}
    read, guessed = 0, -1  # the line of what was mended by a guess
    while read < READ and not whole:
        read += len(text)
        try:
            parse(text)
            whole = True
        except json.JSONDecodeError as error:
            mistake = (None if found else another_format(text)) or _mistake(text, error)
            at = origin[mistake.start]
            line, _ = place(original, at)
            if at in found or line == guessed:  # the mending has made it
                break
            found[at] = mistake
            if mistake.instead is None:
                break
            guessed = line if mistake.guessed else guessed
            last = max(mistake.start, mistake.end - 1)
            places = [origin[min(mistake.start + index, last)] for index in range(len(mistake.instead))]
            origin[mistake.start : mistake.end] = places
            text = text[: mistake.start] + mistake.instead + text[mistake.end :]
    yield from _told(original, found)
    return Mended(text, origin, whole)


def _told(text: str, found: dict[int, Mistake]) -> Iterator[Problem]:
    """A problem for each kind of mistake, where it is first, with the lines of the others."""
    kinds: dict[str, list[int]] = {}
    for at in sorted(found):
        kinds.setdefault(found[at].message.partition(": ")[0], []).append(at)
    for first, *others in kinds.values():
        lines = [line for line in dict.fromkeys(place(text, at)[0] for at in others) if line != place(text, first)[0]]
        shown = ", ".join(map(str, lines[:5]))
        more = f" (also in line {shown}{f' and {len(lines) - 5} more' * (len(lines) > 5)})" if lines else ""
        yield problem_at(text, first, found[first].message + more)


def problem_at(text: str, at: int, message: str, hint: str = "") -> Problem:
    """A problem at a place of a text, with the line and a mark below it."""
    line, column = place(text, at)
    return Problem(f"line {line}, column {column}", message, "\n    ".join([*([hint] * bool(hint)), *_excerpt(text, at)]))


def place(text: str, at: int) -> tuple[int, int]:
    """Line and column, from 1."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _excerpt(text: str, at: int) -> list[str]:
    """The line around a place, and a caret below the place; nothing of an empty line."""
    start = text.rfind("\n", 0, at) + 1
    line = text[start : text.find("\n", start) if "\n" in text[start:] else len(text)].rstrip()
    column = min(at - start, len(line))
    first = max(len(line) - len(line.lstrip()), min(column - SHOWN // 2, len(line) - SHOWN), 0)
    before, after = "…" * bool(line[:first].strip()), "…" * (len(line) > first + SHOWN)
    visible = printable(line[first : first + SHOWN].replace("\t", " "))
    return [f"{before}{visible}{after}", " " * cell_len(before + visible[: column - first]) + "^"] if visible else []


def _mistake(text: str, error: json.JSONDecodeError) -> Mistake:
    """What stands where the parser stopped."""
    if error.msg.startswith(("Invalid", "Unterminated")):
        return _in_text(text, error)
    if error.msg.startswith("Illegal trailing comma"):  # of Python 3.13
        return _trailing(error.pos)
    at = len(text) - len(text[error.pos :].lstrip(" \t\n\r"))
    where = next(letter for start, letter in _EXPECTED.items() if error.msg.startswith(start))
    if text.startswith('"""', max(0, at - 2)):
        at, where = at - 2, "v"
    found = _curly_end(text, at) or _structural(text, at) or recognised(text, at, where)
    if found is None and where != ",":
        return Mistake(at, at, f"{shown(text[at : at + 1])} where JSON has something else")
    if found is None:
        end = len(text[:at].rstrip())
        before, after = text[at - 1 : at], text[at : at + 1]
        if before == '"' and after.isalnum():
            return Mistake(at - 1, at, 'this " ends the text: within a text, it is written \\"')
        return Mistake(end, end, "a comma is missing here, before what follows", ",", guessed=True)
    return found


def _in_text(text: str, error: json.JSONDecodeError) -> Mistake:
    """What a text between quotes may not have."""
    at, begins = error.pos, text.rfind('"', 0, error.pos)
    if error.msg.startswith("Unterminated"):
        return Mistake(at, at, 'the text that begins here does not end: close it with "')
    if error.msg.startswith("Invalid control"):
        code = json.dumps(text[at])[1:-1]
        if text[at] in "\r\n":
            return Mistake(begins, begins, f'this text does not end in its line: close it with ", or write {code} for a new line')
        return Mistake(at, at + 1, f"a control character in a text: write {code}", code)
    at = text.rfind("\\", 0, at + 1)
    if text[at + 1 : at + 2] == "'":
        return Mistake(at, at + 1, "a single quote needs no backslash: remove the backslash", " ")
    return Mistake(at, at + 1, "a backslash in a text is written twice: \\\\", "\\\\")


def _structural(text: str, at: int) -> Mistake | None:
    """The end of the text, or a bracket or comma that does not fit to what is before it."""
    stack, before, found = _open(text, at), text[:at].rstrip(), text[at : at + 1]
    if not stack:
        return None
    opened = text[stack[-1]]
    if not found:
        return _unclosed(text, stack)
    if before.endswith(",") and found == _CLOSES[opened]:
        return _trailing(len(before) - 1)
    if before.endswith(":") and found in ",}]":
        return Mistake(at, at, "the value is missing before this: write it, or null, or remove the key", "null")
    if before.endswith((",", "[", "{")) and found == ",":
        return Mistake(at, at + 1, "there is nothing before this comma: remove it", " ")
    if found in "]})" and found != _CLOSES[opened]:
        line, column = place(text, stack[-1])
        return Mistake(
            at,
            at,
            f"{found} where the {opened} of line {line}, column {column}, is open: write {_CLOSES[opened]} before it, or for it",
        )
    return None


def _trailing(at: int) -> Mistake:
    return Mistake(at, at + 1, "a comma behind the last value: JSON has commas between values only, so remove it", " ")


def _open(text: str, end: int) -> list[int]:
    """The brackets that are open at a place, before which all is JSON."""
    stack: list[int] = []
    for match in _TOKEN.finditer(text, 0, end):
        if match.group() in _CLOSES:
            stack.append(match.start())
        elif match.group() in "]}" and stack:
            stack.pop()
    return stack


def _unclosed(text: str, stack: list[int]) -> Mistake:
    """The bracket that was forgotten, where the indentation tells; else the last one that is open."""
    at = next((first for first, last in _pairs(text) if _indent(text, first) != _indent(text, last)), stack[-1])
    return Mistake(at, at, f"this {text[at]} is never closed: a {_CLOSES[text[at]]} is missing")


def _pairs(text: str) -> Iterator[tuple[int, int]]:
    """Brackets with those that close them, where these begin a line."""
    stack: list[int] = []
    for match in _TOKEN.finditer(text):
        if match.group() in _CLOSES:
            stack.append(match.start())
        elif match.group() in "]}" and stack:
            first = stack.pop()
            if not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip():
                yield first, match.start()


def _indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _curly_end(text: str, at: int) -> Mistake | None:
    """A text that begins with a straight quote, and that was to end with another."""
    strings = [match for match in _TOKEN.finditer(text, 0, at) if match.group().startswith('"')]
    if strings and (curly := re.search(r"[“”„«»](?=\s*[:,}\]])", strings[-1].group())):
        start = strings[-1].start() + curly.start()
        return Mistake(start, start + 1, f'{curly.group()} does not end a text: write "', '"')
    return None
