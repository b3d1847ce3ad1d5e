"""All files of a report, and the command that writes them."""

import json
import os
from pathlib import Path

import pytest
from studies import make_study
from typer.testing import CliRunner

from ablate.cli import app
from ablate.contracts import Cell, Result
from ablate.errors import EnvironmentProblem, UsageError
from ablate.report.content import page
from ablate.report.files import FORMATS, render, write, write_all
from ablate.store import Store
from ablate.study import Compare, VariantInfo


def test_a_directory_has_every_format_and_the_figures(study, tmp_path):
    written = write_all(page(study), tmp_path / "made")
    names = {str(path.relative_to(tmp_path / "made")) for path in written}
    assert names == {
        "report.html",
        "report.tex",
        "tables.tex",
        "summary.md",
        "summary.csv",
        "study.json",
        "cells.csv",
        "epochs.csv",
        "curves.png",
        *(f"figures/{name}.{suffix}" for name in ("effects", "curves") for suffix in ("svg", "pdf")),
    }
    assert all(path.stat().st_size for path in written)
    assert "](figures/effects.svg)" in (tmp_path / "made" / "summary.md").read_text("utf-8")


def test_a_hostile_study_can_be_written(hostile_files):
    read = [path.read_text("utf-8") for path in hostile_files.rglob("*.*") if path.suffix not in (".pdf", ".png")]
    assert len(read) >= 10


def test_an_unknown_format_is_said(study):
    with pytest.raises(UsageError, match="Did you mean 'latex'"):
        render([page(study)], "latx")
    assert all(render([page(study)], name) for name in FORMATS)


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        write(tmp_path / "file" / "x", "text")


def test_a_file_is_replaced_where_a_link_leads_and_a_device_is_written_to(tmp_path):
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to("real.html")
    write(tmp_path / "link.html", "new")
    assert (tmp_path / "real.html").read_text() == "new"
    assert (tmp_path / "link.html").is_symlink()
    write(Path(os.devnull), "new")
    assert not Path(os.devnull).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.html", "real.html"]


def test_the_command_joins_and_compares_studies(tmp_path):
    with Store(tmp_path / "store") as store:
        for name in ("one", "two"):
            study = make_study(name=name)
            record = {
                "question": name,
                "compare": vars(Compare("accuracy", "last", "base")),
                "variants": [vars(VariantInfo(v.name, v.levels, v.changes)) for v in study.variants],
                "metrics": ["accuracy"],
                "published": {},
            }
            rows = study.cells.to_dict("records")
            store.save_study(name, {"name": name}, record, [(row["variant"], row["seed"], row["key"]) for row in rows])
            for row in rows:
                if store.claim(Cell(row["key"], {"epochs": 1}, row["seed"], "cpu", {}), {"python": "3.11"}) == "claimed":
                    store.finish(row["key"], Result([], {"accuracy": row["accuracy"]}, "w", 1.0, 1))

    def call(*words):
        return CliRunner().invoke(app, [*words, "--store", str(tmp_path / "store")])

    joined = call("report", "one", "two", "one", "--format", "html").stdout
    assert joined.count("<article id=") == 2
    assert '<a href="#study-2">two</a>' in joined
    assert "2 studies" in joined
    assert call("report", "one", "two").stdout.count(" verdict") == 2
    call("report", "one", "two", "--format", "files", "--output", str(tmp_path / "out"))
    assert (tmp_path / "out" / "two" / "report.html").is_file()
    assert "Did you mean 'two'" in str(call("report", "one", "twoo").exception)
    assert "spec: the same" in call("diff", "one", "two").stdout
    assert json.loads(call("diff", "one", "two", "--json").stdout)["kind"] == "studies"
    assert "Did you mean 'one'" in str(call("diff", "onne", "two").exception)
