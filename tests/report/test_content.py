"""What a report says: the right numbers in the right places, and nothing about what there is not."""

import dataclasses
import json
import math
import re

import pytest
from studies import ATTRIBUTION, FACTORIAL, analysis, effect, make_factorial, make_study

from ablate.contracts import Factor
from ablate.report.content import overview, page
from ablate.report.data import as_json
from ablate.report.latex import document, fragment
from ablate.report.markdown import markdown
from ablate.report.web import html
from ablate.stats.factor_records import Share
from ablate.stats.records import Images
from ablate.study import Compare


def sections(made):
    return {section.title: section for section in made.sections}


def test_the_comparison_has_every_variant_with_its_verdict(study):
    study.cells.loc[4, "status"] = "failed"
    study.cells.loc[4, "error"] = "RuntimeError: no"
    study.cells.loc[4, "accuracy"] = math.nan
    study.cells.loc[5, "status"] = "missing"
    study.cells.loc[5, "accuracy"] = math.nan
    found = analysis(
        effect("x", 0.02, n=2),
        effect("y", -0.0301, verdict="undecided", seeds_least=12, seeds_most=90, seeds_never=True, p_adjusted=0.5),
    )
    (table,) = sections(page(study, found))["Comparison"].tables
    headings = ("variant", "verdict", "n", "mean ± sd", "difference", "95 % interval, all together", "effect size", "p (Holm)")
    assert table.headings == headings
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["base", "x", "y"]
    assert (rows["base"][0], rows["base"][3:]) == ("reference", ("", "", "", ""))
    assert rows["x"][:2] == ("better", "2 (1 failed, 1 missing)")
    assert rows["x"][3:] == ("+0.0200", "[+0.0100, +0.0300]", "+1.25", "0.012")
    assert rows["y"][0] == "undecided (12–90 seeds, or never)"
    assert rows["y"][3:] == ("-0.0301", "[-0.0401, -0.0201]", "+1.25", "0.500")
    mean = study.cells[study.cells["variant"] == "y"]["accuracy"].mean()
    assert rows["y"][2].startswith(f"{mean:.4f} ± ")


def test_one_seed_is_never_plus_or_minus_nothing():
    made = page(make_study(seeds=1))
    table = sections(made)["Comparison"].tables[0]
    assert not any("±" in cell or "[" in cell for row in table.rows for cell in row)
    assert [row[table.headings.index("verdict")] for row in table.rows] == ["reference", "undecided", "undecided"]


def test_pairs_are_counted_where_seeds_pair(study):
    paired = dataclasses.replace(study, compare=Compare("accuracy", "last", "base", paired=True, correction="benjamini_hochberg"))
    made = page(paired, analysis(effect("x", n=3, correlation=0.5), effect("y", correlation=-0.25)))
    rows = {row[0]: row for row in sections(made)["Comparison"].tables[0].rows}
    assert rows["x"][2] == "4, 3 pairs"
    assert rows["y"][2] == "4"
    notes = " ".join(sections(made)["How to read it"].notes)
    assert "t-test of the differences within each seed" in notes
    assert "Benjamini and Hochberg" in notes
    assert "no margin" in notes
    assert "-0.25 to +0.50" in notes


def test_how_to_read_it_names_test_correction_level_and_margin(study):
    notes = " ".join(sections(page(study, analysis(effect("x"), effect("y"))))["How to read it"].notes)
    for words in ("Welch's t-test", "2 comparisons", "Holm", "level 0.05", "Hedges' g", "±0.005", "TOST"):
        assert words in notes


