"""A report as LaTeX: tables to include in a paper, and a document that compiles on its own."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from ablate.plain import shorten

from .content import overview
from .page import Page, Section
from .tables import Table

PACKAGES = "array,booktabs,longtable"
TEXT_WIDTH = 6.6  # inches, of the document
LONGEST = 2000  # characters of a text; TeX takes lines of up to 200,000 bytes
NARROW = 200  # of a text that is not broken into lines
LONG = 30  # rows above which a table may run over pages
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "±": r"\textpm{}",
    "×": r"\texttimes{}",
    "·": r"\textperiodcentered{}",
    "²": r"\textsuperscript{2}",
    "η": r"\ensuremath{\eta}",
    "→": r"\textrightarrow{}",
    "←": r"\textleftarrow{}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "≈": r"\ensuremath{\approx}",
    "−": r"\ensuremath{-}",
    "∞": r"\ensuremath{\infty}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "°": r"\textdegree{}",
    "µ": r"\textmu{}",
    "€": r"\texteuro{}",
}
_GREEK = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"


def fragment(pages: Sequence[Page]) -> str:
    r"""The tables, to be read into a paper with `\input`.

    A table of up to 30 rows floats, and a longer one runs over pages.
    """
    lines = [rf"% needs \usepackage{{{PACKAGES}}} and \usepackage[T1]{{fontenc}}"]
    if len(pages) > 1:
        lines += _table(overview(pages), "Studies")
    for page in pages:
        for section in page.sections:
            for table in section.tables:
                told = f". {section.alone}" if section.alone else ""
                lines += ["", *_table(table, f"{page.study.name}: {section.title}{told}")]
    return "\n".join(lines) + "\n"


def document(pages: Sequence[Page]) -> str:
    """The whole report for pdflatex, xelatex or lualatex; figures are shown where `figures/` has them as PDF."""
    lines = [
        r"\documentclass[a4paper]{article}",
        r"\usepackage[T1]{fontenc}\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}",
        r"\usepackage[margin=2cm]{geometry}",
        rf"\usepackage{{{PACKAGES},graphicx,float}}\floatplacement{{table}}{{H}}\floatplacement{{figure}}{{H}}",
        r"\setlength{\parindent}{0pt}\setlength{\parskip}{4pt}\sloppy",
        r"\begin{document}",
    ]
    if len(pages) > 1:
        lines += _table(overview(pages), "Studies")
    for page in pages:
        lines += [rf"\section*{{{breakable(page.study.name)}}}", "", rf"\emph{{{breakable(page.study.question)}}}", ""]
        lines += [rf"\textbf{{{breakable(page.analysis.answer)}}}", ""]
        for section in page.sections:
            lines += _section(page, section)
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _section(page: Page, section: Section) -> Iterator[str]:
    yield rf"\subsection*{{{escaped(section.title)}}}"
    for note in section.notes:
        yield from (breakable(note), "")
    for table in section.tables:
        yield from (*_table(table, f"{page.study.name}: {section.title}"), "")
    for picture in section.pictures:
        path = f"figures/{picture.name}.pdf"
        shown = rf"\centering\includegraphics[width={min(picture.size[0], TEXT_WIDTH):.2f}in]{{{path}}}"
        yield rf"\IfFileExists{{{path}}}{{\begin{{figure}}{shown}\caption{{{breakable(picture.caption)}}}\end{{figure}}}}{{}}"
    if section.items:
        yield r"\begin{description}"
        for name, lines in section.items:
            yield rf"\item[]\textbf{{{breakable(name)}}}"  # a label is not broken into lines, and TeX knows no line of six metres
            yield ";\n".join(map(breakable, lines))
        yield r"\end{description}"


def _table(table: Table, title: str) -> Iterator[str]:
    words = sum(heading in table.words for heading in table.headings)
    share = 0.28 if words == 1 else 0.13 if len(table.headings) > 7 else 0.19 if len(table.headings) > 5 else 0.75 / words
    ragged = rf">{{\raggedright\arraybackslash}}p{{{share:.2f}\linewidth}}"
    columns = "".join(ragged if heading in table.words else "r" for heading in table.headings)
    head = [r"\toprule", _row(table.headings, [True] * len(table.headings)), r"\midrule"]
    body = [_row(row, [heading in table.words for heading in table.headings]) for row in table.rows]
    small = r"\footnotesize\setlength{\tabcolsep}{3.5pt}"
    caption = rf"\caption{{{escaped(title)}}}"
    if len(table.rows) > LONG:
        yield from (rf"{{{small}", rf"\begin{{longtable}}{{{columns}}}", rf"{caption}\\", *head, r"\endhead", *body)
        yield from (r"\bottomrule", r"\end{longtable}}")
    else:
        yield from (r"\begin{table}", rf"\centering{small}", caption, rf"\begin{{tabular}}{{{columns}}}", *head, *body)
        yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}")


def _row(cells: Sequence[str], words: Sequence[bool]) -> str:
    shown = [breakable(cell) if word else _number(cell) for cell, word in zip(cells, words, strict=True)]
    first = f"{{{shown[0]}}}" if shown[0][:1] in ("[", "*") else shown[0]  # after the end of a row these would be its options
    row = [first, *shown[1:]]
    return (" & " if sum(map(len, row)) < LONGEST else " &\n").join(row) + r" \\"


def _number(text: str) -> str:
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", escaped(shorten(text, NARROW)))


def breakable(text: str) -> str:
    """Escaped text that may go on in the next line after the signs that names have, and within very long words."""
    return re.sub(r"(?<=[,=/_])(?=\w)|(?<=\w{24})(?=\w)", r"\\allowbreak ", escaped(text))


def escaped(text: str) -> str:
    """Text that LaTeX sets as it is, on one line; a character that pdflatex has no glyph for is given by its code point."""
    return "".join(map(_character, shorten(text, LONGEST))).replace("--", "-{}-").replace("--", "-{}-").replace(",,", ",{},")


def _character(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if character.isascii() or ("¡" <= character <= "ž" and character not in "ĦħĸĿŀŉŦŧ"):  # what the encoding T1 has
        return character
    name = unicodedata.name(character, "").removeprefix("GREEK SMALL LETTER ").lower()
    if name in _GREEK.split():
        return rf"\ensuremath{{\{name}}}"
    return rf"\texttt{{U+{ord(character):04X}}}"
