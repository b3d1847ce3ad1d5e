"""The figure of confusion matrices: what the reference takes for what, and in what variants differ from it."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ablate.plain import one_line, shorten
from ablate.stats.comparison import Array
from ablate.stats.image_records import PerImage
from ablate.study import Study

from .drawing import Panel, Picture
from .figures import wrapped
from .style import COLORS, INK

if TYPE_CHECKING:  # matplotlib is there when axes are
    from matplotlib.axes import Axes

MOST_CLASSES = 20  # whose squares can be told apart
MOST_NUMBERS = 10  # classes with a number in each square
MOST_VARIANTS = 2
STRONGEST = 0.8  # opacity: numbers have to be read on it


def confusion_picture(study: Study, found: PerImage) -> tuple[Picture, ...]:
    """The reference's matrix in percent of each class, and those of the variants that differ most from it as differences."""
    counts, reference = found.confusion or {}, study.compare.reference
    if reference not in counts or len(found.class_names) > MOST_CLASSES:
        return ()
    rates = {name: _percent(np.array(matrix, float)) for name, matrix in counts.items()}
    own = rates.pop(reference)
    differences = {name: matrix - own for name, matrix in rates.items()}
    largest = sorted(differences, key=lambda name: -float(np.abs(differences[name]).sum()))[:MOST_VARIANTS]
    names = short_names(found.class_names, 14)
    panels = [Panel(partial(_matrix, reference, own, 100.0, names), 3.6, 3.4)]
    if largest:
        scale = max(float(np.abs(differences[name]).max()) for name in largest) or 1.0
        titles = {name: f"{name} − {reference}" for name in largest}
        panels += [Panel(partial(_matrix, titles[name], differences[name], scale, names), 3.6, 3.4) for name in largest]
    parts = "pixels" if found.targets == "mask" else "images"
    caption = f"Percent of the {parts} of each class (rows) by what {reference!r} says (columns), all cells together"
    if largest:
        caption += "; beside it the difference in percentage points, where a variant says it more often (blue) or less (orange)"
    if len(largest) < len(differences):
        caption += f". The {len(largest)} of {len(differences)} variants that differ most are drawn"
    return (Picture("confusion", f"{caption}.", tuple(panels)),)


def short_names(names: Sequence[str], most: int) -> list[str]:
    """Names of at most so many characters: their beginnings, or where some begin alike, beginnings and ends."""
    beginnings = [shorten(name, most) for name in names]
    if len(set(beginnings)) == len(names):
        return beginnings
    lines = map(one_line, names)
    return [line if len(line) <= most else f"{line[: most // 2 - 1]}…{line[-(most // 2) :]}" for line in lines]


def _percent(counts: Array) -> Array:
    total = counts.sum(axis=1, keepdims=True)
    return 100 * counts / np.where(total > 0, total, 1)


def _matrix(title: str, values: Array, scale: float, names: Sequence[str], axes: "Axes") -> None:
    from matplotlib.collections import PatchCollection
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Rectangle

    count = len(names)
    for color, sign in ((COLORS[0], 1), (COLORS[1], -1)):
        strengths = np.clip(sign * values / scale, 0, 1)
        places = list(zip(*np.nonzero(strengths > 0.005), strict=True))
        squares = [Rectangle((j - 0.5, i - 0.5), 1, 1) for i, j in places]
        colors = [to_rgba(color, STRONGEST * float(strengths[place])) for place in places]
        axes.add_collection(PatchCollection(squares, facecolors=colors, edgecolors="none"))
    if count <= MOST_NUMBERS:
        for i, j in np.ndindex(count, count):
            if abs(values[i, j]) >= 0.5:
                text = f"{values[i, j]:.0f}" if scale == 100 else f"{values[i, j]:+.0f}".replace("-", "−")
                inside: Any = {"in_layout": False}  # of the axes, so that nothing has to be measured for it
                axes.text(j, i, text, ha="center", va="center", fontsize=6.5, color=INK, **inside)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_aspect("equal")
    long = max(map(len, names)) > 2
    axes.set_xticks(range(count), names, rotation=90 if long else 0, fontsize=7)
    axes.set_yticks(range(count), names, fontsize=7)
    axes.tick_params(length=0)
    axes.set_xlabel("said")
    axes.set_ylabel("class")
    axes.set_title(wrapped(shorten(title, 64), 28), loc="left", fontsize=9)
