"""The reliability diagram: how often what a network says is right, by how sure it is of it."""

from functools import partial
from typing import TYPE_CHECKING

from ablate.stats.calibration import BINS
from ablate.stats.image_records import Calibration, PerImage
from ablate.study import Study

from .drawing import Mark, Panel, Picture, Series, series_id
from .style import COLORS, INK

if TYPE_CHECKING:  # matplotlib is there when axes are
    from matplotlib.axes import Axes

MOST = 6  # variants that are drawn
SMALLEST = 20  # images of a bin: the part of fewer that is right is noise


def reliability_picture(study: Study, found: PerImage) -> tuple[Picture, ...]:
    """The reference, and the variants whose calibration errors differ most from its own."""
    rows = {row.variant: row for row in found.calibration if any(images >= SMALLEST for *_, images in row.bins)}
    reference = rows.pop(study.compare.reference, None)
    if reference is None:
        return ()
    others = sorted(rows.values(), key=lambda row: -abs(row.error - reference.error))[: MOST - 1]
    drawn = [reference, *(row for row in rows.values() if row in others)]
    colors = (INK, *COLORS)
    marks = [Mark(row.variant, color, ()) for row, color in zip(drawn, colors, strict=False)]
    series = tuple(_series(row) for row in drawn)
    caption = (
        f"Part of the images that is right, in each of {BINS} bins of confidence with at least {SMALLEST} images, of all cells; "
        "below the line a network is overconfident"
    )
    if len(others) < len(rows):
        caption += (
            f". The reference and the {len(others)} of {len(rows)} variants whose errors differ most from its own are drawn"
        )
    return (Picture("reliability", f"{caption}.", (Panel(partial(_draw, series, marks), 3.9, 3.4, series),), tuple(marks)),)


def _series(row: Calibration) -> Series:
    bins = [(sure, right) for sure, right, images in row.bins if images >= SMALLEST]
    return Series(
        row.variant, tuple(round(sure, 3) for sure, _ in bins), tuple(right for _, right in bins), along="right where sure to"
    )


def _draw(series: tuple[Series, ...], marks: list[Mark], axes: "Axes") -> None:
    least = min(min(one.x + one.y) for one in series)
    start = max(0.0, least - 0.05)
    axes.plot([start, 1], [start, 1], color=INK, linewidth=0.8, alpha=0.5)
    for index, (one, mark) in enumerate(zip(series, marks, strict=True)):
        axes.plot(one.x, one.y, color=mark.color, linewidth=1.4, marker="o", markersize=3.5, gid=series_id(index))
    axes.set_xlim(start, 1.01)
    axes.set_ylim(start, 1.01)
    axes.set_aspect("equal")
    axes.set_xlabel("sure (confidence)")
    axes.set_ylabel("right")
    axes.grid()
