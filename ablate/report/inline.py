"""Figures that notebooks show."""

import io
import warnings

from matplotlib.figure import Figure

DPI = 192  # two pixels for each of CSS, so that letters are sharp on screens with small pixels


class Inline(Figure):
    """A figure that a notebook shows as it is, also where nobody has imported pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        made = io.BytesIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # names may be in any script
            self.savefig(made, format="png", dpi=DPI, facecolor=self.get_facecolor())
        width, height = (round(96 * inches) for inches in self.get_size_inches())
        return made.getvalue(), {"width": width, "height": height}