def test_a_factorial_has_terms_and_variances_and_attribution_has_shares():
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))])
    found = sections(page(study, analysis(effect("a=on,b=on"), factorial=FACTORIAL, attribution=ATTRIBUTION)))
    factorial = found["Main effects and interactions"]
    terms, anova = factorial.tables
    assert terms.rows[0] == ("a=on", "better", "+0.0200", "[+0.0100, +0.0300]", "0.002", "")
    assert terms.rows[1][-1] == "c=on"
    assert anova.rows == (
        ("a", "1", "0.4", "12.50", "0.001", "0.500"),
        ("lack of fit", "1", "0.6", "18.75", "< 0.001", "0.600"),
        ("pure error", "12", "0.4", "–", "–", "–"),
    )
    notes = " ".join(factorial.notes)
    assert "between the seeds of a variant (pure error), 0.0125" in notes
    assert "do not describe all differences between the variants (lack of fit, F = 18.75 with 1 df, p < 0.001)" in notes
    assert factorial.notes[-1] == FACTORIAL.note
    assert [picture.name for picture in factorial.pictures] == ["terms", "interactions"]
    shares = found["Attribution of the gain"].tables[0]
    assert shares.headings == ("factor", "share", "95 % interval", "% of the gain", "added last", "its 95 % interval")
    assert shares.rows[0] == ("a", "+0.0600", "[+0.0500, +0.0700]", "120", "-0.0040", "[-0.0100, +0.0020]")
    assert shares.rows[-1] == ("all together", "+0.0500", "[+0.0400, +0.0600]", "100", "–", "–")


def attribution_notes(**others):
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))])
    found = dataclasses.replace(ATTRIBUTION, **others)
    return sections(page(study, analysis(effect("a=on,b=on"), attribution=found)))["Attribution of the gain"]


def test_a_share_that_the_full_recipe_does_not_bear_out_is_a_contradiction():
    notes = " ".join(attribution_notes().notes)
    assert (
        "A contradiction: a has a share of +0.0600, 120 % of the gain, and the full recipe is better by 0.0040 without it."
    ) in notes
    assert notes.count("A contradiction") == 1
    unsure = attribution_notes(shares=(Share("a", 0.06, 0.05, 0.07, 120.0, 0.004, -0.01, 0.02),))
    assert "Not shown to be missed where it alone is taken out of the full recipe: a." in unsure.notes
    assert "A contradiction" not in " ".join(unsure.notes)


def test_a_gain_within_its_noise_has_no_percentages():
    found = attribution_notes(low=-0.01, shares=(Share("a", 0.06, 0.05, 0.07), Share("b", -0.06, -0.07, -0.05)))
    assert "% of the gain" not in found.tables[0].headings
    assert "The gain is not beyond its noise, so shares are no percentages of it." in found.notes


def test_shares_without_intervals_say_so():
    nothing = [math.nan, math.nan]
    found = attribution_notes(low=math.nan, high=math.nan, shares=(Share("a", 0.06, *nothing), Share("b", -0.01, *nothing)))
    assert "There are no intervals: nothing tells the noise between seeds." in found.notes
    assert not any("Intervals include" in note for note in found.notes)
    assert found.tables[0].headings == ("factor", "share")
    assert "interval" not in found.pictures[0].caption


@pytest.mark.parametrize("gain", [1e-17, -1e-17, 0.0])
def test_no_format_has_a_percentage_of_nothing(gain):
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))])
    values = {"a=off,b=off": 0.5, "a=on,b=off": 0.6, "a=off,b=on": 0.4, "a=on,b=on": 0.5 + gain}
    study.cells["accuracy"] = study.cells["variant"].map(values) + 0.001 * (study.cells["seed"] - 1.5)
    made = page(study)
    for render in (markdown, fragment, document, html):
        text = render([made])
        assert "added last" in text
        assert "of the gain:" not in text.replace("Attribution of the gain", "")
        assert not re.search("%(?: |}) ?of the gain", text)
    shares = json.loads(as_json([made]))["analysis"]["attribution"]["shares"]
    assert [share["percent"] for share in shares] == [None, None]


def test_one_seed_has_no_statistics_of_residuals():
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))], seeds=1)
    found = sections(page(study))
    notes = " ".join(note for section in found.values() for note in section.notes)
    for words in ("Shapiro", "Brown", "pure error", "seed noise", "lack of fit", "noise between seeds, and hold"):
        assert words not in notes
    assert "There are no intervals" in notes
    assert found["Attribution of the gain"].tables[0].headings == ("factor", "share", "added last")


def covered_by(study, **others):
    return sections(page(study, analysis(effect("x"), **others)))["Comparison"].notes[1]


