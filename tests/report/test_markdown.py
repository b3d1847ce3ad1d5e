"""Markdown that shows names as they are."""

from studies import analysis, effect, make_study

from ablate.report.content import page
from ablate.report.files import render
from ablate.report.markdown import escaped, markdown


def test_a_report_is_a_table_and_sections(study):
    text = markdown([page(study, analysis(effect("x"), effect("y")))])
    lines = text.splitlines()
    assert lines[:5] == ["# made", "", "Does it help?", "", "**x is better.**"]
    header = lines.index(
        "| variant | verdict | n | mean ± sd | difference | 95 % interval, all together | effect size | p (Holm) |"
    )
    assert lines[header + 1] == "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[header + 3].startswith("| x | better | 4 | ")
    assert lines[header + 3].endswith(r"| +0.0200 | \[+0.0100, +0.0300\] | +1.25 | 0.012 |")
    assert "- x: model.size: 1 → 1" in lines
    assert "figures/" not in text
    assert "## Learning curves" not in lines


def test_figures_are_shown_where_they_are():
    text = markdown([page(make_study())], "figures")
    assert "](figures/curves.svg)" in text
    assert "](figures/effects.svg)" in text


def test_several_studies_have_an_overview():
    lines = render([page(make_study()), page(make_study(name="other"))], "markdown").splitlines()
    assert lines[0] == "# Studies"
    assert sum(line in ("# made", "# other") for line in lines) == 2
    assert any(line.startswith("| other | Does it help? |") for line in lines)


def test_every_row_of_a_hostile_table_has_as_many_cells(hostile):
    text = render([page(hostile)], "markdown")
    assert "<script" not in text
    assert "\x1b" not in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    header = rows[0].count(" | ")
    assert [row.replace(r"\|", "").count(" | ") for row in rows[:13]] == [header] * 13


def test_escapes():
    assert escaped("a|b *c* _d_ `e` [f](g) <b> & \\ #~\n1") == (r"a\|b \*c\* \_d\_ \`e\` \[f\](g) &lt;b&gt; &amp; \\ \#\~ 1")
