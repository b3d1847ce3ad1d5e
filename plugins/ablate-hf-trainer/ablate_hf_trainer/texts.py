"""Texts with their labels, out of files."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.plugin import EnvironmentProblem, did_you_mean

LONGEST_FIELD = 1 << 27  # characters of a text in a .csv file; the module's own limit is 131,072


@dataclass(frozen=True)
class Part:
    """Texts, and the number of the class of each."""

    texts: Sequence[str]
    labels: Sequence[int]


@dataclass(frozen=True)
class Texts:
    """What is trained on and what is evaluated.

    Attributes:
        classes: The distinct labels of the training texts, sorted.
    """

    train: Part
    test: Part
    classes: Sequence[str]


def load(train: str, test: str, text: str, label: str) -> Texts:
    """Reads both files.

    Raises:
        EnvironmentProblem: One cannot be read, lacks a column, a text or a label, or has a label that the training texts lack.
    """
    rows = [list(_rows(Path(path).expanduser(), text, label)) for path in (train, test)]
    classes = sorted({name for _, _, name in rows[0]})
    if len(classes) < 2:
        raise EnvironmentProblem(f"{train}: has the labels {', '.join(classes) or 'nothing'}, and at least 2 are needed")
    number = {name: index for index, name in enumerate(classes)}
    for where, _, name in rows[1]:
        if name not in number:
            raise EnvironmentProblem(f"{where}: no training text has the label {name!r}. {did_you_mean(name, classes)}")
    if not rows[1]:
        raise EnvironmentProblem(f"{test}: has no texts")
    parts = [Part([found for _, found, _ in part], [number[name] for _, _, name in part]) for part in rows]
    return Texts(*parts, classes)


def notices(texts: Texts) -> Iterator[str]:
    """What is no error, and has to be known."""
    trained = Counter(texts.train.texts)
    if both := sum(text in trained for text in texts.test.texts):
        yield f"{both:,} of {len(texts.test.texts):,} test texts are training texts, too: they are no test of what was learnt"
    if again := sum(count - 1 for count in trained.values()):
        yield f"{again:,} of {len(texts.train.texts):,} training texts are there more than once"
    if absent := [name for number, name in enumerate(texts.classes) if number not in set(texts.test.labels)]:
        yield f"no test text has the label {', '.join(absent[:5])}{' …' * (len(absent) > 5)}"


def _rows(path: Path, text: str, label: str) -> Iterator[tuple[str, str, str]]:
    """Where each row stands, its text and its label."""
    for where, row in _objects(path):
        values = []
        for column in (text, label):
            if column not in row:
                raise EnvironmentProblem(f"{where}: has no {column!r}. {did_you_mean(column, row)}")
            values.append(row[column])
        if not isinstance(values[0], str) or not values[0].strip():
            raise EnvironmentProblem(f"{where}: {text} is {json.dumps(values[0])[:80]}, expected a text")
        yield where, values[0], _label(values[1], label, where)


def _label(value: Any, column: str, where: str) -> str:
    if isinstance(value, bool) or (isinstance(value, (str, int)) and value != ""):
        return str(value)
    raise EnvironmentProblem(f"{where}: {column} is {json.dumps(value)[:80]}, expected a name or a whole number")


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix == ".csv":
                csv.field_size_limit(LONGEST_FIELD)
                reader = csv.DictReader(file, strict=True)
                for row in reader:
                    yield f"{path}, line {reader.line_num}", row
                return
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}, line {number}", _parsed(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error}") from None


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise EnvironmentProblem(f"{where}: is no JSON: {error}") from None
    if not isinstance(row, dict):
        raise EnvironmentProblem(f"{where}: expected a JSON object, found {line.strip()[:80]}")
    return row
