"""The tables in docs/results are those of the store beside them: nothing is trained, and nothing was written by hand."""

import json
import re
import shutil
import sqlite3

import pandas as pd
import pytest
from pages import DOCS, ROOT
from typer.testing import CliRunner

from ablate.cli import app

RESULTS = DOCS / "results"
STUDIES = sorted(folder.parent.name for folder in RESULTS.glob("*/summary.md"))
pytestmark = [pytest.mark.xdist_group("results"), pytest.mark.timeout(900)]  # longer where the machine is shared


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
    page = (RESULTS / "README.md").read_text("utf-8")
    assert set(STUDIES) <= names
    assert set(re.findall(r"\(([\w-]+)/summary\.md\)", page)) == set(STUDIES)


def test_the_store_is_one_small_file():
    """Without checkpoints, and without a log that SQLite has yet to write into it."""
    (file,) = (RESULTS / "store").iterdir()
    assert file.stat().st_size < 2**21
    with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as database:
        (mode,) = database.execute("pragma journal_mode").fetchone()
    assert mode == "delete"
