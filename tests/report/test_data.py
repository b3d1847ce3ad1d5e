"""JSON that any reader takes, and CSV that no spreadsheet calculates."""

import csv
import io
import json
import math

import pandas as pd
import pytest
from studies import HOSTILE, analysis, effect, make_study

from ablate.report.content import page
from ablate.report.data import as_csv, as_json, finite, frame_csv, guarded
from ablate.report.files import render


def strict(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_json_has_every_number(study):
    study.cells.loc[0, "accuracy"] = math.nan
    found = analysis(effect("x", p=math.nan, seeds_least=7, cautions=("sd ratio 4.0",)), effect("y"))
    document = strict(as_json([page(study, found)]))
    assert document["answer"] == "x is better."
    assert document["analysis"]["effects"][0]["p"] is None
    assert document["analysis"]["effects"][0]["seeds_least"] == 7
    assert document["analysis"]["effects"][0]["cautions"] == ["sd ratio 4.0"]
    assert document["cells"][0]["accuracy"] is None
    assert [cell["accuracy"] for cell in document["cells"][1:]] == study.cells["accuracy"].tolist()[1:]
    assert [row["epoch"] for row in document["epochs"]] == study.epochs["epoch"].tolist()
    assert {"compare", "variants", "summary", "published", "reproduction", "provenance", "factors", "design"} <= document.keys()


def test_json_keeps_hostile_names_as_they_are(hostile):
    document = strict(render([page(hostile)], "json").encode())
    assert [variant["name"] for variant in document["variants"]] == list(HOSTILE)
    assert document["name"] == hostile.name


def test_several_studies_are_a_list():
    both = [make_study(), make_study(name="other")]
    assert [study["name"] for study in strict(render([page(study) for study in both], "json"))["studies"]] == ["made", "other"]
    rows = list(csv.DictReader(io.StringIO(render([page(study) for study in both], "csv"))))
    assert [(row["study"], row["variant"]) for row in rows] == [(s, v) for s in ("made", "other") for v in ("base", "x", "y")]


def test_the_summary_has_all_numbers_of_an_effect(study):
    found = analysis(
        effect("x", p=0.0123456789, correlation=0.5), effect("y", verdict="undecided", seeds_least=9, cautions=("a", "b"))
    )
    rows = {row["variant"]: row for row in csv.DictReader(io.StringIO(as_csv([page(study, found)])))}
    assert float(rows["x"]["p"]) == 0.0123456789
    assert float(rows["x"]["correlation"]) == 0.5
    assert rows["x"]["verdict"] == "better"
    assert float(rows["y"]["seeds_least"]) == 9
    assert (rows["y"]["cautions"], rows["x"]["cautions"]) == ("a; b", "")
    assert float(rows["x"]["mean"]) == study.cells[study.cells["variant"] == "x"]["accuracy"].mean()
    assert float(rows["base"]["difference"]) == 0
    assert {name: rows["base"][name] for name in ("verdict", "low", "p_adjusted", "n_compared")} == dict.fromkeys(
        ("verdict", "low", "p_adjusted", "n_compared"), ""
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\n", "＝"])
def test_text_is_never_a_formula(start):
    assert guarded(f"{start}1+1") == f"'{start}1+1"
    assert guarded(f"a{start}1") == f"a{start}1"


def test_a_carriage_return_begins_no_row():
    text = frame_csv(pd.DataFrame({"variant": ["x\r=1+1", "\r=1"], "n": [1, 2]}))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["variant", "n"], ["x\n=1+1", "1"], ["'\n=1", "2"]]


def test_numbers_are_as_they_are_and_hostile_text_is_guarded(hostile):
    hostile.cells.loc[2, hostile.compare.metric] = -0.25
    rows = list(csv.reader(io.StringIO(frame_csv(hostile.cells))))
    assert "-0.25" in rows[3]
    assert "'=cmd|' /C calc'!A0" in {row[0] for row in rows}
    for row in rows:
        assert all(not cell.startswith(("=", "@", "+")) for cell in row)
    assert "'=m" in frame_csv(hostile.cells.rename(columns={hostile.compare.metric: "=m"})).splitlines()[0]


def test_finite():
    assert finite({"a": (1.5, math.inf, -math.inf, math.nan, None, "x", True)}) == {"a": [1.5, None, None, None, None, "x", True]}
