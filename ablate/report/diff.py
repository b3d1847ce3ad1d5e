"""Two cells, or two studies, side by side: recipe, environment, results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ablate.contracts import Json
from ablate.errors import UsageError, did_you_mean
from ablate.spec.patch import changes, flatten, join, replace, split
from ablate.stats.summary import summarise
from ablate.store import Store
from ablate.study import Study

from .console import text
from .data import finite
from .tables import NOTHING, decimals, make_table
from .terminal import table_view


@dataclass(frozen=True)
class Difference:
    """What differs between two cells or two studies.

    Attributes:
        kind: What is compared.
        one: Key of the first cell, or name of the first study.
        other: The same of the second.
        recipe: One line a path of the recipes (of the specs, for studies) that differs, such as `optimizer.lr: 0.1 → 0.2`.
        environment: The same for machine, packages, device and data.
        results: One record a number of two cells, or a variant of two studies: `name`; `one` and `other`, for studies the means
            of their metrics; `difference`, None between what is no number or of different metrics; for studies, `one_sd`,
            `one_n`, `other_sd` and `other_n`.
    """

    kind: Literal["cells", "studies"]
    one: str
    other: str
    recipe: tuple[str, ...]
    environment: tuple[str, ...]
    results: tuple[dict[str, Json], ...]


def difference(store: Store, one: str, other: str) -> Difference:
    """Compares two studies by their names, or two cells by their keys or the first characters of these.

    Raises:
        UsageError: The store has no such study or cell, more than one, or one study and one cell.
    """
    studies = store.studies()
    are_studies = [name in studies for name in (one, other)]
    if all(are_studies):
        return _studies(store, one, other)
    if any(are_studies):
        study, cell = (one, other) if are_studies[0] else (other, one)
        _cell(store, cell, studies)
        raise UsageError(f"{study!r} is a study and {cell!r} is a cell. Give two studies or two cells.")
    return _cells(_cell(store, one, studies), _cell(store, other, studies))


def _cell(store: Store, prefix: str, studies: list[str]) -> dict[str, Json]:
    """The one cell whose key begins so."""
    rows = store.cells(prefix)
    if not rows or not prefix:
        raise UsageError(f"{store.directory} has no study or cell {prefix!r}. {did_you_mean(prefix, studies)}".strip())
    if len(rows) > 1:
        keys = ", ".join(row["key"][:16] for row in rows)
        raise UsageError(f"several cells begin with {prefix!r}: {keys} … Give more of the key.")
    return rows[0]


def _cells(one: dict[str, Json], other: dict[str, Json]) -> Difference:
    recipes = [{"seed": cell["seed"], **cell["recipe"]} for cell in (one, other)]
    places = [{"device": cell["device"], "identity": cell["identity"], "machine": cell["provenance"]} for cell in (one, other)]
    numbers = [
        {**cell["metrics"], **{name: cell[name] for name in ("seconds", "parameters", "weights_sha256", "status")}}
        for cell in (one, other)
    ]
    return Difference("cells", one["key"], other["key"], changes(*recipes), changes(*places), tuple(_side_by_side(*numbers)))


def _studies(store: Store, one: str, other: str) -> Difference:
    specs = [store.spec(name) for name in (one, other)]
    studies = [store.study(name) for name in (one, other)]
    summaries = [{row["variant"]: row for row in summarise(study).to_dict("records")} for study in studies]
    before, after = ({name: value for name, value in spec.items() if name not in ("name", "$schema")} for spec in specs)
    places = [_environment(study) for study in studies]
    results = _side_by_side(*({name: row["mean"] for name, row in summary.items()} for summary in summaries))
    comparable = studies[0].compare.metric == studies[1].compare.metric
    for result in results:
        for side, summary in zip(("one", "other"), summaries, strict=True):
            row = summary.get(result["name"], {})
            result |= {f"{side}_n": row.get("n", 0), f"{side}_sd": finite(row.get("sd"))}
        result["difference"] = result["difference"] if comparable else None
    return Difference("studies", one, other, changes(before, after), changes(*places), tuple(results))


def _environment(study: Study) -> dict[str, Json]:
    """Every value that the machines of a study's cells had, by its path."""
    found: dict[str, dict[str, None]] = {}
    for record in filter(None, study.provenance):  # of cells that nobody noted a machine of there is nothing to tell
        for path, value in flatten(record).items():
            found.setdefault(path, {})[str(value)] = None
    for one in study.inputs:
        place = join(join(join("weights", one.study), one.variant), f"seed {one.seed}")
        found[place] = {one.sha256[:12]: None}
    merged: dict[str, Json] = {}
    for path, values in found.items():
        merged = replace(merged, split(path), ", ".join(values))
    return merged


def _side_by_side(one: Mapping[str, Json], other: Mapping[str, Json]) -> list[dict[str, Json]]:
    """What has a name on either side, with null where one side does not have it."""
    rows = []
    for name in {**one, **other}:
        values = [finite(side.get(name)) for side in (one, other)]
        both = all(isinstance(value, (int, float)) for value in values)
        rows.append({"name": name, "one": values[0], "other": values[1], "difference": values[1] - values[0] if both else None})
    return rows


def diff_view(found: Difference, width: int) -> RenderableType:
    """A difference in a window of so many characters."""
    names = [name[:12] if found.kind == "cells" else name for name in (found.one, found.other)]
    parts: list[RenderableType] = [text(f"{found.kind} {names[0]} and {names[1]}", "bold")]
    titles = {"recipe": "recipe" if found.kind == "cells" else "spec", "environment": "environment"}
    for part, title in titles.items():
        lines = getattr(found, part)
        parts += [Text(), text(title if lines else f"{title}: the same", "bold")]
        parts += [Padding(text(line.removeprefix(".")), (0, 0, 0, 4), expand=False) for line in lines]
    means = found.kind == "studies"
    form = ".4g"
    if means:
        form = f".{decimals(row[side] for row in found.results for side in ('one', 'other') if row[side] is not None)}f"
    rows = [
        [row["name"], _shown(row, "one", form), _shown(row, "other", form), _shown(row, "difference", form, "+")]
        for row in found.results
    ]
    first = "variant" if means else "result"
    headings = [first, *(names if names[0] != names[1] else ["one", "other"]), "difference"]
    return Group(*parts, Text(), table_view(make_table(headings, rows), width))


def _shown(row: dict[str, Json], side: str, form: str, sign: str = "") -> str:
    """A value in a format such as `.2f`, with standard deviation and number of cells where it is the mean of some."""
    value = row[side]
    if value is None:
        return NOTHING
    if not isinstance(value, float):
        return f"{value:{sign}d}" if isinstance(value, int) else str(value)[:16]
    shown = f"{value:{sign}{form}}"
    if (sd := row.get(f"{side}_sd")) is not None:
        shown += f" ± {sd:{form}}"
    return f"{shown} (n {row[f'{side}_n']})" if f"{side}_n" in row else shown
