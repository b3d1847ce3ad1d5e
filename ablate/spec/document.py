"""A spec file -> a checked document: its text, overrides, and the structure that `spec.schema.json` asks for."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.contracts import MOST_VARIANTS, Json
from ablate.errors import Problem, SpecError, UsageError
from ablate.places import SPEC_SUFFIXES
from ablate.plain import encodable

from .patch import join, replace, split, without
from .recipe import spec_schema
from .strict import DEEPEST, parse, without_comments
from .validation import coerce, problems

LARGEST = 1_000_000  # bytes
MOST_FACTORS = 100


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


Judge = Callable[[Mapping[str, Json], Sequence[Problem]], Iterable[Problem]]


def _only(document: Mapping[str, Json], found: Sequence[Problem]) -> Sequence[Problem]:
    """The problems of the structure, and nothing beside them."""
    return found


def load(spec: str | Path | Mapping[str, Json], overrides: Sequence[str] = (), judge: Judge = _only) -> Spec:
    """Reads a spec from a file, or takes a document.

    Args:
        spec: Path of a JSON file, which may have comments where its name ends in `.jsonc`; or the document itself.
        overrides: `PATH=JSON` each, such as `base.epochs=2`; the value takes the place of what is there.
        judge: Gets a document whose structure is wrong, without what is wrong, and the problems; and gives all that are to be
            told, so that a mistake of the structure hides no other.

    Raises:
        SpecError: The file is not strict JSON, or not structured like a spec; with every problem found.
        UsageError: There is no such file, or an override is not of the form `PATH=JSON`.
    """
    source = "spec" if isinstance(spec, Mapping) else str(spec)
    text = _text(spec) if isinstance(spec, Mapping) else _read(Path(spec))
    document = parse(without_comments(text, source) if source.lower().endswith(SPEC_SUFFIXES[1]) else text, source)
    for override in overrides:
        path, value = _override(override)
        document = replace(document, path, value)
    settings = _settings()
    found = list(problems({**spec_schema(), "properties": settings}, document)) or list(_factor_problems(document))
    if found:
        rest = document if isinstance(document, dict) else {}
        for problem in found:
            rest = without(rest, split(problem.path)) if problem.path else rest
        raise SpecError(source, judge(rest, found))
    return Spec(source, {key: coerce(value, settings[key]) for key, value in document.items()})


def is_file(given: str) -> bool:
    """Whether what a command was given is the file of a spec, and not the name of something."""
    return given.lower().endswith(SPEC_SUFFIXES) or Path(given).is_file()


def _settings() -> dict[str, Json]:
    """Schemas of the settings; the recipe and other components are looked at with what is installed."""
    settings = {**spec_schema()["properties"], "base": {"type": "object"}, "design": {}}
    tune = settings["tune"]
    return {**settings, "tune": {**tune, "properties": {**tune["properties"], "tuner": {}}}}


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
        if wide := _wide_encoding(content):
            raise UsageError(f"{path}: it is written in {wide}, and JSON in UTF-8: save it as UTF-8.")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file.") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: cannot be read: line {line} is no UTF-8: {error.reason}.") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise UsageError(f"{path}: cannot be read: {error}") from None


def _wide_encoding(content: bytes) -> str | None:
    """UTF-16 or UTF-32, as some editors and shells write; None for what is neither."""
    encoding = json.detect_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return encoding[:6].upper() if not encoding.startswith("utf-8") and "\0" not in text else None


def _override(text: str) -> tuple[list[str], Json]:
    if not encodable(text):
        raise UsageError(f"--set {text!r}: is no text.")
    path, equals, value = _split_override(text)
    if not equals or not path:
        raise UsageError(f"--set {text!r}: expected PATH=JSON, such as base.epochs=2.")
    keys = split(path)
    if len(keys) > DEEPEST:
        raise UsageError(f"--set {text[:40]!r}…: the path has {len(keys):,} keys, and a spec at most {DEEPEST} levels.")
    try:
        return keys, parse(value, f"--set {path}")
    except SpecError as error:
        why = "; ".join(problem.message for problem in error.problems)
        example = "Quote strings twice, such as --set 'base.model.use=\"net\"'."
        raise UsageError(f"--set {text!r}: {value!r} is not JSON: {why}. {example}") from None


def _split_override(text: str) -> tuple[str, str, str]:
    """Splits at the first `=` outside quotes."""
    quoted = False
    for index, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        if character == "=" and not quoted:
            return text[:index], "=", text[index + 1 :]
    return text, "", ""


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
