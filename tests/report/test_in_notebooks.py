"""A study in a program's or a notebook's hands: how it looks, its frames, its figures."""

import json
import subprocess
import sys
from dataclasses import fields

import matplotlib as mpl
import numpy as np
import pytest
from studies import HOSTILE, make_factorial, make_study
from test_web import Checked

import ablate
from ablate.contracts import Factor
from ablate.errors import SpecError, UsageError
from ablate.stats.records import Effect


def test_it_shows_question_answer_and_verdicts(study):
    checked = Checked(study._repr_html_())
    text = " ".join(checked.text).replace("\N{NO-BREAK SPACE}", " ")
    titles = ("made, 12 of 12 cells done", "Does it help?", study.analysis().answer, "p (Holm)", "reference")
    assert sorted(titles, key=text.index) == list(titles)
    assert ("td", {"class": "better"}) in checked.tags
    assert {tag for tag, _ in checked.tags}.isdisjoint({"script", "html", "body", "svg", "img"})
    assert repr(study) == "Study('made': 3 variants, 12 of 12 cells done)"


def test_it_shows_what_failed(study):
    study.cells.loc[3, "status"], study.cells.loc[3, "error"] = "failed", "RuntimeError: no <b>memory"
    text = study._repr_html_()
    assert text.index("Failed cells:") < text.index("RuntimeError: no &lt;b&gt;memory")
    assert "11 of 12" in repr(study)


def test_hostile_names_are_text(hostile):
    text = hostile._repr_html_()
    checked = Checked(text)
    assert {tag for tag, _ in checked.tags}.isdisjoint({"script", "img", "svg", "b"})
    assert "mathjax_ignore" in checked.tags[0][1]["class"], "no dollar sign begins a formula"
    shown = "".join(checked.text)
    assert all(name in shown for name in (HOSTILE[0], HOSTILE[4], HOSTILE[5], HOSTILE[7]))
    assert not any(control in text + repr(hostile) for control in ("\x1b", "\x00", "\x07", "\u202e", "\ud800"))


def test_effects_are_a_frame(study):
    frame = study.effects()
    assert list(frame) == [field.name for field in fields(Effect)]
    assert frame["variant"].tolist() == ["x", "y"]
    means = study.cells.groupby("variant")["accuracy"].mean()
    assert np.allclose(frame["difference"], means[["x", "y"]] - means["base"])
    assert list(make_study(["base"]).effects()) == list(frame), "a study without comparisons has the same columns"


def test_figures_are_those_of_the_report(study):
    assert [line.get_text() for line in study.figure().axes[0].get_yticklabels()] == ["x", "y"]
    assert len(study.figure("curves").axes) == 2
    with pytest.raises(UsageError, match=r"no figure 'curve'. Did you mean 'curves'"):
        study.figure("curve")
    factorial = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))])
    assert all(factorial.figure(name).axes for name in ("terms", "interactions", "attribution"))


def test_figures_show_themselves_whatever_style_is_chosen(study, hostile):
    plain, size = study.figure("curves")._repr_png_()
    assert plain.startswith(b"\x89PNG")
    assert size == {"width": 806, "height": 340}
    with mpl.rc_context({"figure.facecolor": "black", "savefig.facecolor": "black", "font.size": 30, "text.parse_math": True}):
        assert study.figure("curves")._repr_png_()[0] == plain
        for name in ("effects", "curves"):
            assert hostile.figure(name)._repr_png_()[0].startswith(b"\x89PNG")  # names are not read as formulas


def test_a_mistake_is_told_without_a_traceback(spec):
    with pytest.raises(SpecError) as caught:
        ablate.run(spec | {"name": "\x1b[2J"}, progress=False)
    (told,) = caught.value._render_traceback_()
    assert told.startswith("SpecError: spec: 1 problem\n  name: ")
    assert "\x1b" not in told


def test_importing_is_light():
    code = "import ablate, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "pandas", "numpy", "scipy", "matplotlib", "rich", "jinja2", "IPython", "typer"}
    assert heavy.isdisjoint(json.loads(done.stdout))
