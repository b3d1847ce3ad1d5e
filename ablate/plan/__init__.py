"""A checked spec -> variants -> cells with keys. Nothing is built here, and nothing runs."""

from .cells import make_cells, placebo
from .making import judged, make_plan
from .planned import Plan, PlannedCell, Variant

__all__ = ["Plan", "PlannedCell", "Variant", "judged", "make_cells", "make_plan", "placebo"]
