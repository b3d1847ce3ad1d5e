"""What a program leaves while it runs: what it prints, and the records of its metrics in a file or between what it prints."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ablate.errors import EnvironmentProblem

TAIL = 2000  # characters of what a program printed that an error quotes
SEARCHED = 1_000_000  # bytes at the end in which the first error is looked for
ERROR = re.compile(r"^.*\b\w*(?:Error|Exception): .*$", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
LINE = 1_000_000  # bytes of a record
Found = tuple[Any, str]  # what a record says, and where it stands


class Reader(Protocol):
    """Where a program's records come from."""

    def new(self) -> Iterator[Found]:
        """Those that have come since the last call, while the program runs."""
        ...

    def rest(self) -> Iterator[Found]:
        """Those that are left when it has ended."""
        ...


@dataclass(frozen=True)
class Output:
    """What a program prints, in a file.

    Attributes:
        path: The file.
    """

    path: Path

    def tail(self) -> str:
        """The end of it, for a message, with the first error before it: launchers print pages of their own after that."""
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - SEARCHED))
            text = COLOUR.sub("", file.read().decode(errors="replace")).strip()
        if not text:
            return "It printed nothing."
        before = ERROR.search(text[:-TAIL])
        first = f"The first error that it printed: {before[0].strip()[:300]}\n" if before else ""
        return f"{first}The end of what it printed:\n{text[-TAIL:]}"


def reader_of(path: Path, pattern: str | None, output: Output) -> Reader:
    if pattern is not None:
        return _Printed(output.path, re.compile(pattern))
    return _JsonLines(path) if path.suffix == ".jsonl" else _Final(path)


class _Lines:
    """Whole lines of a file that grows."""

    def __init__(self, path: Path):
        self._path, self._at, self._number = path, 0, 0

    def __call__(self, last: bool = False) -> Iterator[tuple[int, str]]:
        """Number and text of each line that is new; where no more is to come, of one without an end, too."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            while line := file.readline(LINE + 1):
                if len(line) > LINE:
                    raise EnvironmentProblem(f"{self._path.name}: line {self._number + 1} is longer than {LINE:,} bytes")
                if not line.endswith(b"\n") and not last:
                    return
                self._at, self._number = self._at + len(line), self._number + 1
                yield self._number, line.decode(errors="replace").strip()


class _JsonLines:
    def __init__(self, path: Path):
        self._name, self._lines = path.name, _Lines(path)

    def new(self, last: bool = False) -> Iterator[Found]:
        for number, line in self._lines(last):
            if line:
                where = f"{self._name}, line {number}"
                yield _parsed(line, where), where

    def rest(self) -> Iterator[Found]:
        return self.new(last=True)


class _Printed:
    def __init__(self, path: Path, pattern: re.Pattern[str]):
        self._lines, self._pattern = _Lines(path), pattern

    def new(self, last: bool = False) -> Iterator[Found]:
        for number, line in self._lines(last):
            if match := self._pattern.search(line):
                where = f"line {number} of what it printed"
                yield {name: _read(text, where) for name, text in match.groupdict().items() if text is not None}, where

    def rest(self) -> Iterator[Found]:
        return self.new(last=True)


class _Final:
    """A file that is written at the end: JSON with one record, or CSV with a record a row."""

    def __init__(self, path: Path):
        self._path = path

    def new(self) -> Iterator[Found]:
        return iter(())

    def rest(self) -> Iterator[Found]:
        name = self._path.name
        if not self._path.is_file():
            raise EnvironmentProblem(f"it ended without the file {name!r} in its folder")
        if self._path.suffix == ".json":
            yield _parsed(self._path.read_text("utf-8", errors="replace"), name), name
            return
        with self._path.open(newline="", encoding="utf-8", errors="replace") as file:
            for number, row in enumerate(csv.DictReader(file), start=1):
                where = f"{name}, row {number}"
                yield {str(key): _read(str(text), where) for key, text in row.items() if text not in (None, "")}, where


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EnvironmentProblem(f"{where}: is no JSON: {error}: {text[:80]!r}") from None


def _read(text: str, where: str) -> float | int:
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else float(text)
    except ValueError:
        raise EnvironmentProblem(f"{where}: {text[:80]!r} is no number") from None
