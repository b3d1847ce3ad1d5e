"""Tables from files: columns of cells, with the line that each row is from. Text is read strictly, and nothing is guessed."""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import EnvironmentProblem, UsageError
from ablate.writing import storable

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS = 10_000
SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "<na>"))  # what stands for no number, in small letters
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*")
_WHOLE = re.compile(r"\s*[-+]?\d{1,18}\s*")
_SUMMARY = re.compile(r"\s*\$?[-+]?[\d.]+\s*(\(|\[|±|\+/?-|\$?\\pm)\s*[\d.]+\s*[)\]$]?\s*")  # a mean with its spread
_SPECIAL = re.compile(r"\s*[-+]?(inf(inity)?|nan)\s*", re.IGNORECASE)

Cell = Any  # text, a number, a truth value, None, or what JSON nests


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        source: What messages call it.
        columns: By name; as many cells in each as there are rows. Numbers where all cells of a column are, or are missing.
        rows: What messages call each row, such as `line 12`.
        notices: What was left out.
    """

    source: str
    columns: dict[str, list[Cell]]
    rows: list[str]
    notices: tuple[str, ...] = ()


def read(place: Any) -> Grid:
    """The table of a file, or of a pandas frame.

    Raises:
        UsageError: It is none, with the place of what is wrong.
        EnvironmentProblem: The file cannot be read, or what reads Parquet is not installed.
    """
    if not isinstance(place, (str, Path)):
        return _of_frame(place, "the frame", "row")
    path = Path(place)
    if path.suffix.lower() == ".parquet":
        return _of_frame(_parquet(path), path.name, "row")
    text = _text(path)
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return _of_json(text, path)
    return _of_text(text, path)


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise EnvironmentProblem(f"{path}: cannot be read: {error.strerror or error}.") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: line {line} is not UTF-8. Save the table as UTF-8, and judge that.") from None


def _of_text(text: str, path: Path) -> Grid:
    """CSV (RFC 4180) with commas, semicolons or tabs: whichever the first line has most of."""
    head = text[: text.find("\n") if "\n" in text else len(text)]
    separator = "\t" if path.suffix.lower() == ".tsv" else max(",;\t", key=head.count)
    if head.count(separator) >= MOST_COLUMNS:
        raise UsageError(
            f"{path}: the first line has {head.count(separator) + 1:,} columns, and a table has at most {MOST_COLUMNS:,}."
        )
    before = csv.field_size_limit(len(text) + 1)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        names = next(lines, None)
        if not names or not any(name.strip() for name in names):
            raise UsageError(f"{path}: the first line is empty. Write the names of the columns there.")
        body, places = [], []
        for row in lines:
            if not row:
                continue
            if len(row) != len(names):
                raise UsageError(
                    f"{path}: line {lines.line_num} has {len(row)} cells, and the first line names {len(names)} columns."
                )
            body.append(row)
            places.append(f"line {lines.line_num}")
    except csv.Error as error:
        raise UsageError(f"{path}: line {lines.line_num}: {error}.") from None
    finally:
        csv.field_size_limit(before)
    names, columns, notices = _named(
        path.name, names, [list(column) for column in zip(*body, strict=True)] or [[] for _ in names]
    )
    typed = {name: _typed(column) for name, column in zip(names, columns, strict=True)}
    return _filled(Grid(path.name, typed, places, notices))


def _named(source: str, names: Sequence[str], columns: list[list[str]]) -> tuple[list[str], list[list[str]], tuple[str, ...]]:
    """Names without spaces around them; a first column without one, as pandas writes an index, gets one, or is left out where it
    counts the rows."""
    names = [name.strip() for name in names]
    notices: tuple[str, ...] = ()
    if names[0] in ("", "Unnamed: 0") and columns[0] == [str(i) for i in range(len(columns[0]))]:
        names, columns, notices = names[1:], columns[1:], ("The first column has no name and counts the rows: it is left out",)
    elif not names[0] and "column 1" not in names:
        names, notices = ["column 1", *names[1:]], ("The first column has no name, and is called 'column 1'",)
    bare = [i + 1 for i, name in enumerate(names) if not name]
    if bare:
        raise UsageError(f"{source}: column {bare[0]} has no name. Name it in the first line.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        places = [str(i + 1) for i, name in enumerate(names) if name == twice[0]]
        more = f" So are {len(twice) - 1} other names." if len(twice) > 1 else ""
        raise UsageError(
            f"{source}: the name {twice[0]!r} is there {len(places)} times, as column {' and '.join(places[:5])}.{more} "
            "Rename or remove one: nobody can tell which is meant."
        )
    return names, columns, notices


def _typed(cells: list[str]) -> list[Cell]:
    """Numbers where there are some and nothing else but what stands for a missing one; else the text."""
    numbers: dict[str, Cell] = {}  # each distinct cell once: there are few of most
    some = False
    for cell in dict.fromkeys(cells):
        if _NUMBER.fullmatch(cell):
            numbers[cell] = _of_digits(cell)
            some = True
            continue
        numbers[cell] = number(cell)
        if cell.strip().lower() not in MISSING and not _SPECIAL.fullmatch(cell):
            return [cell.strip() for cell in cells]
    return [numbers[cell] for cell in cells] if some else [cell.strip() for cell in cells]


def number(cell: Cell) -> float | int | None:
    """A cell as a number with all its digits, NaN where it says that it is none; None where it is empty or is not a number."""
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return cell
    if not isinstance(cell, str):
        return None
    if _NUMBER.fullmatch(cell):
        return _of_digits(cell)
    if _SPECIAL.fullmatch(cell):
        return float(cell)
    return None


def _of_digits(cell: str) -> float | int:
    return int(cell) if _WHOLE.fullmatch(cell) else float(cell)


def _of_json(text: str, path: Path) -> Grid:
    """An object a line, or one list of them; nested objects become dotted columns."""
    from ablate.judging.runs import flat

    records: list[Any] = []
    places: list[str] = []
    if text.lstrip().startswith("["):
        try:
            records = json.loads(text)
        except ValueError as error:
            raise UsageError(f"{path}: it is not JSON: {error}.") from None
        places = [f"entry {i}" for i in range(1, len(records) + 1)]
    elif isinstance(whole := _whole(text), dict):
        records, places = [whole], ["the object"]
    else:
        for i, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    records.append(json.loads(line))
                except (ValueError, RecursionError) as error:
                    raise UsageError(f"{path}: line {i} is not JSON: {error}.") from None
                places.append(f"line {i}")
    wrong = next((place for place, record in zip(places, records, strict=True) if not isinstance(record, dict)), None)
    if wrong:
        raise UsageError(
            f'{path}: {wrong} is not an object. Write one object a run, or one a step, such as {{"seed": 0, "acc": 0.9}}.'
        )
    return _of_records([_storable(flat(record)) for record in records], path.name, places)


def _storable(record: dict[str, Cell]) -> dict[str, Cell]:
    """A record without lone surrogates, which JSON can write and UTF-8 cannot: they become their escapes."""
    return {storable(name): storable(cell) if isinstance(cell, str) else cell for name, cell in record.items()}


def _whole(text: str) -> Any:
    """What a text is as one JSON document; None where it is none, such as several lines of them."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_records(records: Sequence[dict[str, Cell]], source: str, places: list[str]) -> Grid:
    names = list(dict.fromkeys(name for record in records for name in record))
    if len(names) > MOST_COLUMNS:
        raise UsageError(f"{source}: there are {len(names):,} names, and a table has at most {MOST_COLUMNS:,} columns.")
    return _filled(Grid(source, {name: [record.get(name) for record in records] for name in names}, places))


