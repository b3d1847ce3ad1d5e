"""What reports say of variants over blocks: the numbers of the statistics, in every format, and what a reader must know."""

import csv
import io
import json
import math
import re

import numpy as np
import pytest
from block_studies import AREAS, METHODS, numbered, over_blocks
from matplotlib.figure import Figure
from rich.console import Console
from studies import HOSTILE

from ablate.report.content import page
from ablate.report.critical_difference import AXIS, GAP, Scale, groups, ranks_picture
from ablate.report.data import as_csv, as_json
from ablate.report.files import FORMATS, render, write_all
from ablate.report.terminal import study_view
from ablate.stats.blocks import blocks


@pytest.fixture(scope="module")
def made():
    return page(over_blocks(AREAS))


def sections(made):
    return {section.title: section for section in made.sections}


def test_the_comparison_is_over_blocks_and_what_is_within_them_follows(made):
    found = sections(made)
    titles = list(found)
    assert titles.index("Within each block") == titles.index("Comparison") + 1
    verdicts, sizes = found["Comparison"].tables
    assert verdicts.headings == (
        *("variant", "verdict", "blocks", "mean rank", "better–same–worse", "p (Holm)", "difference"),
        "95 % interval, all together",
    )
    assert verdicts.rows == (
        ("C4.5+m+cf", "better", "14", "1.964", "11–1–2", "0.025", "+0.02229", "[+0.00002, +0.04455]"),
        ("C4.5+m", "better", "14", "2.000", "10–2–2", "0.022", "+0.01550", "[+0.00055, +0.03045]"),
        ("C4.5+cf", "undecided", "14", "2.893", "7–1–6", "0.878", "+0.00386", "[-0.01969, +0.02742]"),
        ("C4.5", "reference", "", "3.143", "", "", "", ""),
    )
    assert sizes.rows[0] == ("C4.5+m", "better", "0.041", "0.02038", "[-0.03007, +0.06107]", "0.089")
    notes = " ".join(found["Comparison"].notes)
    for words in (
        "over 14 blocks (dataset)",
        "χ² = 10.23 with 3 df, p = 0.017; F = 4.19 with 3 and 39 df (Iman and Davenport 1980), p = 0.012, which counts. So the",
        "critical difference of 1.254, stands beside it and decides nothing",
        "Benavoli et al. 2016",
        "Nothing tells the noise of a seed",
        "no margin of importance",
    ):
        assert words in notes
    within = found["Within each block"].tables[0]
    assert len(within.rows) == 56
    assert "differences from 'C4.5' in the same block" in found["Within each block"].notes[0]
    assert "Within each block nothing is tested" in " ".join(found["How to read it"].notes)


def test_the_answer_is_over_blocks(made):
    assert made.analysis.answer == (
        "C4.5+m+cf has the best mean rank of those that are better than C4.5 over 14 blocks (dataset): better in 11, worse in 2, "
        "the same in 1; on average auc differs by +0.0223 (95 % interval +0.0000 to +0.0446); of 3 comparisons, 2 are better and "
        "1 is undecided."
    )
    assert made.analysis.factorial is None
    assert made.analysis.attribution is None


def test_every_format_has_it(made, tmp_path):
    for name in FORMATS:
        text = render([made], name)
        assert "C4.5+m+cf" in text
        assert "11–1–2" in text or r"11\textendash{}1\textendash{}2" in text or name in ("csv", "json"), name
    assert "decides nothing" in render([made], "latex-document")
    assert "Over 14 blocks (dataset), against" in render([made], "latex")
    found = json.loads(as_json([made]))
    assert found["compare"]["blocks"] == ["dataset"]
    over = found["analysis"]["blocks"]
    assert over["comparisons"][0]["p_adjusted"] == 0.02197265625
    assert over["critical_difference"] == pytest.approx(1.253559147117606)
    assert (len(over["pairs"]), over["incomplete"], over["comparisons"][0]["seed_sd"]) == (6, [], None)
    rows = list(csv.DictReader(io.StringIO(as_csv([made]))))
    assert len(rows) == 56
    row = next(row for row in rows if row["variant"] == "method=C4.5+m,dataset=iris")
    assert (row["over_blocks"], row["block"], row["over_blocks_verdict"]) == ("C4.5+m", "iris", "better")
    written = {path.name for path in write_all(made, tmp_path)}
    assert {"blocks.csv", "ranks.svg", "ranks.pdf"} <= written
    table = list(csv.DictReader((tmp_path / "blocks.csv").open()))
    assert [row["variant"] for row in table] == list(METHODS)
    assert float(table[2]["p_wilcoxon"]) == 0.8779296875


def test_a_study_without_blocks_says_nothing_of_them(tmp_path):
    plain = page(over_blocks({name: AREAS[name] for name in ("iris", "wine")}, blocks=()))
    assert "Within each block" not in sections(plain)
    assert "over_blocks" not in as_csv([plain])
    assert json.loads(as_json([plain]))["analysis"]["blocks"] is None
    assert not any(path.name == "blocks.csv" for path in write_all(plain, tmp_path))


@pytest.mark.parametrize("width", [40, 100, 170])
def test_the_terminal_has_the_verdicts_and_not_every_block(made, width):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(study_view(made, width))
    text = console.file.getvalue()
    flat = " ".join(text.split())
    for words in ("C4.5+m+cf", "11–1–2", "1.964", "[+0.00002, +0.04455]", "Friedman's test", "2 are better and 1 is undecided."):
        assert words in flat
    assert "dataset=iris" not in flat
    assert max(map(len, text.splitlines())) <= width


