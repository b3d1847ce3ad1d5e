"""What a report says, section by section, before any format makes text of it."""

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from ablate.blocking import grid_of
from ablate.stats.records import Analysis
from ablate.stats.summary import by_epoch, in_words, missing, reproduction, summarise
from ablate.stats.training import notes as training_notes
from ablate.stats.wording import verdict
from ablate.study import Study

from . import per_image
from .blocks import block_notes, over, sizes_table, verdicts_table
from .cost import cost
from .critical_difference import ranks_picture
from .designs import factorial_notes, shares_notes, shares_table, terms_table, variances_table, where_alone
from .figures import attribution_picture, curves_picture, effects_picture, interactions_picture, terms_picture
from .page import Page, Section
from .reading import caption, covered, given_up, interval_heading, p_heading, reading
from .tables import NOTHING, Table, count, decimals, interval, make_table, measured, number, plural, probability, ranges
from .tuning import notes as tuning_notes
from .tuning import tuning_table

COMPARISON = "comparison"  # the section with the verdicts


def page(study: Study, analysis: Analysis | None = None) -> Page:
    """The report of a study, which is analysed unless that was done before."""
    if analysis is None:
        from ablate.stats.analysis import analyse  # scipy and statsmodels take half a second

        analysis = analyse(study)
    summary = summarise(study)
    digits = decimals(summary["mean"])
    sections = [
        runs_read(study),
        *_comparisons(study, analysis, summary, digits),
        _tuning(study, analysis, digits),
        _curves(study, summary),
        _factorial(study, analysis, digits),
        _attribution(study, analysis, digits),
        *per_image.sections(study, analysis, Section("")),
        _published(study, digits),
        evaluated(study),
        _changes(study),
        _inputs(study),
        cost(study, summary, analysis.effects),
        _failures(study),
        _data(study),
        _missing(study),
        _trainings(study),
        _provenance(study),
        Section("How to read it", notes=reading(study, analysis)),
    ]
    return Page(study, analysis, summary, tuple(section for section in sections if section))


def verdicts(study: Study) -> Page:
    """The report of a study up to its verdicts, without what its predictions say: a third of the work, or less."""
    from ablate.stats.analysis import analyse

    analysis, summary = analyse(replace(study, predictions=None)), summarise(study)
    return Page(study, analysis, summary, tuple(_comparisons(study, analysis, summary, decimals(summary["mean"]))))


def overview(pages: Sequence[Page]) -> Table:
    """One row a study."""
    rows = [[p.study.name, p.study.question or NOTHING, p.analysis.answer, cells_done(p.study)] for p in pages]
    return make_table(["study", "question", "answer", "cells"], rows, ["question", "answer"])


def cells_done(study: Study) -> str:
    """Such as `24 of 25`."""
    cells = study.every_cell
    return f"{int((cells['status'] == 'done').sum()):,} of {len(cells):,}"


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def runs_read(study: Study) -> Section | None:
    """How imported runs were read: a row a variant (over all blocks), and a sentence for each thing that was decided."""
    if study.imported is None:
        return None
    metric, compare = study.compare.metric, study.compare
    groups = {variant.name: [variant.name] for variant in study.variants}
    if compare.blocks:
        grid = grid_of(study.variants, compare.blocks, compare.reference)
        groups = {name: list(own.values()) for name, own in grid.variants.items()}
    group = {variant: name for name, variants in groups.items() for variant in variants}
    cells = dict(iter(study.cells.groupby(study.cells["variant"].map(group))))
    rows = []
    for name in groups:
        own = cells[name]
        valued = own[np.isfinite(own[metric].astype(float))]
        blocks = f"{valued['variant'].nunique():,}" if compare.blocks else ""
        seeds = ranges([int(seed) for seed in own["seed"].unique()])
        rows.append([name, f"{len(own):,}", f"{len(valued):,}", blocks, seeds])
    read = study.imported
    notes = f"{plural(len(study.cells), 'run')} of {read.place}, read by {read.source!r}.", *(f"{said}." for said in read.read)
    table = make_table(["variant", "runs", "with a value", "blocks", "seeds"], rows, ["seeds"])
    return Section("How the runs were read", (table,), items=read.left_out, notes=notes, key="runs")


