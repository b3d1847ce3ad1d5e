"""A report as JSON and CSV, with all digits."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from ablate.blocking import grid_of
from ablate.contracts import Json
from ablate.spec.patch import show
from ablate.stats.records import Analysis, Effect, Tuned
from ablate.stats.summary import in_words, missing, reproduction
from ablate.study import Tuning
from ablate.version import JSON_VERSION

from .page import Page
from .reading import IMPORTED
from .tuning import setting

EFFECT_COLUMNS = {"n": "n_compared"} | {
    field.name: field.name for field in fields(Effect) if field.name not in ("variant", "n", "difference")
}


def as_json(pages: Sequence[Page]) -> str:
    """One study as an object, several as `{"studies": [...]}`; null stands for what is not known."""
    documents = [record(page) for page in pages]
    document = documents[0] if len(documents) == 1 else {"studies": documents}
    return json.dumps({"version": JSON_VERSION, **document}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def record(page: Page) -> Json:
    """A study and what is concluded from it as one JSON document."""
    study = page.study
    return {
        "name": study.name,
        "question": study.question,
        "answer": page.analysis.answer,
        "compare": asdict(study.compare),
        "factors": [asdict(factor) for factor in study.factors],
        "design": study.design,
        "variants": [asdict(variant) for variant in study.variants],
        "summary": _records(page.summary),
        "analysis": finite(asdict(page.analysis)),
        "cells": _records(study.cells),
        "missing": _records(missing(study)),
        "epochs": _records(study.epochs),
        "published": study.published,
        "reproduction": _records(reproduction(study)),
        "provenance": list(study.provenance),
        "notices": list(study.notices),
        "reused": list(study.reused),
        "tuning": study.tuning and _tuning(study.tuning),
        "split": study.split,
        "evaluations": [asdict(told) for told in study.evaluations],
        "inputs": [asdict(one) for one in study.inputs],
        "imported": study.imported and {"note": IMPORTED, **finite(asdict(study.imported))},
    }


def _tuning(tuning: Tuning) -> Json:
    return {**tuning.record(), "cells": _records(tuning.cells), "epochs": _records(tuning.epochs)}


def trials(tuning: Tuning) -> pd.DataFrame:
    """One row a cell of a trial: `variant`, `trial` (from 1), `chosen`, its `value`, the setting, and what `Study.cells` has."""
    rows = [
        {"variant": told.variant, "trial": i + 1, "chosen": i == told.chosen, "value": tried.value, "name": tried.name}
        | {path: show(value) if isinstance(value, (dict, list)) else value for path, value in tried.setting.items()}
        for told in tuning.variants
        for i, tried in enumerate(told.trials)
    ]
    cells = tuning.cells.rename(columns={"variant": "name"})
    return pd.DataFrame(rows).merge(cells, on="name").drop(columns="name")


def effects_of_design(analysis: Analysis) -> pd.DataFrame:
    """Main effects, interactions and shares with their intervals, and what these are from; no rows where the design has none.

    `judged_by` is `seeds`, `residual` (what the terms leave) or `contrasts` (small contrasts of the design; Lenth, 1989).
    """
    rows: list[dict[str, Any]] = []
    if found := analysis.factorial:
        terms = [{"what": "effect", **asdict(term), "aliases": ", ".join(term.aliases)} for term in found.terms]
        rows += [{**term, "judged_by": found.judged_by} for term in terms]
    if shares := analysis.attribution:
        for share in map(asdict, shares.rows):
            told = {"what": "share", "name": share.pop("factor"), "estimate": share.pop("value"), **share}
            rows.append({**told, "judged_by": shares.judged_by})
    return pd.DataFrame(rows)


def blocks(page: Page) -> pd.DataFrame:
    """The comparison over blocks, one row a variant, the reference among them; no rows where there are no blocks."""
    found = page.analysis.blocks
    if found is None:
        return pd.DataFrame()
    compared = {one.variant: asdict(one) for one in found.comparisons}
    rows = [{"variant": name, "mean_rank": rank, **compared.get(name, {})} for name, rank in found.ranks.items()]
    return pd.DataFrame(rows)


def _over_blocks(page: Page) -> pd.DataFrame:
    """For every variant of the summary: what it is called over the blocks, its block, and the comparison there."""
    compare = page.study.compare
    grid = grid_of(page.study.variants, compare.blocks, compare.reference)
    places = {name: (over, block) for over, own in grid.variants.items() for block, name in own.items()}
    over = blocks(page).set_index("variant").add_prefix("over_blocks_")
    frame = pd.DataFrame([places[name] for name in page.summary["variant"]], columns=["over_blocks", "block"])
    return frame.join(over, on="over_blocks")


def _records(frame: pd.DataFrame) -> Json:
    return finite(frame.astype(object).to_dict(orient="records"))


def finite(value: Json) -> Json:
    """A document with null for NaN and for infinity, which JSON does not have, and lists for tuples."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def as_csv(pages: Sequence[Page]) -> str:
    """One row a variant: the summary, with every number of its comparison; with a column `study` for several studies."""
    frames = []
    for page in pages:
        summary = page.summary.copy()
        effects = pd.DataFrame(
            [{**asdict(effect), "cautions": "; ".join(effect.cautions)} for effect in page.analysis.effects],
            columns=[f.name for f in fields(Effect)],
        )
        effects = effects.set_index("variant").reindex(summary["variant"]).reset_index(drop=True)
        summary["difference"] = effects["difference"].where(effects["difference"].notna(), summary["difference"])
        frame = pd.concat([summary, effects[list(EFFECT_COLUMNS)].rename(columns=EFFECT_COLUMNS)], axis=1)
        gaps = {name: in_words(rows) for name, rows in missing(page.study).groupby("variant")}
        frame["without_value"] = [
            "; ".join(f"{cell}: {reason}" for reason, cells in gaps.get(name, {}).items() for cell in cells)
            for name in frame["variant"]
        ]
        frame["metric"], frame["goal"] = page.study.compare.metric, page.study.compare.goal
        if page.study.imported:
            frame["imported"] = IMPORTED
        if page.analysis.tuned:
            frame = pd.concat([frame, _tuned(page.analysis.tuned)], axis=1)
        if page.analysis.blocks:
            frame = pd.concat([frame, _over_blocks(page)], axis=1)
        if len(pages) > 1:
            frame.insert(0, "study", page.study.name)
        frames.append(frame)
    return frame_csv(pd.concat(frames, ignore_index=True))


def _tuned(tuned: Sequence[Tuned]) -> pd.DataFrame:
    """What tuning brought each variant, in the order of the summary; the tuned mean is there already."""
    frame = pd.DataFrame([{**asdict(row), "setting": row.setting and setting(row.setting)} for row in tuned])
    names = {name: f"tuning_{name}" for name in ("setting", "chosen", "trials", "failed", "difference", "low", "high")}
    names |= {"seconds": "tuning_seconds", "share": "tuning_share"}
    return frame[["n_untuned", "untuned", "untuned_sd", *names]].rename(columns=names)


def frame_csv(frame: pd.DataFrame) -> str:
    """A frame as CSV whose text no spreadsheet takes for a formula; numbers are as they are."""
    safe = frame.rename(columns=lambda name: guarded(str(name)))
    return safe.map(lambda cell: guarded(cell) if isinstance(cell, str) else cell).to_csv(index=False)


def guarded(text: str) -> str:
    """Text with an apostrophe before what a spreadsheet would calculate (OWASP, "CSV Injection").

    A carriage return becomes a line feed: pandas puts quotes around the latter only, and a reader would begin a row at it.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")) else text
