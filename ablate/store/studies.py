"""A study as a record, from what a store has of it and of its cells."""

from collections.abc import Sequence
from typing import Any

from ablate import names
from ablate.contracts import EPOCH_NUMBERS, Factor, Json, believed
from ablate.study import Compare, Evaluated, Input, Stopping, Study, Tuning, VariantInfo

from .access import Access, dump, load
from .drivers import Drivers
from .keeping import Evaluations, Kept


def read_study(access: Access, drivers: Drivers, kept: Kept, evaluations: Evaluations, name: str, plan: Json) -> Study:
    """A study with what is known of its cells.

    Args:
        access: The rows.
        drivers: Who trains cells now.
        kept: What is kept of cells beside their results.
        evaluations: What was measured of cells after their training.
        name: That of the study.
        plan: What was stored of its plan.

    Raises:
        LookupError, TypeError, AttributeError, ValueError: Something is not what ablate writes.
    """
    names.checked([name, *names.of_plan(plan)])
    cells, epochs, provenance = _frames(access, drivers, name, plan["metrics"])
    later = _evaluated(evaluations, name, cells)
    tuning = None
    if plan.get("tuning"):
        own = [frame["variant"].isin([variant["name"] for variant in plan["variants"]]) for frame in (cells, epochs)]
        tuning = Tuning.from_record(plan["tuning"], cells[~own[0]], epochs[~own[1]])
        cells, epochs = (frame[rows].reset_index(drop=True) for frame, rows in zip((cells, epochs), own, strict=True))
    of_images = _is_of_images(access, name)
    return Study(
        name=name,
        question=plan["question"],
        compare=Compare(**{**plan["compare"], "blocks": tuple(plan["compare"].get("blocks", ()))}),
        variants=tuple(VariantInfo(v["name"], v["levels"], tuple(v["changes"])) for v in plan["variants"]),
        cells=cells,
        epochs=epochs,
        published=plan["published"],
        provenance=provenance,
        factors=tuple(Factor(f["name"], f["base"], tuple(f["others"])) for f in plan.get("factors", ())),
        design=plan.get("design"),
        stopping=Stopping(**plan["stopping"]) if plan.get("stopping") else None,
        tuning=tuning,
        notices=tuple(plan.get("notices", ())),
        reused=tuple(plan.get("reused", ())),
        split=plan.get("split"),
        evaluations=later,
        predictions=kept.predictions_of if of_images else None,
        thumbnails=kept.thumbnails_of(name) if of_images else None,
        inputs=tuple(Input(**one) for one in plan.get("inputs", ())),
    )


def _is_of_images(access: Access, study: str) -> bool:
    """Whether ablate's own trainer trains cells of a study: their recipes have no `use`."""
    query = """SELECT 1 FROM study_cells m JOIN cells c ON c.key = m.key
               WHERE m.study = ? AND json_extract(c.recipe, '$.use') IS NULL LIMIT 1"""
    return bool(access.read(query, study))


def _evaluated(evaluations: Evaluations, name: str, cells: Any) -> tuple[Evaluated, ...]:
    """Adds to the cells a column for what was measured of them afterwards, and says what each of these columns is of."""
    by_column: dict[str, Evaluated] = {}
    for cell, column, one in evaluations.of_study(name):
        if column not in by_column:
            names.checked([column])
            cells[column] = float("nan")
            by_column[column] = Evaluated(column, one.images, one.about)
        cells.loc[cells["key"] == cell, column] = float("nan") if one.value is None else one.value
    return tuple(by_column.values())


def _frames(access: Access, drivers: Drivers, name: str, metrics: Sequence[str]) -> tuple[Any, Any, tuple[dict[str, Json], ...]]:
    """The cells and the epochs of a study as `Study` has them, and the distinct provenances of those that are done."""
    import pandas as pd

    rows = access.read(
        """SELECT m.variant, m.seed, m.key, c.status, c.owner, c.error, c.seconds, c.parameters, c.weights_sha256, c.metrics,
                  c.provenance
           FROM study_cells m LEFT JOIN cells c ON c.key = m.key WHERE m.study = ? ORDER BY m.position""",
        name,
    )
    columns = ["variant", "seed", "key", "status", "error", "seconds", "parameters", "weights_sha256"]
    told = [{**{c: row[c] for c in columns}, "status": drivers.status(row["status"], row["owner"])} for row in rows]
    cells = pd.DataFrame(told, columns=columns)
    places = [load(row["provenance"]) for row in rows]
    cells["evaluated_images"] = [float(place.pop("evaluated_images", None) or "nan") for place in places]
    records = _records(access, name, rows)
    for metric in metrics:
        values = [found.get(metric) for _, found in records]
        cells[metric] = pd.array(values, dtype="Float64").to_numpy("float64", na_value=float("nan"))
    epochs = pd.DataFrame(
        [{"variant": r["variant"], "seed": r["seed"], **e} for r, (own, _) in zip(rows, records, strict=True) for e in own]
    )
    for column in ("variant", "seed", *EPOCH_NUMBERS, *metrics):  # trainers tell what they have
        if column not in epochs:
            epochs[column] = float("nan") if len(epochs) else None
    distinct = dict.fromkeys(dump(place) for place, row in zip(places, rows, strict=True) if row["status"] == "done")
    return cells, epochs, tuple(load(text) for text in distinct)


def _records(access: Access, name: str, rows: Sequence[Any]) -> list[tuple[list[Json], Json]]:
    """The epochs and the metrics of each of these cells of a study, as far as they are believed."""
    found = access.read(
        """SELECT m.variant, m.seed, e.record FROM study_cells m JOIN epochs e ON e.key = m.key
           WHERE m.study = ? ORDER BY m.position, e.epoch""",
        name,
    )
    by_cell: dict[tuple[str, int], list[Json]] = {(row["variant"], row["seed"]): [] for row in rows}
    for row in found:
        by_cell[row["variant"], row["seed"]].append(load(row["record"]))
    names.checked([*(row["variant"] for row in rows), *(key for own in by_cell.values() for record in own for key in record)])
    return [believed(by_cell[row["variant"], row["seed"]], load(row["metrics"])) for row in rows]
