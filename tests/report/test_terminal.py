"""The terminal: every number in narrow and in wide windows."""

import io

import pytest
from rich.console import Console
from studies import HOSTILE, make_factorial, make_study

from ablate.contracts import Factor
from ablate.report.content import page
from ablate.report.terminal import study_view


def shown(study, width, whole=False):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(study_view(page(study), width, whole))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 160])
def test_every_window_has_every_number(width):
    text = shown(make_study(seeds=5), width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for words in ("made", "Does it help?", "base", "reference", "95 % interval", "p (Holm)", "verdict", "better"):
        assert words in flat
    assert text.count("±") >= 3


def test_a_wide_window_has_a_table():
    lines = shown(make_study(), 160).splitlines()
    header = next(line for line in lines if line.startswith("variant"))
    assert header.split()[:2] == ["variant", "verdict"]
    row = next(line for line in lines if line.startswith("y "))
    assert row.index("+0.0") > header.index("mean")
    assert row[header.index("verdict") :].startswith(("better", "undecided"))


def test_a_factorial_has_its_terms_and_shares_below():
    text = shown(make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))]), 160)
    assert text.index("verdict") < text.index("estimate") < text.index("added last")
    assert "a=on × b=on" in text
    assert "sum of squares" not in text


def test_what_other_formats_have_beside_is_named():
    study = make_study(seeds=5)
    more = f"The report has more: Cost, Provenance. `ablate report {study.name} --format full` shows it here."
    assert more in " ".join(shown(study, 80).split())


@pytest.mark.parametrize("width", [40, 60, 200])
def test_the_whole_report_has_every_table_and_sentence(study, width):
    study.cells.loc[3, "status"] = "failed"
    study.cells.loc[3, "error"] = "RuntimeError: no memory"
    text = shown(study, width, whole=True)
    assert max(map(len, text.splitlines())) <= width
    assert "\n\n\n" not in text
    flat = "".join(text.split())
    made = page(study)
    assert [section.title for section in made.sections if section.items]
    for section in made.sections:
        told = [cell for table in section.tables for row in table.rows for cell in row]
        told += [line for name, lines in section.items for line in (name, *lines)]
        for words in (*told, *section.notes, *([section.title] if told or section.notes else [])):
            assert "".join(words.split()) in flat


def test_failures_are_told(study):
    study.cells.loc[3, "status"] = "failed"
    study.cells.loc[3, "error"] = "RuntimeError: no [red]memory[/]"
    text = shown(study, 100)
    assert "failed: base, seed 3: RuntimeError: no [red]memory[/]" in text
    assert "3 (1 failed)" in text


@pytest.mark.parametrize("width", [40, 160])
def test_hostile_names_move_nothing(hostile, width):
    text = shown(hostile, width)
    assert not any(control in text for control in ("\x1b", "\x07", "\x00", "\u202e", "\ud800"))
    assert HOSTILE[4] in " ".join(text.split())
