"""The tables in docs/results are those of the store beside them: nothing is trained, and nothing was written by hand."""

import json
import re
import shutil
import sqlite3

import numpy as np
import pandas as pd
import pytest
from pages import DOCS, ROOT
from scipy import stats
from typer.testing import CliRunner

from ablate.cli import app

RESULTS = DOCS / "results"
STUDIES = sorted(folder.parent.name for folder in RESULTS.glob("*/summary.md"))
pytestmark = pytest.mark.timeout(900)  # longer where the machine is shared


def page_of_results():
    return (RESULTS / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """All studies as `ablate report` writes them from a copy of the store."""
    folder = tmp_path_factory.mktemp("results")
    shutil.copytree(RESULTS / "store", folder / "store")
    arguments = ["report", *STUDIES, "--store", str(folder / "store"), "--format", "files", "--output", str(folder / "written")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "written"


@pytest.mark.parametrize("study", STUDIES)
def test_a_stored_study_gives_the_published_tables(study, written):
    assert (written / study / "summary.md").read_text("utf-8") == (RESULTS / study / "summary.md").read_text("utf-8")
    for name in ("summary.csv", "cells.csv"):
        again, published = (pd.read_csv(folder / study / name) for folder in (written, RESULTS))
        pd.testing.assert_frame_equal(again, published, rtol=1e-9)


def test_every_study_is_of_a_spec_and_on_the_page():
    names = {json.loads(path.read_text("utf-8"))["name"] for path in (ROOT / "specs").glob("*.json")}
    assert set(STUDIES) <= names
    assert set(re.findall(r"\(([\w-]+)/summary\.md\)", page_of_results())) == set(STUDIES)


def means_with_interval(*cells):
    """The sum of differences of means in points, with its interval: Welch's, for more means than two Satterthwaite's (1946)."""
    values = [100 * np.array(own) for own in cells]
    parts = np.array([own.var(ddof=1) / len(own) for own in values])
    df = parts.sum() ** 2 / (parts**2 / [len(own) - 1 for own in values]).sum()
    value = sum(own.mean() * sign for own, sign in zip(values, [-1, 1] * (len(values) // 2), strict=True))
    half = stats.t.isf(0.025, df) * np.sqrt(parts.sum())
    return value, value - half, value + half


def test_the_table_of_the_whole_gain_is_that_of_the_cells():
    def cells(study, variant):
        frame = pd.read_csv(RESULTS / study / "cells.csv")
        return frame.loc[frame["variant"] == variant, "accuracy"].tolist()

    all_on = "optimizer=adam,batch_norm=on,pad_and_crop=on,augment=auto,flip=on,dropout=on,schedule=cosine"
    net, between = cells("q7-narrow", "base"), cells("q7-narrow", all_on)
    between_gpu, best = cells("q7-best-recipe", "width=6-16"), cells("q7-best-recipe", "base")
    expected = {
        "the seven": (net, between),
        "then the width": (between_gpu, best),
        "both steps": (net, between, between_gpu, best),
        "the ends alone": (net, best),
        "the recipe between": (between, between_gpu),
    }
    rows = re.findall(
        r"^\| (the seven|then the width|both steps|the ends alone|the recipe between)(.*)\|$", page_of_results(), re.M
    )
    assert [name for name, _ in rows] == list(expected)
    for name, rest in rows:
        means = [f"{100 * np.mean(own):.1f}" for own in expected[name]]
        value, low, high = means_with_interval(*expected[name])
        told = [cell.strip().replace("−", "-") for cell in rest.split("|")[1:4]]
        assert told[:2] == (means if len(means) == 2 else ["", ""])
        interval = rest.split("|")[4].strip().replace("−", "-")
        assert told[2] == f"{value:+.1f}"
        assert [float(end) for end in interval.split(" to ")] == [round(low, 1), round(high, 1)]


def test_the_store_is_one_small_file():
    """Without checkpoints, and without a log that SQLite has yet to write into it."""
    (file,) = (RESULTS / "store").iterdir()
    assert file.stat().st_size < 2**21
    with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as database:
        (mode,) = database.execute("pragma journal_mode").fetchone()
    assert mode == "delete"