def _comparisons(study: Study, analysis: Analysis, summary: pd.DataFrame, digits: int) -> Iterator[Section]:
    """Every variant against the reference; where there are blocks, over all of them, and then within each."""
    found = analysis.blocks
    if found is None:
        yield _comparison(study, analysis, summary, digits)
        return
    tables = verdicts_table(study, found), sizes_table(study, found)
    notes = block_notes(study, found)
    yield Section("Comparison", tables, ranks_picture(study, found), notes=notes, alone=over(study, found), key=COMPARISON)
    yield replace(_comparison(study, analysis, summary, digits), title="Within each block", key="")


def _comparison(study: Study, analysis: Analysis, summary: pd.DataFrame, digits: int) -> Section:
    """Every variant against the reference."""
    headings = ["variant", "verdict", "n", "mean ± sd", "difference", "corrected", interval_heading(study), "effect size"]
    headings.append(p_heading(study))
    found = {effect.variant: effect for effect in analysis.effects}
    rows = []
    for row in _records(summary):
        effect = found.get(row["variant"])
        told = "reference" if effect is None else verdict(effect)
        start = [row["variant"], told, count(row), measured(row["mean"], row["sd"], digits)]
        if effect is None:
            start += [""] * 5
        else:
            if study.compare.paired and effect.n != row["n"]:
                start[2] += f", {plural(effect.n, 'pair')}"
            start += [
                number(effect.difference, f"+z.{digits}f"),
                number(effect.corrected, f"+z.{digits}f"),
                interval(effect.low, effect.high, digits),
                number(effect.effect_size, "+z.2f"),
                probability(effect.p_adjusted),
            ]
        rows.append([*start, number(row["published"], ".4g")])
    table = make_table([*headings, "published"], rows, ["verdict"])
    stopped = given_up(study, analysis)
    notes = caption(study), *stopped, covered(study, analysis)
    return Section(
        "Comparison",
        (table,),
        effects_picture(study, analysis.effects),
        notes=notes,
        alone=" ".join([caption(study), *stopped]),
        key=COMPARISON,
    )


def _tuning(study: Study, analysis: Analysis, digits: int) -> Section | None:
    if study.tuning is None:
        return None
    return Section(
        "Tuning", (tuning_table(study, analysis.tuned, digits),), notes=tuning_notes(study, study.tuning), key="tuning"
    )


def _curves(study: Study, summary: pd.DataFrame) -> Section | None:
    pictures = curves_picture(study, summary)
    return Section("Learning curves", pictures=pictures) if pictures else None


def _factorial(study: Study, analysis: Analysis, digits: int) -> Section | None:
    found = analysis.factorial
    if found is None:
        return None
    tables = terms_table(study, found, digits), variances_table(found)
    pictures = (*terms_picture(study, found), *interactions_picture(study, found))
    notes = factorial_notes(study, found)
    return Section("Main effects and interactions", tables, pictures, notes=notes, alone=where_alone(found), key="terms")


def _attribution(study: Study, analysis: Analysis, digits: int) -> Section | None:
    found = analysis.attribution
    if found is None:
        return None
    tables, pictures = (shares_table(study, found, digits),), attribution_picture(study, found)
    notes = shares_notes(study, found, digits)
    return Section("Attribution of the gain", tables, pictures, notes=notes, alone=where_alone(found), key="attribution")


def _published(study: Study, digits: int) -> Section | None:
    if not study.published:
        return None
    headings = ["variant", "metric", "n", "measured", "published", "measured - published"]
    rows = [
        [
            row["variant"],
            row["metric"],
            str(row["n"]),
            measured(row["measured"], row["sd"], digits),
            number(row["published"], ".4g"),
            number(row["difference"], f"+z.{digits}f"),
        ]
        for row in _records(reproduction(study))
    ]
    tables = [make_table(headings, rows, ["metric"])]
    curves = by_epoch(study)
    if any(str(column).endswith("(published)") for column in curves.columns):
        body = [[str(epoch), *(number(value, ".4g") for value in values)] for epoch, *values in curves.itertuples()]
        tables.append(make_table([f"{study.compare.metric} at epoch", *map(str, curves.columns)], body))
    return Section("Published and measured", tuple(tables), notes=(f"Published: {study.published['source']}.",))


