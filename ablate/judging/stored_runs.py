"""Stores of ablate as a source of runs: those that somebody else made, or several studies together."""

import json
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ablate.errors import UsageError, did_you_mean
from ablate.judging.runs import Asked, Curve, Run, Runs, Status
from ablate.store import Store
from ablate.study import Study


def ablate(asked: Asked, /, *, study: str | None = None) -> Runs:
    """A store of ablate, such as that of somebody else; nothing is written to it.

    Settings are the levels of the factors, or the name of the variant; metrics are those of every epoch.

    Args:
        study: Name of the study; the only one of the store unless given.
    """
    with Store(Path(asked.place), create=False) as opened:
        names = opened.studies()
        if study is None and len(names) != 1:
            example = json.dumps({"use": "ablate", "study": names[0] if names else "NAME"})
            raise UsageError(
                f"{asked.place} has {len(names)} studies: {', '.join(names[:8])}. Choose one with --source '{example}'."
            )
        if study is not None and study not in names:
            raise UsageError(f"{asked.place} has no study {study!r}. {did_you_mean(study, names)}".strip())
        found, spec = opened.study(study or names[0]), opened.spec(study or names[0])
    metrics = [name for name in found.cells.columns if name in found.epochs or name == found.compare.metric]
    metrics = [name for name in metrics if name not in ("variant", "seed", "seconds")]
    levels = {variant.name: variant.levels or {"variant": variant.name} for variant in found.variants}
    if any(not variant.levels for variant in found.variants):  # a named patch has none
        levels = {variant.name: {"variant": variant.name} for variant in found.variants}
    curves: dict[Any, pd.DataFrame] = dict(iter(found.epochs.groupby(["variant", "seed"], sort=False)))
    runs = tuple(
        Run(
            f"cell {str(row['key'])[:12]}",
            {**levels[row["variant"]], "seed": row["seed"]},
            _metrics(row, curves.get((row["variant"], row["seed"])), metrics),
            cast("Status", row["status"] if row["status"] in ("done", "failed", "running") else "interrupted"),
            str(row["error"] or ("it was not run" if row["status"] == "missing" else "")),
        )
        for row in cast("list[dict[str, Any]]", found.cells.to_dict("records"))
    )
    return Runs(runs, _notices(found), goals={found.compare.metric: found.compare.goal}, spec=spec)


def recognises(place: Any) -> bool:
    """Whether it is a folder with a store."""
    return isinstance(place, (str, Path)) and (Path(place) / "store.sqlite").is_file()


ablate.recognises = recognises  # type: ignore[attr-defined]


def _metrics(row: dict[str, Any], curve: "pd.DataFrame | None", names: list[str]) -> dict[str, Curve]:
    """Each epoch's; the last is what the cell's result has, which is that of the selected epoch where the recipe selects one."""
    found = {}
    for name in names:
        steps = [] if curve is None or name not in curve else [int(step) for step in curve["epoch"]]
        values = [] if curve is None or name not in curve else [float(value) for value in curve[name].astype(float)]
        if name in row and row["status"] == "done":
            steps, values = steps or [0], [*values[:-1], float(row[name])]
        if steps:
            found[name] = Curve(steps, values)
    return found


def _notices(study: Study) -> tuple[str, ...]:
    said = [f"The study {study.name!r} of the store"]
    if study.stopping:
        said.append(
            "Its seeds were added by a stopping rule, which counts for nothing here: `ablate report` has its own verdicts"
        )
    if study.compare.failed == "worst":
        said.append("It counts failed runs as the worst; here they are missing")
    return tuple(said)
