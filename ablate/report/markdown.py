"""A report as Markdown."""

import html
from collections.abc import Iterator, Sequence

from ablate.plain import one_line

from .content import overview
from .page import Page, Section
from .reading import IMPORTED
from .tables import Table


def markdown(pages: Sequence[Page], figures: str = "") -> str:
    """The report of one study, or of several with an overview.

    Args:
        pages: One a study.
        figures: Folder of the figures as the file sees it; they are left out unless given.
    """
    lines: list[str] = []
    if len(pages) > 1:
        lines += ["# Studies", "", *_table(overview(pages)), ""]
    for page in pages:
        lines += [*_page(page, figures)]
    return "\n".join(lines)


def _page(page: Page, figures: str) -> Iterator[str]:
    yield from (f"# {escaped(page.study.name)}", "")
    if page.study.question:
        yield from (escaped(page.study.question), "")
    yield from (f"**{escaped(page.analysis.answer)}**", "")
    if page.study.imported:
        yield from (f"*{IMPORTED}.*", "")
    for section in page.sections:
        lines = list(_section(section, figures))
        if lines:
            yield from (f"## {escaped(section.title)}", "", *lines)


def _section(section: Section, figures: str) -> Iterator[str]:
    for table in section.tables:
        yield from (*_table(table), "")
    if section.notes:
        yield from (" ".join(escaped(note) for note in section.notes), "")
    if figures:
        for picture in section.pictures:
            yield from (f"![{escaped(picture.caption)}]({figures}/{picture.name}.svg)", "", f"*{escaped(picture.caption)}*", "")
    if section.items:
        for name, lines in section.items:
            yield f"- {escaped(name)}: {'; '.join(map(escaped, lines))}"
        yield ""


def _table(table: Table) -> Iterator[str]:
    align = ["---" if heading in table.words else "---:" for heading in table.headings]
    yield _row(map(escaped, table.headings))
    yield _row(align)
    for row in table.rows:
        yield _row(map(escaped, row))


def _row(cells: Iterator[str] | Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text that Markdown and HTML leave as it is, on one line."""
    safe = html.escape(one_line(text), quote=False)
    return "".join(f"\\{character}" if character in "\\`*_[]|#~" else character for character in safe)
