"""Figures as SVG, PDF and PNG, the same bytes for the same study.

In a page, what is drawn in `INK` takes the colour of the text around it, and the other colours are the page's own, so that
figures read on light and on dark ground. The colours are those of Okabe and Ito ("Color universal design", 2008), which the
colour-blind can tell apart, darkened where they had too little contrast against white.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from ablate.plain import one_line, shorten

from .style import COLORS, INK, settings

if TYPE_CHECKING:  # matplotlib is imported by what draws: most formats have no figures, and are there 0.3 s earlier
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


@dataclass(frozen=True)
class Mark:
    """How something is drawn, for the key of a figure: a line where it has dashes, a symbol otherwise.

    Attributes:
        label: What is drawn so.
        color: Hexadecimal, or `INK`.
        dashes: Lengths of strokes and gaps in points; empty for an unbroken line, None for none.
        marker: matplotlib's name of the symbol; may be empty.
    """

    label: str
    color: str
    dashes: tuple[float, ...] | None = None
    marker: str = ""


@dataclass(frozen=True)
class Series:
    """What a page tells of a line or a row of a panel where somebody points at it.

    Attributes:
        name: What it is of.
        x: The places of its points along the panel; empty for a row.
        y: Their values.
        told: What a row says, in words.
        along: What `x` is.
    """

    name: str
    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    told: str = ""
    along: str = ""

    @property
    def attributes(self) -> dict[str, str]:
        """As those of an element of the page."""
        points = {"data-x": " ".join(f"{x:g}" for x in self.x), "data-y": " ".join(f"{y:.4g}" for y in self.y)}
        told = {"data-name": one_line(self.name), "data-told": one_line(self.told), "data-along": one_line(self.along), **points}
        return {name: text for name, text in told.items() if text}


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    Attributes:
        draw: Draws on the axes. What belongs to a series is marked with `series_id`.
        width: In inches.
        height: In inches.
        series: What pages tell of them.
    """

    draw: "Callable[[Axes], None]"
    width: float
    height: float
    series: tuple[Series, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A figure of one or several panels.

    Attributes:
        name: Of its files, without a suffix.
        caption: What it shows.
        panels: In a row, or in rows of three.
        key: What the colours and symbols stand for.
    """

    name: str
    caption: str
    panels: tuple[Panel, ...]
    key: tuple[Mark, ...] = ()

    @property
    def rows(self) -> list[tuple[Panel, ...]]:
        columns = min(3, len(self.panels))
        return [self.panels[start : start + columns] for start in range(0, len(self.panels), columns)]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of all panels with the key, in inches."""
        height = sum(max(panel.height for panel in row) for row in self.rows)
        return max(sum(panel.width for panel in row) for row in self.rows), height + 0.22 * -(-len(self.key) // 2)


def series_id(index: int, part: str = "") -> str:
    """The identifier in an SVG of what is drawn of a series: the line or the mark itself, and other parts, each with a name."""
    return f"series-{index}" + (f"-{part}" if part else "")


def css_color(color: str) -> str:
    """A colour as a page has it, where dark ground takes lighter ones."""
    if color == INK:
        return "currentColor"
    return f"var(--color-{COLORS.index(color)})" if color in COLORS else color


def line_style(dashes: tuple[float, ...]) -> Any:
    """Dashes as matplotlib takes them."""
    return (0, dashes) if dashes else "-"


def panels_svg(picture: Picture, salt: str) -> list[str]:
    """Every panel on its own, as `<svg>` elements for a page that shows the key and the caption itself.

    Args:
        picture: The figure.
        salt: Keeps the identifiers inside apart from those of the page's other figures.
    """
    made = []
    for index, panel in enumerate(picture.panels):
        with _drawing(replace(picture, panels=(panel,), key=()), f"{salt}-{index}") as figure:
            made.append(_inline(_svg(figure, "none"), picture.caption, panel.series))
    return made


def files(picture: Picture) -> dict[str, bytes]:
    """The whole figure with its key, as SVG and PDF on white, by the name of the file."""
    with _drawing(picture, picture.name) as figure:
        pdf = io.BytesIO()
        figure.savefig(pdf, format="pdf", facecolor="white", metadata={"CreationDate": None, "Creator": None, "Producer": None})
        return {f"{picture.name}.svg": _svg(figure, "white"), f"{picture.name}.pdf": pdf.getvalue()}


def png(picture: Picture) -> bytes:
    """The whole figure with its key, as PNG on white."""
    with _drawing(picture, picture.name) as figure:
        made = io.BytesIO()
        figure.savefig(made, format="png", dpi=150, facecolor="white")
        return made.getvalue()


def figure(picture: Picture) -> "Figure":
    """The whole figure with its key, to look at, to change and to save."""
    with _drawing(picture, picture.name) as made:
        made.draw_without_rendering()  # ticks are made by the first drawing, with the settings of that time
        return made


@contextmanager
def _drawing(picture: Picture, salt: str) -> "Iterator[Figure]":
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from .inline import Figure

    with settings(salt):
        figure = Figure(figsize=picture.size, layout="constrained")
        FigureCanvasAgg(figure)
        for index, panel in enumerate(picture.panels, start=1):
            panel.draw(figure.add_subplot(len(picture.rows), len(picture.rows[0]), index))
        if picture.key:
            labels = [shorten(mark.label, 50) for mark in picture.key]
            figure.legend([_handle(mark) for mark in picture.key], labels, loc="outside lower center", ncols=min(2, len(labels)))
        yield figure


def _handle(mark: Mark) -> "Line2D":
    from matplotlib.lines import Line2D

    line: Any = "none" if mark.dashes is None else line_style(mark.dashes)
    return Line2D([], [], color=mark.color, linestyle=line, marker=mark.marker, markersize=5)


def _svg(figure: "Figure", ground: str) -> bytes:
    made = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.patch.set_facecolor(ground)
    for axes in figure.axes:
        axes.patch.set_facecolor("none")
    figure.savefig(made, format="svg", metadata=nothing)
    return made.getvalue()


def _inline(document: bytes, label: str, series: Sequence[Series]) -> str:
    """The `<svg>` element as an HTML page takes it: ink in the colour of the text, letters in its font, no identifier twice."""
    root = ElementTree.fromstring(document)  # noqa: S314, it was written above
    for element in root.iter():
        element.tag = element.tag.removeprefix("{http://www.w3.org/2000/svg}")
        element.tail = None
        if element.tag == "g":
            drawn = re.fullmatch(r"series-(\d+)(-\w+)?", element.attrib.pop("id", ""))
            if drawn and int(drawn[1]) < len(series):
                element.attrib |= {"data-series": drawn[1]} | ({} if drawn[2] else series[int(drawn[1])].attributes)
        if link := element.attrib.pop("{http://www.w3.org/1999/xlink}href", None):
            element.set("href", link)
        if style := element.get("style"):
            style = re.sub(r"font-family: [^;]*(; )?", "", style)
            element.set("style", re.sub("#[0-9a-f]{6}", lambda match: css_color(match.group()), style))
        if path := element.get("d"):
            element.set("d", " ".join(path.split()))
    for definitions in root.findall("defs"):
        for style_sheet in definitions.findall("style"):  # it would hold for the page
            definitions.remove(style_sheet)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"], root.attrib["version"]
    root.attrib |= {"role": "img", "aria-label": one_line(label), "style": f"max-width: {width * 96 / 72 * 1.15:.0f}px"}
    return ElementTree.tostring(root, "unicode")
