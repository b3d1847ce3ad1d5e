"""What reports say of tuning, in every format."""

import csv
import io
import json

import pytest
from rich.console import Console
from studies import HOSTILE, make_study, make_tuned

from ablate.report import latex, web
from ablate.report.content import page
from ablate.report.data import as_csv, as_json, frame_csv, trials
from ablate.report.files import write_all
from ablate.report.markdown import markdown
from ablate.report.terminal import study_view


@pytest.fixture
def tuned():
    return make_tuned()


def section(made, title="Tuning"):
    return next(found for found in made.sections if found.title == title)


def test_every_variant_stands_with_and_without_tuning_its_setting_and_its_cost(tuned):
    made = page(tuned)
    assert [found.title for found in made.sections][:2] == ["Comparison", "Tuning"]
    (table,) = section(made).tables
    assert table.headings == (
        "variant",
        "untuned",
        "tuned",
        "difference",
        "95 % interval",
        "trials",
        "time (share)",
        "setting",
    )
    rows = {row[0]: row[1:] for row in table.rows}
    mean = tuned.cells.loc[tuned.cells["variant"] == "base", "accuracy"].mean()
    assert rows["base"][0] == "0.3100 ± 0.0100"
    assert rows["base"][1].startswith(f"{mean:.4f} ± ")
    assert rows["base"][2] == f"{mean - 0.31:+.4f}"
    assert rows["base"][4:] == ("2", "40 s (4 %)", "optimizer.lr=0.002, base=base")
    assert rows["y"][1:4] == ("–", "–", "–")
    assert rows["y"][4:] == ("2 (2 failed)", "0.0 s (0 %)", "none: every trial failed")
    (note,) = section(made).notes
    for words in ("2 settings (random)", "the untuned one first", "one seed", "validation images", "largest accuracy"):
        assert words in note


def test_verdicts_are_about_the_tuned_variants(tuned):
    made = page(tuned)
    assert [effect.variant for effect in made.analysis.effects] == ["x", "y"]
    assert made.analysis.effects[0].n == 3
    assert made.analysis.answer.endswith("Every variant was tuned, by 2 trials.")
    assert "untuned" not in str(section(made, "Comparison").tables)


def test_the_other_sections_count_the_cells_of_the_tuning_too(tuned):
    made = page(tuned)
    assert section(made, "Failed cells").items == (
        ("it broke", ("y (trial 1), seed 4294967296", "y (trial 2), seed 4294967296")),
    )
    assert section(made, "Cost").notes[0].endswith("With those of the tuning, 19 cells took 16 min 20 s.")
    assert "<dd>19 of 21</dd>" in web.html([made])


def test_where_the_untuned_setting_was_best_there_is_no_interval(tuned):
    same = make_tuned()
    told = same.tuning.variants[0]
    object.__setattr__(told, "chosen", 0)
    row = section(page(same)).tables[0].rows[0]
    assert row[4] == "–"
    assert row[-1] == "optimizer.lr=0.001, base=base (untuned)"


def test_a_search_that_goes_on_says_nothing_of_a_setting(tuned):
    going = make_tuned()
    told = going.tuning.variants[1]
    object.__setattr__(told, "chosen", None)
    object.__setattr__(told, "ended", False)
    going.tuning.cells.loc[going.tuning.cells["variant"] == "x (trial 2)", "status"] = "running"
    row = next(row for row in section(page(going)).tables[0].rows if row[0] == "x")
    assert row[5] == "1"
    assert row[-1] == "–"


def test_every_format_has_the_table(tuned, tmp_path):
    pages = [page(tuned)]
    assert "| base | 0.3100 ± 0.0100 |" in markdown(pages)
    assert r"0.3100 \textpm{} 0.0100" in latex.fragment(pages)
    assert "<h2>Tuning</h2>" in web.html(pages)
    rows = list(csv.DictReader(io.StringIO(as_csv(pages))))
    assert [float(row["untuned"]) for row in rows] == pytest.approx([0.31, 0.33, 0.35])
    assert [row["tuning_setting"] for row in rows][:2] == ["optimizer.lr=0.002, base=base", "optimizer.lr=0.002, x=x"]
    assert [row["tuning_trials"] for row in rows] == ["2", "2", "2"]
    found = json.loads(as_json(pages))
    assert found["tuning"]["variants"][0]["trials"][1]["value"] == 0.5
    assert len(found["tuning"]["cells"]) == 15
    assert found["analysis"]["tuned"][2]["setting"] is None
    names = {path.name for path in write_all(pages[0], tmp_path)}
    assert "trials.csv" in names
    assert "trials.csv" not in {path.name for path in write_all(page(make_study()), tmp_path)}


def test_trials_have_a_row_for_every_cell_with_its_setting(tuned):
    rows = list(csv.DictReader(io.StringIO(frame_csv(trials(tuned.tuning)))))
    assert [(row["variant"], row["trial"], row["chosen"]) for row in rows[:2]] == [("base", "1", "False"), ("base", "2", "True")]
    assert [row["optimizer.lr"] for row in rows[:2]] == ["0.001", "0.002"]
    assert len(rows) == 6
    assert rows[0]["key"] == tuned.tuning.cells["key"].iloc[0]


@pytest.mark.parametrize("width", [30, 80, 200])
def test_the_terminal_shows_all_of_it_in_any_window(tuned, width, tmp_path):
    console = Console(width=width, record=True, file=(tmp_path / "out").open("w"))
    console.print(study_view(page(tuned), width))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for words in ("0.3100 ± 0.0100", "optimizer.lr=0.002", "every trial failed"):
        assert words in flat


def test_settings_of_strangers_are_only_text():
    pages = [page(make_tuned(HOSTILE))]
    html = web.html(pages)
    assert html.count("<script>") == 1, "the report's own"
    assert "&lt;script&gt;document.title" in html
    assert r"\write18" not in latex.document(pages)
    assert all(not line.startswith("=") for line in as_csv(pages).splitlines())
