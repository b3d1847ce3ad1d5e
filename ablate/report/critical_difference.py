"""The critical-difference diagram (Demšar 2006)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ablate.stats.block_records import Blocks
from ablate.study import Study

from .drawing import Mark, Panel, Picture
from .figures import VERDICTS, wrapped
from .style import INK

if TYPE_CHECKING:  # matplotlib is there when axes are
    from matplotlib.axes import Axes

REFERENCE = Mark("reference", INK, marker="D")
MOST_DRAWN = 30
WIDTH, LETTER, LONGEST = 4.7, 0.072, 18  # inches: of the figure, and of a letter; letters of a line of a name
RULER, AXIS, GAP, LINE, ROW = 0.12, 0.5, 0.09, 0.14, 0.09  # inches: of the rows from above to below


@dataclass(frozen=True)
class Scale:
    """Where mean ranks stand, in inches from the left.

    Attributes:
        variants: The largest rank.
        side: Room for names on either side.
    """

    variants: int
    side: float

    def __call__(self, rank: float) -> float:
        return self.side + (rank - 1) / (self.variants - 1) * (WIDTH - 2 * self.side)


def ranks_picture(study: Study, found: Blocks) -> tuple[Picture, ...]:
    """Every variant at its mean rank; a bar joins those that Nemenyi's test does not tell apart."""
    if found.friedman is None:
        return ()
    verdicts = {one.variant: VERDICTS[one.verdict] for one in found.comparisons}
    ranked = sorted(found.ranks.items(), key=lambda item: item[1])
    caption = (
        f"Mean ranks over {len(found.ranked)} blocks, the best on the left. A bar joins variants that Nemenyi's test does "
        f"not tell apart: CD is the critical difference, {found.critical_difference:.3f} at level {study.compare.alpha:g}. "
        f"Symbols are the verdicts of the table, against {found.reference!r}"
    )
    if len(ranked) > MOST_DRAWN:
        caption += f". The {MOST_DRAWN} with the best ranks of {len(ranked)} are drawn"
        ranked = ranked[:MOST_DRAWN]
    marks = [verdicts.get(name, REFERENCE) for name, _ in ranked]
    bars = groups([rank for _, rank in ranked], found.critical_difference)
    names = [wrapped(name, LONGEST) for name, _ in ranked]
    below = AXIS + GAP * (len(bars) + 1)
    left, right = _rows(names[: (len(names) + 1) // 2], below), _rows(names[: (len(names) - 1) // 2 : -1], below)
    places = [*left, *reversed(right)]
    height = max(place + LINE * (1 + text.count("\n")) / 2 for place, text in zip(places, names, strict=True)) + ROW
    drawn = [(text, rank, mark, place) for text, (_, rank), mark, place in zip(names, ranked, marks, places, strict=True)]
    scale = Scale(len(found.ranks), 0.2 + LETTER * max(len(line) for text in names for line in text.split("\n")))
    draw = partial(_draw, drawn, bars, scale, found.critical_difference, height)
    key = tuple(mark for mark in (REFERENCE, *dict.fromkeys(VERDICTS.values())) if mark in marks)
    return (Picture("ranks", f"{caption}.", (Panel(draw, WIDTH, height),), key),)


def groups(ranks: Sequence[float], critical: float) -> list[tuple[float, float]]:
    """The ends of the largest runs of sorted mean ranks that differ by less than the critical difference."""
    found: list[tuple[float, float]] = []
    for first in ranks:
        last = max(rank for rank in ranks if first <= rank < first + critical)
        if last > first and not (found and last <= found[-1][1]):
            found.append((first, last))
    return found


def _rows(names: Sequence[str], top: float) -> list[float]:
    """The middle of each name, from above to below."""
    places = []
    for name in names:
        size = LINE * (1 + name.count("\n"))
        places.append(top + ROW + size / 2)
        top += ROW + size
    return places


Drawn = tuple[str, float, Mark, float]  # a name, its rank and mark, and where the name stands


def _draw(
    drawn: Sequence[Drawn], bars: Sequence[tuple[float, float]], scale: Scale, critical: float, height: float, axes: "Axes"
) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_axis_off()
    axes.set_xlim(0, WIDTH)
    axes.set_ylim(height, 0)
    start, end = scale(1), scale(scale.variants)
    axes.hlines(AXIS, start, end, color=INK, linewidth=0.8)
    for tick in MaxNLocator(min(scale.variants, 7), integer=True).tick_values(1, scale.variants):
        if 1 <= tick <= scale.variants:
            axes.vlines(scale(tick), AXIS - 0.05, AXIS, color=INK, linewidth=0.6)
            axes.text(scale(tick), AXIS - 0.08, f"{tick:g}", ha="center", va="bottom")
    ruler = min(scale(1 + critical), end)
    axes.hlines(RULER, start, ruler, color=INK, linewidth=1.2)
    axes.vlines([start, ruler], RULER - 0.03, RULER + 0.03, color=INK, linewidth=1.2)
    beyond = " (longer than the axis)" if 1 + critical > scale.variants else ""
    axes.text(ruler + 0.06, RULER, f"CD = {critical:.2f}{beyond}", va="center", fontsize=8)
    for row, (first, last) in enumerate(bars, start=1):
        axes.hlines(AXIS + GAP * row, scale(first) - 0.03, scale(last) + 0.03, color=INK, linewidth=3)
    for index, (name, rank, mark, place) in enumerate(drawn):
        left = index < (len(drawn) + 1) // 2
        edge = scale.side - 0.1 if left else WIDTH - scale.side + 0.1
        axes.plot([scale(rank), scale(rank), edge], [AXIS, place, place], color=mark.color, linewidth=0.9)
        axes.plot(scale(rank), AXIS, color=mark.color, marker=mark.marker, markersize=5.5, linestyle="none", clip_on=False)
        axes.text(edge + (-0.06 if left else 0.06), place, name, ha="right" if left else "left", va="center")
