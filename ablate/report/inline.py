"""Figures that notebooks show."""

import io

import matplotlib.figure

from .style import settings

DPI = 144  # more than a pixel for each of CSS, so that letters are sharp where pixels are small


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook shows as it is, also where nobody has imported pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        made = io.BytesIO()
        with settings():  # ticks may be made only now
            self.savefig(made, format="png", dpi=DPI, facecolor=self.get_facecolor())
        width, height = (round(96 * inches) for inches in self.get_size_inches())
        return made.getvalue(), {"width": width, "height": height}
