"""Cells that are done and have no value: named with epoch, seed and reason in every format."""

import json
import math
from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest
from rich.console import Console

from ablate.contracts import believed
from ablate.report.content import page
from ablate.report.files import render
from ablate.report.terminal import study_view
from ablate.stats.summary import diverged, missing, summarise
from tests.report.studies import make_study

WHY = "the logits of 7 of 9 evaluated images are not finite"
NAMES = {"terminal", "html", "markdown", "csv", "json", "latex-document"}


@pytest.fixture
def study():
    """x diverged with seeds 1 and 2, in epochs 2 and 3; y has a metric that is no number with seed 0; base is whole."""
    made = make_study(seeds=4, epochs=3)
    cells, epochs = made.cells.copy(), made.epochs.assign(diverged=None, missing=None)
    for variant, seed, first in (("x", 1, 2), ("x", 2, 3)):
        lost = (epochs["variant"] == variant) & (epochs["seed"] == seed) & (epochs["epoch"] >= first)
        epochs.loc[lost, ["train_loss", "accuracy"]] = math.nan
        epochs.loc[lost, "diverged"] = WHY
        cells.loc[(cells["variant"] == variant) & (cells["seed"] == seed), "accuracy"] = math.nan
    odd = (epochs["variant"] == "y") & (epochs["seed"] == 0) & (epochs["epoch"] == 3)
    epochs["missing"] = [{"accuracy": "it is nan"} if chosen else None for chosen in odd]
    cells.loc[(cells["variant"] == "y") & (cells["seed"] == 0), "accuracy"] = math.nan
    return replace(made, cells=cells, epochs=epochs)


def test_the_facts_are_variant_seed_epoch_and_reason(study):
    assert diverged(study).values.tolist() == [["x", 1, 2, WHY], ["x", 2, 3, WHY]]
    found = missing(study)
    assert found[found["epoch"].notna()].values.tolist() == [["x", 1, 2, WHY], ["x", 2, 3, WHY]]
    assert found[found["epoch"].isna()]["why"].tolist() == ["accuracy has no value: it is nan"]
    counts = summarise(study).set_index("variant")[["n", "diverged", "missing", "failed"]]
    assert counts.loc["x"].tolist() == [2, 2, 0, 0]
    assert counts.loc["y"].tolist() == [3, 0, 1, 0]


def test_a_run_that_ended_before_the_epoch_that_counts_has_no_value_and_did_not_diverge(study):
    made = make_study(seeds=4, epochs=3)
    short = (made.epochs["variant"] == "x") & (made.epochs["seed"] == 2) & (made.epochs["epoch"] == 3)
    made = replace(made, epochs=made.epochs[~short], compare=replace(made.compare, at=3))
    assert missing(made).values.tolist()[0][:2] == ["x", 2]
    assert missing(made)["why"].tolist() == ["accuracy has no value: it ended after epoch 2"]
    assert summarise(made).set_index("variant")[["n", "diverged", "missing"]].loc["x"].tolist() == [3, 0, 1]
    text = shown(made, "terminal")
    assert "1 of 4 runs without a value" in text
    assert "diverged" not in text


def shown(study, form):
    made = page(study)
    if form == "terminal":
        console = Console(file=StringIO(), width=300)
        console.print(study_view(made, 300))
        return console.file.getvalue()
    return render([made], form)


@pytest.mark.parametrize("form", sorted(NAMES))
def test_every_format_names_them(study, form):
    text = shown(study, form)
    assert "x, seed 1" in text or json.loads(text)["missing"][0] == {"variant": "x", "seed": 1, "epoch": 2, "why": WHY}
    assert WHY in text
    assert "accuracy has no value: it is nan" in text


def test_what_was_stored_of_a_network_that_was_not_finite_is_not_believed():
    epochs = [{"epoch": 1, "train_loss": 2.0, "accuracy": 0.4}, {"epoch": 2, "train_loss": None, "accuracy": 0.75}]
    told, metrics = believed(epochs, {"accuracy": 0.75})
    assert [record["accuracy"] for record in told] == [0.4, None]
    assert metrics == {"accuracy": None}
    epochs[0]["selected"] = True
    assert believed(epochs, {"accuracy": 0.41})[1] == {"accuracy": 0.41}, "the selected epoch was finite"
    assert believed(epochs[:1], {"accuracy": 0.4}) == (epochs[:1], {"accuracy": 0.4})


def test_a_study_that_lost_nothing_says_nothing():
    made = make_study()
    assert missing(made).empty
    assert diverged(made).empty
    assert "Cells without a value" not in [section.title for section in page(made).sections]
    assert pd.isna(summarise(made)["diverged"]).sum() == 0
