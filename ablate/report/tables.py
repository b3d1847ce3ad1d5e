"""A study's summary as Markdown, CSV and JSON."""

import html
import math
from collections.abc import Mapping
from typing import Any, cast

import pandas as pd

from ablate.stats.summary import by_epoch, reproduction, summarise
from ablate.study import Study

Json = Any
HEADINGS = ("variant", "n", "mean ± sd", "difference", "published", "time/cell")
REPRODUCTION = ("metric", "variant", "n", "measured", "published", "measured - published")


def measured(mean: float, sd: float) -> str:
    """A mean with its standard deviation; without one where there is a single value."""
    if math.isnan(mean):
        return "–"
    return f"{mean:.4f}" if math.isnan(sd) else f"{mean:.4f} ± {sd:.4f}"


def number(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def duration(seconds: float) -> str:
    """Seconds as people say them, such as `1 min 20 s`."""
    if math.isnan(seconds):
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def count(row: Mapping[Any, Any]) -> str:
    """Number of values, and of cells that have none."""
    gaps = [f"{row[name]} {name}" for name in ("failed", "missing") if row[name]]
    return f"{row['n']} ({', '.join(gaps)})" if gaps else str(row["n"])


def rows(study: Study) -> list[tuple[str, ...]]:
    """The summary as text, in the order of `HEADINGS`; the columns without any value are left out by `columns`."""
    result: list[tuple[str, ...]] = []
    for row in _rows(summarise(study)):
        is_reference = row["variant"] == study.compare.reference
        difference = "reference" if is_reference else number(row["difference"], "+.4f")
        result.append(
            (
                str(row["variant"]),
                count(row),
                measured(row["mean"], row["sd"]),
                difference,
                number(row["published"], ".4g"),
                duration(row["seconds"]),
            )
        )
    return result


def reproduction_rows(study: Study) -> list[list[str]]:
    """Published beside measured numbers as text, in the order of `REPRODUCTION`."""
    return [
        [
            row["metric"],
            row["variant"],
            str(row["n"]),
            measured(row["measured"], row["sd"]),
            number(row["published"], ".4g"),
            number(row["difference"], "+.4f"),
        ]
        for row in _rows(reproduction(study))
    ]


def columns(study: Study) -> list[int]:
    """Which of `HEADINGS` a table of this study has: `published` only where somebody published something."""
    return [index for index, name in enumerate(HEADINGS) if name != "published" or study.published]


def caption(study: Study) -> str:
    """What the numbers are."""
    at = "the last epoch" if study.compare.at == "last" else f"epoch {study.compare.at}"
    text = f"{study.compare.metric} at {at}; differences from {study.compare.reference!r}"
    return f"{text}; published: {study.published['source']}" if study.published else text


def markdown(study: Study) -> str:
    """The summary, the published curves and the failed cells as Markdown."""
    kept = columns(study)
    lines = [f"# {_md(study.name)}", ""]
    if study.question:
        lines += [_md(study.question), ""]
    lines += _md_table([HEADINGS[i] for i in kept], [[row[i] for i in kept] for row in rows(study)])
    lines += ["", f"{_md(caption(study))}.", ""]
    changes = [variant for variant in study.variants if variant.changes]
    if changes:
        lines += ["## What each variant changes", ""]
        lines += [f"- {_md(variant.name)}: {'; '.join(_md(change) for change in variant.changes)}" for variant in changes]
        lines.append("")
    if study.published:
        lines += ["## Published and measured", "", f"Published: {_md(study.published['source'])}.", ""]
        lines += [*_md_table(list(REPRODUCTION), reproduction_rows(study)), ""]
    curves = by_epoch(study)
    if any(str(column).endswith("(published)") for column in curves.columns):
        lines += [f"## {_md(study.compare.metric)} by epoch", ""]
        body = [[str(epoch), *(number(value, ".4g") for value in values)] for epoch, *values in curves.itertuples()]
        lines += [*_md_table(["epoch", *(str(column) for column in curves.columns)], body), ""]
    failed = study.cells[study.cells["status"] == "failed"]
    if len(failed):
        lines += ["## Failed cells", ""]
        lines += [f"- {_md(row['variant'])}, seed {row['seed']}: {_md(str(row['error']))}" for row in _rows(failed)]
        lines.append("")
    return "\n".join(lines)


def _md_table(headings: list[str], body: list[list[str]]) -> list[str]:
    align = ["---" if heading in ("metric", "variant") else "---:" for heading in headings]
    table = [headings, align, *body]
    return [f"| {' | '.join(cell if row is align else _md(cell) for cell in row)} |" for row in table]


def _md(text: str) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{character}" if character in "\\`*_[]|#" else character for character in escaped)


def csv(study: Study) -> str:
    """The summary with all digits."""
    return summarise(study).to_csv(index=False)


def record(study: Study) -> Json:
    """The study as one JSON document: summary, variants, cells and epochs."""
    return {
        "name": study.name,
        "question": study.question,
        "compare": vars(study.compare),
        "variants": [vars(variant) for variant in study.variants],
        "summary": _records(summarise(study)),
        "cells": _records(study.cells),
        "epochs": _records(study.epochs),
        "published": study.published,
        "reproduction": _records(reproduction(study)),
        "provenance": list(study.provenance),
    }


def _records(frame: pd.DataFrame) -> Json:
    """Rows as JSON has them: null for NaN."""
    return frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
