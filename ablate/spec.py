"""A spec file -> a checked document: strict JSON, overrides, and the structure that `spec.schema.json` asks for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import Problem, SpecError, UsageError
from .patch import join, replace, split
from .recipe import spec_schema
from .validation import problems

Json = Any
LARGEST = 10_000_000  # bytes
DEEPEST = 64  # levels of nesting


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
    document = parse(json.dumps(spec) if isinstance(spec, Mapping) else _read(Path(spec)), source)
    for override in overrides:
        path, value = _override(override)
        document = replace(document, path, value)
    found = problems(spec_schema(), document)
    if isinstance(document, Mapping) and isinstance(document.get("base"), Mapping):  # the recipe is looked at with its components
        found = [problem for problem in found if problem.path.partition(".")[0] != "base"]
    if not found:
        found = list(_factor_problems(document))
    if found:
        raise SpecError(source, found)
    return Spec(source, document)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{path}: the file is larger than {LARGEST:,} bytes, which no spec is.")
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None


def _override(text: str) -> tuple[list[str], Json]:
    path, equals, value = _split_override(text)
    if not equals or not path:
        raise UsageError(f"--set {text!r}: expected PATH=JSON, such as base.epochs=2.")
    try:
        return split(path), parse(value, f"--set {path}")
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


def parse(text: str, source: str) -> Json:
    """Strict JSON: no NaN or Infinity, no duplicate key, no nesting without end.

    Raises:
        SpecError: With every problem found, each with its path or its line.
    """
    repeated: list[tuple[dict[str, Json], str]] = []
    numbers: list[str] = []

    def to_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        result = dict(pairs)
        if len(result) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated.extend((result, key) for key in result if keys.count(key) > 1)
        return result

    def to_float(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            numbers.append(digits)
        return value

    def not_a_number(word: str) -> None:
        numbers.append(word)

    try:
        document = json.loads(text, object_pairs_hook=to_object, parse_float=to_float, parse_constant=not_a_number)
    except json.JSONDecodeError as error:
        problem = Problem("", f"line {error.lineno}, column {error.colno}: not JSON: {error.msg}")
        raise SpecError(source, [problem]) from None
    except (RecursionError, ValueError) as error:  # ValueError: an integer of thousands of digits
        raise SpecError(source, [Problem("", f"not JSON that can be read: {error}")]) from None
    found = [Problem("", f"the number {word} is not allowed", "Write a finite number, or null.") for word in numbers]
    for place, value, depth in _walk(document, "", 1):
        found += [Problem(join(place, key), "the key is there twice", "Keep one.") for owner, key in repeated if owner is value]
        if depth > DEEPEST:
            raise SpecError(source, [Problem("", f"nested more than {DEEPEST} levels deep")])
    if found:
        raise SpecError(source, found)
    return document


def _walk(value: Json, path: str, depth: int) -> Iterator[tuple[str, Json, int]]:
    if isinstance(value, (dict, list)):
        yield path, value, depth
        if depth > DEEPEST:
            return
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _walk(item, join(path, key), depth + 1)


def _factor_problems(document: Mapping[str, Json]) -> Iterator[Problem]:
    for name, levels in document.get("factors", {}).items():
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
