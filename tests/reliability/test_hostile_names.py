"""Names of strangers are shown as names: in every format, in files, and as files."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from ablate.cli import app
from ablate.contracts import Cell, Result
from ablate.errors import ExitCode, StoreError
from ablate.store import Store
from ablate.study import Compare
from tests.soak import _names


def test_names_are_only_names_in_every_format(tmp_path):
    assert _names.wrong(_names.names(60), tmp_path / "made") == []
    if shutil.which("pdflatex"):
        assert _names.latex(tmp_path / "made" / "report") == ""


def test_names_of_classes_and_images(tmp_path):
    taken, wrong = _names.images(_names.names(150), tmp_path)
    assert wrong == []
    assert taken > 50


def test_there_are_five_hundred_of_them():
    assert len(set(_names.names(500))) == 500


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_does_nothing_that_names_tell(tmp_path):
    assert _names.browsed(60, tmp_path, "chromium") == []


PLACES = {
    "study": "UPDATE studies SET name = char(115, 0, 115)",  # study_cells are of another name then, and not read
    "variant of a cell": "UPDATE study_cells SET variant = 'x' || char(0) WHERE variant = 'x'",
    "variant": """UPDATE studies SET plan = replace(plan, '"name": "x"', '"name": "x\\u0000"')""",
    "half of a pair": """UPDATE studies SET plan = replace(plan, '"name": "x"', '"name": "x\\ud800"')""",
    "level": """UPDATE studies SET plan = replace(plan, '"wide"', '"w\\u0000"')""",
    "metric": """UPDATE studies SET plan = replace(plan, '"accuracy"', '"accuracy\\udfff"')""",
    "number of an epoch": """UPDATE epochs SET record = replace(record, '"accuracy"', '"accuracy\\u0000"')""",
}


@pytest.mark.parametrize("place", PLACES)
def test_names_that_no_spec_can_give_are_refused_when_a_store_is_read(place, tmp_path):
    """Tables would take them for other names: pandas cuts labels off at NUL."""
    infos = [{"name": name, "levels": {"width": level}, "changes": []} for name, level in (("base", "base"), ("x", "wide"))]
    plan = {"question": "", "compare": vars(Compare("accuracy", "last", "base")), "variants": infos, "metrics": ["accuracy"]}
    plan |= {"published": {}, "factors": [{"name": "width", "base": "base", "others": ["wide"]}], "notices": ["a\\ud800b.png"]}
    with Store(tmp_path) as store:
        store.save_study("s", {"name": "s"}, plan, [("base", 0, "a" * 64), ("x", 0, "b" * 64)])
        for key in ("a" * 64, "b" * 64):
            store.claim(Cell(key, {}, 0, "cpu", {}), {})
            store.finish(key, Result([{"epoch": 1, "train_loss": 1.0, "accuracy": 0.5}], {"accuracy": 0.5}, "0" * 64, 1.0, 7))
        assert store.study("s").cells["accuracy"].tolist() == [0.5, 0.5]
    with closing(sqlite3.connect(tmp_path / "store.sqlite")) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        assert db.execute(PLACES[place]).rowcount > 0
        db.commit()
    words = ["status"] if place == "study" else ["report", "s"]
    result = CliRunner().invoke(app, [*words, "--store", str(tmp_path)])
    assert isinstance(result.exception, StoreError)
    assert result.exception.exit_code == ExitCode.ENVIRONMENT
    assert "the store cannot be read: a record is not what ablate writes" in str(result.exception)
    assert "has NUL or half of a surrogate pair in it, which no spec can give. It is damaged" in str(result.exception)
