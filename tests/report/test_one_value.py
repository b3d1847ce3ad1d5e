"""A two-level design with one seed: in every format it is said that intervals are from its contrasts, and not from seeds."""

import csv
import io

import pytest
from rich.console import Console
from studies import make_factorial, make_study

from ablate.contracts import Factor
from ablate.report.content import page
from ablate.report.files import render, write_all
from ablate.report.terminal import study_view
from ablate.results import Results

SOURCE = "from the contrasts of the design (Lenth 1989), not from seeds"


@pytest.fixture(scope="module")
def one_value():
    """The half of all combinations of five switches that has an even number of them on: 16 runs, 15 terms."""
    full = make_factorial([Factor(name, "off", ("on",)) for name in "abcde"], seeds=1)
    kept = tuple(info for info in full.variants if sum(level == "on" for level in info.levels.values()) % 2 == 0)
    names = {info.name for info in kept}
    cells, epochs = (frame[frame["variant"].isin(names)] for frame in (full.cells, full.epochs))
    others = {"factors": full.factors, "design": {"use": "ablate-core:screening"}}
    return Results(
        **(vars(make_study(seeds=1)) | {"compare": full.compare, "variants": kept, "cells": cells, "epochs": epochs} | others)
    )


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", ["markdown", "latex", "latex-document", "html", "json", "terminal"])
def test_every_format_says_it(one_value, name):
    if name == "terminal":
        console = Console(width=120, file=io.StringIO())
        console.print(study_view(page(one_value), 120))
        text = console.file.getvalue()
    else:
        text = render([page(one_value)], name)
    assert SOURCE in flat(text)
    assert name == "latex" or "effect sparsity" in flat(text), "the tables alone have no notes"


def test_notes_and_captions_say_it(one_value):
    found = {section.title: section for section in page(one_value).sections}
    effects, shares = found["Main effects and interactions"], found["Attribution of the gain"]
    assert "The pseudo standard error of the 15 contrasts is 0.0" in " ".join(effects.notes)
    assert f"Intervals are {SOURCE}, and hold for each share by itself. They take it that few effects are large." in " ".join(
        shares.notes
    )
    assert "between seeds" not in " ".join((*effects.notes, *shares.notes))
    terms, attribution = (next(p for p in s.pictures if p.name == n) for s, n in ((effects, "terms"), (shares, "attribution")))
    assert f"with 95 % intervals {SOURCE}" in terms.caption
    assert f"with 95 % intervals {SOURCE}" in attribution.caption
    assert "standard error" not in next(p for p in effects.pictures if p.name == "interactions").caption
    covered = found["Comparison"].notes[1]
    assert covered.startswith("Intervals are from the contrasts of the design (Lenth 1989); they cover no new seeds")


def test_the_file_of_effects_has_what_intervals_are_from(one_value, tmp_path):
    made = page(one_value)
    write_all(made, tmp_path)
    rows = list(csv.DictReader((tmp_path / "effects.csv").open(encoding="utf-8")))
    terms, shares = made.analysis.factorial.terms, made.analysis.attribution.rows
    assert [row["what"] for row in rows] == ["effect"] * len(terms) + ["share"] * len(shares)
    assert {row["judged_by"] for row in rows} == {"contrasts"}
    assert [float(row["low"]) for row in rows] == pytest.approx([found.low for found in (*terms, *shares)])


def test_shares_from_what_the_terms_leave_are_not_said_to_be_from_seeds():
    """All combinations of four switches, of which no order leads from end to end because one cell failed."""
    full = make_factorial([Factor(name, "off", ("on",)) for name in "abcd"], seeds=1)
    cells = full.cells[~full.cells["variant"].str.endswith("d=on") | ~full.cells["variant"].str.startswith("a=on,b=on,c=on")]
    made = Results(**(vars(full) | {"cells": cells, "variants": full.variants}))
    found = page(made).analysis.attribution
    notes = next(section for section in page(made).sections if section.title == "Attribution of the gain").notes
    assert (found.method, found.judged_by) == ("main effects", "residual")
    assert "Intervals are from what the terms of the design leave, not from seeds" in " ".join(notes)
