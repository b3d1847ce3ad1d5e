"""What the metric was evaluated on, and how much of it chance may have given to these images."""

import math

import numpy as np

from ablate.study import Study

from .comparison import Array
from .records import Images
from .summary import values

SINGLE = 2**-22  # relative rounding of a metric that was computed in single precision
MOST_ROUNDING = 0.1  # of one image


def images(study: Study) -> Images | None:
    """None where no cell says how many images there were, as those of 0.1.0 do not.

    A metric is a part of the images, such as accuracy or an error rate, where each of its values is a whole number of them. Then
    the rate on other images of the kind has a binomial standard error beside what the intervals cover.
    """
    done = study.cells[study.cells["status"] == "done"]
    if "evaluated_images" not in done or done["evaluated_images"].dropna().empty:
        return None
    known = done.dropna(subset=["evaluated_images"])
    sizes = known["evaluated_images"].astype(int)
    numbers = values(study)
    counts = numbers.merge(known[["variant", "seed", "evaluated_images"]], on=["variant", "seed"])
    reference = float(numbers.loc[numbers["variant"] == study.compare.reference, "value"].mean())
    if not _whole(counts["value"].to_numpy(float), counts["evaluated_images"].to_numpy(float)):
        return Images(int(sizes.min()), int(sizes.max()), math.nan, math.nan)
    return Images(int(sizes.min()), int(sizes.max()), reference, math.sqrt(reference * (1 - reference) / sizes.min()))


def resolution(study: Study) -> float:
    """The step between two values that the metric can have: one image, as a part of all; 0 where none is known."""
    found = images(study)
    return 0.0 if found is None or math.isnan(found.rate) else 1 / found.least


def _whole(rates: Array, images: Array) -> bool:
    """Whether every rate is a whole number of its images."""
    rates, images = rates[np.isfinite(rates)], images[np.isfinite(rates)]
    if not len(rates) or SINGLE * images.max() > MOST_ROUNDING or rates.min() < 0 or rates.max() > 1:
        return False
    found = rates * images
    return bool((np.abs(found - found.round()) <= SINGLE * images).all())