def evaluated(study: Study, columns: Container[str] | None = None) -> Section | None:
    """What finished cells were measured by afterwards: all of it, or what these columns have."""
    shown = [told for told in study.evaluations if columns is None or told.name in columns]
    if not shown:
        return None
    rows = []
    for told in shown:
        values = {name: own.astype(float) for name, own in study.cells.groupby("variant")[told.name]}
        digits = decimals(float(own.mean()) for own in values.values())
        for variant in study.variants:
            own, reference = values[variant.name], study.references[variant.name]
            mean = float(own.mean())
            beside = float(values[reference].mean()) if reference else float("nan")
            difference = "" if variant.name == reference else number(mean - beside, f"+.{digits}f")
            told_of = [f"{own.count()}", measured(mean, float(own.std()), digits), difference, f"{told.images:,}"]
            rows.append([variant.name, told.name, *told_of])
    headings = ["variant", "measured", "n", "mean ± sd", "difference", "images"]
    note = (
        "Measured on finished cells by their kept weights, after the study: it was not planned before the run, no verdict is "
        "told of it, and the differences are not corrected for how many there are."
    )
    return Section("Measured afterwards", (make_table(headings, rows, ["measured"]),), notes=(note,), key="evaluated")


def _changes(study: Study) -> Section | None:
    items = tuple((variant.name, variant.changes) for variant in study.variants if variant.changes)
    return Section("What each variant changes", items=items) if items else None


def _inputs(study: Study) -> Section | None:
    """The cells whose kept weights the study's cells use."""
    if not study.inputs:
        return None
    headings = ["study", "variant", "seed", "cell", "SHA-256 of the file"]
    rows = [[one.study, one.variant, str(one.seed), one.key[:12], one.sha256[:12]] for one in study.inputs]
    table = make_table(headings, rows, [name for name in headings if name != "seed"])
    return Section("Weights of other cells", (table,), key="inputs")


def _failures(study: Study) -> Section | None:
    """Each message once, with the cells that failed with it."""
    failed = study.every_cell[study.every_cell["status"] == "failed"]
    messages: dict[str, list[str]] = {}
    for row in _records(failed):
        messages.setdefault(str(row["error"]), []).append(f"{row['variant']}, seed {row['seed']}")
    items = tuple((message, tuple(cells)) for message, cells in messages.items())
    return Section("Failed cells", items=items, key="failures") if items else None


def _data(study: Study) -> Section | None:
    """What the datasets had to say."""
    return Section("Data", notes=tuple(f"{notice}." for notice in study.notices)) if study.notices else None


def _missing(study: Study) -> Section | None:
    """Each reason once, with the cells that are done and have no value for it."""
    items = tuple((reason, tuple(cells)) for reason, cells in in_words(missing(study)).items())
    return Section("Cells without a value", items=items) if items else None


def _trainings(study: Study) -> Section | None:
    """What to look at in trainings that have a value."""
    found = training_notes(study)
    return Section("Trainings to look at", notes=found, key="trainings") if found else None


def _provenance(study: Study) -> Section | None:
    if not study.provenance:
        return None
    records = [dict(_flat(record)) for record in study.provenance]
    names = dict.fromkeys(name for record in records for name in record)
    headings = ["", *(["machine"] if len(records) == 1 else [f"machine {i}" for i in range(1, len(records) + 1)])]
    rows = [[name, *(record.get(name, NOTHING) for record in records)] for name in names]
    return Section("Provenance", (make_table(headings, rows, headings),))


def _flat(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value)
        elif value is not None:
            yield name, str(value)