def test_what_a_reader_must_know_is_said():
    rows = {**AREAS, "iris": (0.936, (), 0.916, 0.931)}
    rows = {name: rows[name] for name in ("iris", "cmc", "wine", "rheum", "voting")}
    rows["cmc"] = tuple(1000 * value for value in rows["cmc"])
    rows["wine"] = (0.957, 0.978, 0.946, (0.97, math.nan))
    found = page(over_blocks(rows))
    notes = " ".join(sections(found)["Comparison"].notes)
    assert "Left out of the ranks, because a variant has no value there: iris (C4.5+m)." in notes
    assert (
        "5 blocks are too few: the smallest p-value of Wilcoxon's test is 0.0625 there, and for 3 comparisons at level 0.05 it "
        "takes 7 blocks. So nothing can be better or worse by ranks."
    ) in notes
    assert "The values of 'C4.5' are 1,015 times as large in one block as in another. That changes no rank" in notes
    verdict = {row[0]: row[1] for row in sections(found)["Comparison"].tables[0].rows}["C4.5+m+cf"]
    assert verdict.startswith("undecided (1 of 6 runs without a value")
    assert "5 blocks (dataset) are too few for Wilcoxon's test, which takes 7" in found.analysis.answer


def test_ranks_and_mean_differences_that_disagree_are_told():
    rows = numbered([(0.5, 0.51)] * 13 + [(0.5, -4.0)])
    found = page(over_blocks(rows, names="ab"))
    (verdict,) = [row[1] for row in sections(found)["Comparison"].tables[0].rows if row[0] == "b"]
    assert verdict == "better (by the mean difference alone undecided)"
    assert "by the mean difference alone, b is undecided" in found.analysis.answer
    assert not sections(found)["Comparison"].pictures  # two variants have no critical difference


# The critical-difference diagram


def drawn(picture):
    axes = Figure().add_subplot()
    picture.panels[0].draw(axes)
    return axes


def test_marks_stand_at_the_mean_ranks_and_bars_join_what_is_not_told_apart():
    study = over_blocks(AREAS)
    found = blocks(study)
    (picture,) = ranks_picture(study, found)
    axes = drawn(picture)
    marks = [line for line in axes.lines if line.get_marker() not in ("", "None", None)]
    scale = Scale(4, 0.2 + 0.072 * len("C4.5+m+cf"))
    assert [line.get_xdata()[0] for line in marks] == pytest.approx([scale(rank) for rank in sorted(found.ranks.values())])
    assert [line.get_marker() for line in marks] == ["^", "^", "o", "D"]
    names = [text.get_text() for text in axes.texts if text.get_text() in METHODS]
    assert names == ["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]
    assert any(text.get_text() == "CD = 1.25" for text in axes.texts)
    segments = [collection.get_segments()[0] for collection in axes.collections if collection.get_linewidth()[0] == 3]
    np.testing.assert_allclose(segments, [[[scale(27.5 / 14) - 0.03, AXIS + GAP], [scale(44 / 14) + 0.03, AXIS + GAP]]])
    assert [mark.label for mark in picture.key] == ["reference", "better", "undecided"]
    assert "critical difference, 1.254 at level 0.05" in picture.caption


@pytest.mark.parametrize(
    ("ranks", "critical", "expected"),
    [
        ([1, 2, 3, 4], 0.5, []),
        ([1, 2, 3, 4], 1.5, [(1, 2), (2, 3), (3, 4)]),
        ([1, 2, 3, 4], 5, [(1, 4)]),
        ([1, 1.5, 1.8, 4], 1, [(1, 1.8)]),
        ([1, 2], 1, []),
        ([2, 2, 2], 0.5, []),
    ],
)
def test_groups_are_the_largest_runs_within_the_critical_difference(ranks, critical, expected):
    assert groups(ranks, critical) == expected


def test_of_many_variants_the_best_are_drawn_and_it_is_said():
    rng = np.random.default_rng(0)
    study = over_blocks(numbered(rng.normal(np.arange(45) / 10, 1, (12, 45)).tolist()), names=[f"v{i:02d}" for i in range(45)])
    found = blocks(study)
    (picture,) = ranks_picture(study, found)
    names = [text.get_text() for text in drawn(picture).texts if re.fullmatch(r"v\d\d", text.get_text())]
    assert names == sorted(found.ranks, key=found.ranks.get)[:30]
    assert "The 30 with the best ranks of 45 are drawn" in picture.caption


def test_names_are_any_text(tmp_path):
    rng = np.random.default_rng(0)
    names = list(HOSTILE)
    study = over_blocks({name: rng.normal(size=len(names)).tolist() for name in names[:3]}, names=names)
    made = page(study)
    write_all(made, tmp_path)
    html = (tmp_path / "report.html").read_text()
    assert html.count("<script>") == 1, "the report's own"
    assert "<img" not in html
    assert all(len(line) < 200 for line in [text.get_text() for text in drawn(ranks_picture(study, blocks(study))[0]).texts])


def test_the_same_study_gives_the_same_bytes():
    assert render([page(over_blocks(AREAS))], "html") == render([page(over_blocks(AREAS))], "html")
