"""A spec file -> a checked document: strict JSON, overrides, and the structure that `spec.schema.json` asks for."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import MOST, Problem, SpecError, UsageError
from .patch import join, replace, split
from .recipe import spec_schema
from .records import MOST_VARIANTS
from .validation import coerce, problems

Json = Any
LARGEST = 1_000_000  # bytes
DEEPEST = 64  # levels of nesting
MOST_VALUES = 30_000  # of a whole document
MOST_FACTORS = 100
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True)
class Spec:
    """A spec whose structure is right; its names and parameters are checked by `plan.resolve`.

    Attributes:
        source: Where it came from, for messages.
        document: The JSON document, with the overrides applied.
    """

    source: str
    document: dict[str, Json]

    @property
    def name(self) -> str:
        return str(self.document["name"])


def load(spec: str | Path | Mapping[str, Json], overrides: Sequence[str] = ()) -> Spec:
    """Reads a spec from a file, or takes a document.

    Args:
        spec: Path of a JSON file, or the document itself.
        overrides: `PATH=JSON` each, such as `base.epochs=2`; the value takes the place of what is there.

    Raises:
        SpecError: The file is not strict JSON, or not structured like a spec; with every problem found.
        UsageError: There is no such file, or an override is not of the form `PATH=JSON`.
    """
    source = "spec" if isinstance(spec, Mapping) else str(spec)
    document = parse(_text(spec) if isinstance(spec, Mapping) else _read(Path(spec)), source)
    for override in overrides:
        path, value = _override(override)
        document = replace(document, path, value)
    settings = {**spec_schema()["properties"], "base": {"type": "object"}}  # the recipe is looked at with its components
    found = problems({**spec_schema(), "properties": settings}, document)
    if not found:
        found = list(_factor_problems(document))
    if found:
        raise SpecError(source, found)
    return Spec(source, {key: coerce(value, settings[key]) for key, value in document.items()})


def _text(document: Mapping[str, Json]) -> str:
    try:
        return json.dumps(document)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the spec is no JSON document: {error}.") from None


def _read(path: Path) -> str:
    """The file's text; no more is read than a spec can have, since a pipe or a device has no size to ask for."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise UsageError(f"{path}: the file is larger than {LARGEST:,} bytes, which no spec is.")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: cannot be read: line {line} is no UTF-8: {error.reason}.") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise UsageError(f"{path}: cannot be read: {error}") from None


def _override(text: str) -> tuple[list[str], Json]:
    if not _encodable(text):
        raise UsageError(f"--set {text!r}: is no text.")
    path, equals, value = _split_override(text)
    if not equals or not path:
        raise UsageError(f"--set {text!r}: expected PATH=JSON, such as base.epochs=2.")
    keys = split(path)
    if len(keys) > DEEPEST:
        raise UsageError(f"--set {text[:40]!r}…: the path has {len(keys):,} keys, and a spec at most {DEEPEST} levels.")
    try:
        return keys, parse(value, f"--set {path}")
    except SpecError:
        raise UsageError(
            f"--set {text!r}: {value!r} is not JSON. Quote strings twice, such as --set 'base.model.use=\"net\"'."
        ) from None


def _split_override(text: str) -> tuple[str, str, str]:
    """Splits at the first `=` outside quotes."""
    quoted = False
    for index, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        if character == "=" and not quoted:
            return text[:index], "=", text[index + 1 :]
    return text, "", ""


class _Refused(str):
    """A number that is not allowed, where it stands."""

    __slots__ = ()


def parse(text: str, source: str) -> Json:
    """Strict JSON: no NaN or Infinity, no duplicate key, no nesting without end, and nothing that UTF-8 or 64 bits cannot hold.

    Raises:
        SpecError: With every problem found, each with its path or its line.
    """
    if problem := _too_deep(text):
        raise SpecError(source, [problem])
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

    try:
        document = json.loads(text, object_pairs_hook=to_object, parse_int=to_int, parse_float=to_float, parse_constant=_Refused)
    except json.JSONDecodeError as error:
        problem = Problem("", f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}")
        raise SpecError(source, [problem]) from None
    found = []
    for count, (path, value) in enumerate(_walk(document, ""), start=1):
        if count > MOST_VALUES:
            found = [Problem("", f"there are more than {MOST_VALUES:,} values, which no spec has")]
            break
        if len(found) > MOST:
            break
        _, keys = repeated.get(id(value), (None, ()))
        found += [Problem(join(path, key), "the key is there twice", "Keep one.") for key in keys]
        found += _refusals(path, value)
    if found:
        raise SpecError(source, found)
    return document


def _too_deep(text: str) -> Problem | None:
    """Where nesting is too deep; looked for before parsing, which recurs."""
    depth = 0
    for match in _BRACKETS.finditer(text):
        bracket = match.group()
        depth += bracket in ("[", "{")
        depth -= bracket in ("]", "}")
        if depth > DEEPEST:
            error = json.JSONDecodeError("", text, match.start())
            place = f"line {error.lineno}, column {error.colno}"
            return Problem("", f"{place}: nested more than {DEEPEST} levels deep, which no spec is")
    return None


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
    elif isinstance(value, str) and not _encodable(value):
        yield Problem(path, "half of a surrogate pair stands alone in the text", "Remove what looks like \\ud800.")
    elif isinstance(value, dict) and not _encodable("".join(value)):
        yield Problem(path, "half of a surrogate pair stands alone in a key", "Remove what looks like \\ud800.")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _factor_problems(document: Mapping[str, Json]) -> Iterator[Problem]:
    factors = document.get("factors", {})
    if len(factors) > MOST_FACTORS:
        yield Problem("factors", f"there are {len(factors):,} factors, and a study has at most {MOST_FACTORS}")
        return
    if (count := sum(map(len, factors.values()))) > MOST_VARIANTS:
        yield Problem("factors", f"there are {count:,} levels, and a study has at most {MOST_VARIANTS:,}")
        return
    for name, levels in factors.items():
        empty = [level for level, patch in levels.items() if not patch]
        path = join("factors", name)
        if len(empty) > 1:
            yield Problem(path, f"levels {', '.join(map(repr, empty))} are all the base", "At most one level is {}.")
        if len(levels) == len(empty):
            yield Problem(path, "no level changes anything", "Give a level that patches the base.")
        if not empty and "base" in levels:
            yield Problem(join(path, "base"), "the level that changes nothing is called 'base'", "Choose another name.")
    if "design" in document and "factors" not in document:
        yield Problem("design", "there are no factors to make a design of", "Add factors, or remove the design.")
