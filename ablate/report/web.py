"""A report as one HTML file that needs nothing else, and no network.

Everything is there without its script, which sorts tables and says what a curve is; the page's policy names the digest of the
script, so that nothing else runs.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ablate.plain import one_line, printable
from ablate.version import __version__

from .content import cells_done, overview
from .drawing import Picture, css_color, panels_svg
from .page import Page, Section
from .reading import IMPORTED
from .thumbnails import Thumbnail, address

SYMBOLS = {"^": "▲", "v": "▼", "s": "■", "o": "●", "x": "✕", "D": "◆"}


def html(pages: Sequence[Page]) -> str:
    """The report of one study, or of several with an overview."""
    table = overview(pages) if len(pages) > 1 else None
    shell = {"script": script("report.js"), "policy": policy("report.js"), "version": __version__}
    return environment().get_template("report.html.jinja").render(pages=pages, overview=table, **shell)


@cache
def script(*names: str) -> Markup:
    """Scripts of the package, one after the other, as they stand in a page."""
    folder = files("ablate.report") / "templates"
    return Markup("\n".join((folder / name).read_text("utf-8") for name in names))  # noqa: S704, they are the package's own


@cache
def policy(*names: str, more: str = "") -> str:
    """What a page with these scripts may do: run them and nothing else, and ask nobody for anything.

    Args:
        names: Of the scripts.
        more: What else it may.
    """
    digest = base64.b64encode(hashlib.sha256(script(*names).encode()).digest()).decode()
    may = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    return f"{may}; form-action 'none'{more}"


def section_id(section: Section, outer: int) -> str:
    """Of a section in the page, with the number of its study."""
    return f"{outer}-{re.sub('[^a-z]+', '-', section.title.lower())}"


def parts(page: Page) -> dict[str, str]:
    """The report of a study in parts, by the identifiers that they have in a page with no other study."""
    made: Any = environment().get_template("parts.html.jinja").module
    sections = {section_id(section, 1): made.section_of(section, 1) for section in page.sections}
    return {"1-header": made.header_of(page, 1), **sections}


@cache
def environment() -> Environment:
    """The templates, in which every text is escaped and on one line."""
    made = Environment(
        loader=PackageLoader("ablate.report"),
        autoescape=True,
        finalize=lambda value: one_line(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "svg": svg,
        "cells_done": cells_done,
        "section_id": section_id,
        "verdict_class": verdict_class,
        "symbols": SYMBOLS,
        "imported": IMPORTED,
    }
    made.filters |= {
        "minus": minus,
        "color": css_color,
        "breakable": breakable,
        "prose": prose,
        "in_lines": in_lines,
        "pictured": pictured,
    }
    made.tests |= {"symbol": lambda mark: mark.dashes is None}
    return made


def svg(picture: Picture, salt: str) -> list[Markup]:
    """The panels of a figure, in which matplotlib has escaped every text."""
    return [Markup(panel) for panel in panels_svg(picture, salt)]  # noqa: S704, escaped by matplotlib


def pictured(thumbnails: Sequence[Thumbnail]) -> list[tuple[Thumbnail, str]]:
    """Those whose pictures are there, with them."""
    return [(one, found) for one in thumbnails if (found := address(one)) is not None]


def minus(number: str) -> str:
    """A number with the sign for minus in place of a hyphen."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", number)


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after the signs that names have."""
    parts = re.split(r"(?<=[,/_=])(?=\w)", one_line(name))
    return Markup("<wbr>").join(parts)


def prose(text: str) -> Markup:
    """A sentence in which what stands between two backticks is code, and no line begins with a %."""
    parts = re.split(r"`([^`]+)`", str(escape(one_line(text))).replace(" %", "&nbsp;%"))
    return Markup("".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts)))  # noqa: S704, escaped


def in_lines(text: str) -> tuple[str, Markup]:
    """The first line of a message, and the others as they are."""
    first, _, others = text.strip().partition("\n")
    return first, escape(printable(others.rstrip()))


def verdict_class(cell: Any) -> str:
    """The class of a verdict that stands in a table, for its colour and symbol."""
    names = {"better": "better", "worse": "worse", "no": "same", "undecided": "undecided"}
    return names.get(str(cell).partition(" ")[0], "")
