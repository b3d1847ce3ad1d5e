"""How figures look, whatever style a notebook or a user's file has chosen."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INK = "#010203"
COLORS = ("#0072b2", "#d55e00", "#009e73", "#b5679a", "#a87a00", "#3a93c8")
DASHES = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))
GREY = "#8a8a8a"
_RC: Any = {
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


@contextmanager
def settings(salt: str = "") -> Iterator[None]:
    """Drawing as the report does it, whatever style a notebook or a user's file has chosen.

    Args:
        salt: Keeps the identifiers inside an SVG apart from those of others.
    """
    from matplotlib import rc_context, rcdefaults, rcParams

    with rc_context(), warnings.catch_warnings():
        rcdefaults()
        rcParams.update({**_RC, "svg.hashsalt": salt})
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names may be in any script
        yield