def _parquet(path: Path) -> "pd.DataFrame":
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except ImportError:
        raise EnvironmentProblem(f"{path}: reading Parquet needs pyarrow. Run `pip install pyarrow`.") from None
    except Exception as error:  # of a library that reads what anybody wrote
        raise UsageError(f"{path}: cannot be read as Parquet: {error}.") from None


def _of_frame(frame: Any, source: str, what: str) -> Grid:
    """A pandas frame; an index that has names becomes columns."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise UsageError(f"a table is a path or a pandas frame, and this is a {type(frame).__name__}.")
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [".".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(f"{source} has the column {twice[0]!r} {names.count(twice[0])} times. Rename or remove one.")
    columns = {name: [_plain(cell) for cell in frame.iloc[:, i].tolist()] for i, name in enumerate(names)}
    return _filled(Grid(source, columns, [f"{what} {i}" for i in range(len(frame))]))


def _plain(cell: Any) -> Cell:
    import pandas as pd

    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, (str, bool, int, float, list, dict)):
        return cell
    return cell.item() if hasattr(cell, "item") else str(cell)


def _filled(grid: Grid) -> Grid:
    if not grid.rows:
        raise UsageError(f"{grid.source}: there is no row below the names of the columns.")
    return grid


def is_number(column: Sequence[Cell]) -> bool:
    """Whether a column has numbers and nothing else, missing cells aside."""
    kinds = set(map(type, column)) - {type(None)}
    return bool(kinds) and all(issubclass(kind, (int, float)) and kind is not bool for kind in kinds)


def strange(grid: Grid, name: str) -> Iterator[tuple[str, Cell]]:
    """The rows of a column that are to be numbers and are not, with what stands there."""
    if is_number(grid.columns[name]):
        return
    for row, cell in zip(grid.rows, grid.columns[name], strict=True):
        empty = cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)
        if not empty and number(cell) is None:
            yield row, cell


def summaries(grid: Grid, columns: Iterable[str]) -> str:
    """A sentence where cells are means with their spread, such as `93.3 ± 0.5`; empty where they are not."""
    for name in columns:
        cell = next((cell for cell in grid.columns[name] if isinstance(cell, str) and _SUMMARY.fullmatch(cell)), None)
        if cell is not None:
            return f"{name!r} has means with their spread, such as {cell!r}, and a verdict takes the runs that they are of."
    return ""


def same(one: Cell, other: Cell) -> bool:
    """Whether two cells say the same; NaN is like NaN."""
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or (one == other and isinstance(one, bool) == isinstance(other, bool))
