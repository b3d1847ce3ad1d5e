"""LaTeX that compiles, and sets every name as it is."""

import shutil
import subprocess

import pytest
from studies import HALF, HOSTILE, make_study

from ablate.report.content import page
from ablate.report.files import render
from ablate.report.latex import escaped, fragment
from ablate.study import VariantInfo

needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
ALL = "".join(map(chr, range(0x20, 0x250))) + f"αβγωΩ≤≥≈→←±×²–—…“”‘’€中🙂{HALF}\u202e"


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 50 % #1 {x}", r"a\_b \& 50 \% \#1 \{x\}"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("$x^2$ ~", r"\$x\textasciicircum{}2\$ \textasciitilde{}"),
        ("a--b,,c", "a-{}-b,{},c"),
        ("---", "-{}-{}-"),
        ("±5 η² 0.1 → 0.2", r"\textpm{}5 \ensuremath{\eta}\textsuperscript{2} 0.1 \textrightarrow{} 0.2"),
        ("é ß ž", "é ß ž"),
        ("中", r"\texttt{U+4E2D}"),
        ("a\n\x1b\ud800", r"a \texttt{U+FFFD}\texttt{U+FFFD}"),
    ],
)
def test_specials_are_text(text, latex):
    assert escaped(text) == latex


def test_a_row_that_begins_with_a_bracket_is_no_option(study):
    text = fragment([page(make_study(["[1cm]", "*", "x"]))])
    assert "\n{[1cm]} & " in text
    assert "\n{*} & " in text


def compiled(directory, name):
    """Compiles a file, and returns the text of the pages where that can be read."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", name]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
    pdf = (directory / name).with_suffix(".pdf")
    assert pdf.stat().st_size > 1000
    if shutil.which("pdftotext") is None:
        return None
    return subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout


@needs_latex
def test_the_document_of_a_hostile_study_compiles_with_its_figures(tmp_path, hostile_files):
    shutil.copytree(hostile_files, tmp_path, dirs_exist_ok=True)
    text = compiled(tmp_path, "report.tex")
    assert text is None or "<script>" in text
    assert "figures/curves.pdf" in (tmp_path / "report.log").read_text(errors="replace")


@needs_latex
def test_tables_compile_inside_another_document(tmp_path):
    study = make_study([ALL, *(f"v{i}" for i in range(40))], seeds=2)
    (tmp_path / "tables.tex").write_text(render([page(study), page(make_study(name="other"))], "latex"))
    packages = (tmp_path / "tables.tex").read_text().splitlines()[0].removeprefix("% needs ").replace(" and ", "")
    lines = [r"\documentclass{article}", packages, r"\begin{document}", r"\input{tables}", r"\end{document}"]
    (tmp_path / "paper.tex").write_text("\n".join(lines))
    text = compiled(tmp_path, "paper.tex")
    assert text is None or ("v39" in text and "other" in text)


@needs_latex
def test_names_without_end_compile(tmp_path):
    names = ["base", "\\" * 20_000, "🙂é" * 5_000]
    infos = tuple(VariantInfo(name, {}, (f"{name}: 1 → 2",) * 20) for name in names)
    study = make_study(
        names, metric=names[2], variants=infos, published={"source": names[1], names[2]: {names[2]: [0.1, 0.2, 0.3]}}
    )
    (tmp_path / "report.tex").write_text(render([page(study)], "latex-document"))
    compiled(tmp_path, "report.tex")


def test_hostile_names_have_no_command_of_their_own(hostile):
    for text in (render([page(hostile)], "latex"), render([page(hostile)], "latex-document")):
        assert HOSTILE[5] not in text
        assert r"\input{/etc" not in text
        assert r"\write18" not in text
        assert text.count(r"\end{document}") <= 1