def test_what_the_intervals_cover(study):
    start = "Intervals cover new seeds on the same"
    assert covered_by(study) == f"{start} evaluation images, and not other images."
    told = covered_by(study, images=Images(10_000, 10_000, 0.94, math.sqrt(0.94 * 0.06 / 10_000)))
    assert told == (
        f"{start} 10,000 evaluation images, and not other images. So many others would move each rate, such as the reference's "
        "0.9400, by ± 0.0047 (95 % interval; binomial standard error 0.0024)."
    )
    assert covered_by(study, images=Images(360, 899, math.nan, math.nan)).startswith(f"{start} 360 to 899 evaluation images")
    unknown = dataclasses.replace(study, epochs=study.epochs.assign(images_per_second=math.nan))
    assert covered_by(unknown) == f"{start} evaluation data, and not other data."
    texts = covered_by(unknown, images=Images(120, 120, math.nan, math.nan))
    assert texts == f"{start} 120 evaluation examples, and not other examples."
    one = sections(page(make_study(seeds=1)))["Comparison"].notes[1]
    assert one == "There are no intervals, neither for new seeds nor for other images than these evaluation images."


def test_what_the_intervals_cover_where_the_split_is_by_seed(study):
    anew = dataclasses.replace(study, split="by_seed")
    known = Images(360, 360, 0.94, math.sqrt(0.94 * 0.06 / 360))
    assert covered_by(anew, images=known) == (
        "Intervals cover new seeds, each with its own choice of 360 evaluation images from all images, and of the others to "
        "train on. For images that are not among these they are too narrow, because the choices share images (Nadeau and Bengio "
        "2003)."
    )
    one = dataclasses.replace(make_study(seeds=1), split="by_seed")
    told = sections(page(one, dataclasses.replace(one.analysis(), images=known)))["Comparison"].notes[1]
    assert told.startswith(
        "There are no intervals, neither for new seeds nor for other images than the 360 evaluation images that each seed drew."
    )
    assert "by ± 0.0245 (95 % interval" in told


def test_published_numbers_stand_beside_the_measured(study):
    curve = [0.1, 0.2, 0.4321]
    made = dataclasses.replace(study, published={"source": "a paper", "accuracy": {"x": curve, "base": 0.51}})
    section = sections(page(made))["Published and measured"]
    assert section.notes == ("Published: a paper.",)
    numbers, by_epoch = section.tables
    assert {row[0]: row[4] for row in numbers.rows} == {"x": "0.4321", "base": "0.51"}
    assert by_epoch.headings == ("accuracy at epoch", "base", "x", "x (published)", "y")
    assert [row[3] for row in by_epoch.rows] == ["0.1", "0.2", "0.4321"]
    assert "published" in sections(page(made))["Comparison"].tables[0].headings


def test_cost_failures_changes_and_provenance(study):
    for row in (0, 5):
        study.cells.loc[row, "status"] = "failed"
        study.cells.loc[row, "error"] = "RuntimeError: same"
    found = sections(page(study))
    assert found["Cost"].tables[0].rows[0] == ("base", "1,234", "1 min 0 s", "3 min 0 s", "1,000")
    assert found["Cost"].notes == ("10 cells took 10 min 0 s in all, training and evaluation.",)
    assert found["Failed cells"].items == (("RuntimeError: same", ("base, seed 0", "x, seed 1")),)
    assert found["What each variant changes"].items[0] == ("x", ("model.size: 1 → 1",))
    assert ("cpu", "a <b>cpu</b>") in found["Provenance"].tables[0].rows
    assert not any(row[0] == "git" for row in found["Provenance"].tables[0].rows)


@pytest.mark.parametrize("status", ["missing", "failed", "running"])
def test_a_study_without_results_has_a_report(study, status):
    study.cells["status"] = status
    study.cells["accuracy"] = math.nan
    made = page(dataclasses.replace(study, epochs=study.epochs.iloc[:0], provenance=()))
    titles = [section.title for section in made.sections]
    assert titles[0] == "Comparison"
    assert not {"Learning curves", "Cost", "Provenance"} & set(titles)
    assert made.sections[0].pictures == ()
    shown = made.sections[0].tables[0]
    assert shown.headings == ("variant", "verdict", "n")
    assert [row[1].partition(" (")[0] for row in shown.rows] == ["reference", "undecided", "undecided"]


def test_an_overview_has_a_row_for_each_study(study):
    other = make_study(name="other", question="")
    table = overview([page(study, analysis(effect("x"))), page(other, analysis(effect("x")))])
    assert table.headings == ("study", "question", "answer", "cells")
    assert table.rows == (("made", "Does it help?", "x is better.", "12 of 12"), ("other", "–", "x is better.", "12 of 12"))
