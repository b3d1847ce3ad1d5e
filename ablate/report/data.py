"""A report as JSON and CSV, with all digits."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from ablate.stats.records import Effect
from ablate.stats.summary import reproduction

from .content import Page

Json = Any
EFFECT_COLUMNS = {"n": "n_compared"} | {
    field.name: field.name for field in fields(Effect) if field.name not in ("variant", "n", "difference")
}


def as_json(pages: Sequence[Page]) -> str:
    """One study as an object, several as `{"studies": [...]}`; null stands for what is not known."""
    documents = [record(page) for page in pages]
    document = documents[0] if len(documents) == 1 else {"studies": documents}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


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
        "epochs": _records(study.epochs),
        "published": study.published,
        "reproduction": _records(reproduction(study)),
        "provenance": list(study.provenance),
    }


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
        effects = pd.DataFrame([asdict(effect) for effect in page.analysis.effects], columns=[f.name for f in fields(Effect)])
        effects = effects.set_index("variant").reindex(summary["variant"]).reset_index(drop=True)
        summary["difference"] = effects["difference"].where(effects["difference"].notna(), summary["difference"])
        frame = pd.concat([summary, effects[list(EFFECT_COLUMNS)].rename(columns=EFFECT_COLUMNS)], axis=1)
        if len(pages) > 1:
            frame.insert(0, "study", page.study.name)
        frames.append(frame)
    return frame_csv(pd.concat(frames, ignore_index=True))


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
