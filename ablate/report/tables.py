"""Numbers as text, and tables of them: what every format shows in its own way."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
        headings: One a column; the first column names the row.
        rows: As many cells as there are headings in each.
        words: The headings of the columns that hold words; the others hold numbers.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[str]

    def without(self, headings: Container[str]) -> "Table":
        """The table without these columns."""
        places = [index for index, heading in enumerate(self.headings) if heading not in headings]
        rows = tuple(tuple(row[index] for index in places) for row in self.rows)
        return Table(tuple(self.headings[index] for index in places), rows, self.words)


def make_table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: Iterable[str] = ()) -> Table:
    """A table whose first column holds words, without the columns that say nothing in any row."""
    made = Table(tuple(headings), tuple(tuple(row) for row in rows), frozenset({headings[0], *words}))
    columns = zip(made.headings, zip(*made.rows, strict=True), strict=False)
    return made.without([heading for heading, cells in columns if not set(cells) - {"", NOTHING}])


def decimals(values: Iterable[float]) -> int:
    """How many decimals show four digits of the largest of these values."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return min(8, max(0, 4 - math.ceil(math.log10(largest)))) if largest else 4


def measured(mean: float, sd: float, digits: int) -> str:
    """A mean with its standard deviation; without one where there is a single value."""
    return number(mean, f".{digits}f") if math.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def number(value: float, form: str) -> str:
    """A number in a format such as `.2f`; a dash for NaN."""
    return NOTHING if math.isnan(value) else format(value, form)


def interval(low: float, high: float, digits: int) -> str:
    """Both ends with their signs; a dash where there is no interval."""
    return NOTHING if math.isnan(low) or math.isnan(high) else f"[{low:+z.{digits}f}, {high:+z.{digits}f}]"


def probability(p: float) -> str:
    """A p-value with three decimals, and never as zero."""
    return "< 0.001" if p < 0.001 else number(p, ".3f")


def duration(seconds: float) -> str:
    """Seconds as people say them, such as `1 min 20 s`."""
    if math.isnan(seconds):
        return NOTHING
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def count(row: Mapping[Any, Any]) -> str:
    """Number of values, and of cells that have none."""
    gaps = [f"{row[name]} {name}" for name in ("failed", "diverged", "missing") if row[name]]
    return f"{row['n']} ({', '.join(gaps)})" if gaps else str(row["n"])


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in words, such as `0–4, 7`; the first few of many."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    told = [str(part[0]) if len(part) == 1 else f"{part[0]}{'–' if part[-1] > part[0] + 1 else ', '}{part[-1]}" for part in parts]
    return ", ".join(told[:8]) + (" …" if len(told) > 8 else "")


def plural(n: int, noun: str) -> str:
    """A number of things, such as `1 cell` or `1,000 cells`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def room(size: float) -> str:
    """Bytes as people say them, such as `1.2 GB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 100 else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
