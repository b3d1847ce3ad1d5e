"""A report as one HTML file that needs nothing else: no script, no network."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ablate.plain import one_line
from ablate.version import __version__

from .content import cells_done, overview
from .drawing import Picture, css_color, panels_svg
from .page import Page
from .reading import IMPORTED

SYMBOLS = {"^": "▲", "v": "▼", "s": "■", "o": "●", "x": "✕", "D": "◆"}


def html(pages: Sequence[Page]) -> str:
    """The report of one study, or of several with an overview."""
    table = overview(pages) if len(pages) > 1 else None
    return environment().get_template("report.html.jinja").render(pages=pages, overview=table, version=__version__)


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
        "verdict_class": verdict_class,
        "symbols": SYMBOLS,
        "imported": IMPORTED,
    }
    made.filters |= {"minus": minus, "color": css_color, "breakable": breakable}
    made.tests |= {"symbol": lambda mark: mark.dashes is None}
    return made


def svg(picture: Picture, salt: str) -> list[Markup]:
    """The panels of a figure, in which matplotlib has escaped every text."""
    return [Markup(panel) for panel in panels_svg(picture, salt)]  # noqa: S704, escaped by matplotlib


def minus(number: str) -> str:
    """A number with the sign for minus in place of a hyphen."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", number)


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after the signs that names have."""
    parts = re.split(r"(?<=[,/_=])(?=\w)", one_line(name))
    return Markup("<wbr>").join(parts)


def verdict_class(cell: Any) -> str:
    """The class of a verdict that stands in a table, for its colour and symbol."""
    names = {"better": "better", "worse": "worse", "no": "same", "undecided": "undecided"}
    return names.get(str(cell).partition(" ")[0], "")
