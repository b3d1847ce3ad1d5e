"""Whether a variant is right as often as it is sure (Guo et al., 2017)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ablate.predictions import Predictions

from .comparison import Array
from .image_records import Calibration

BINS = 15  # of a calibration, equally wide


def reliability(said: Predictions) -> tuple[Array, Array, Array]:
    """For each of 15 bins of confidence: the part that is right, the mean confidence (NaN without an image), and the images."""
    bins = np.clip(np.ceil(said.confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS).astype(float)
    with np.errstate(invalid="ignore"):
        right = np.bincount(bins, weights=(said.answers == said.labels).astype(float), minlength=BINS) / count
        sure = np.bincount(bins, weights=said.confidence, minlength=BINS) / count
    return right, sure, count


def expected_error(right: Array, sure: Array, count: Array) -> float:
    """Expected calibration error: |right - sure| of the bins, by their images."""
    return float(np.nansum(np.abs(right - sure) * count) / count.sum())


def calibration(name: str, own: Mapping[int, Predictions]) -> Calibration:
    """That of a variant, from the predictions of its cells."""
    of_seeds = [reliability(said) for said in own.values()]
    errors = np.array([expected_error(*bins) for bins in of_seeds])
    right = float(np.mean([(said.answers == said.labels).mean() for said in own.values()]))
    sure = float(np.mean([said.confidence.mean() for said in own.values()]))
    sd = float(errors.std(ddof=1)) if len(errors) > 1 else math.nan
    return Calibration(name, len(own), right, sure, float(errors.mean()), sd, _together(of_seeds))


def _together(of_seeds: Sequence[tuple[Array, Array, Array]]) -> tuple[tuple[float, float, int], ...]:
    """The bins of several cells as those of one."""
    count = np.sum([images for _, _, images in of_seeds], axis=0)
    right, sure = (np.nansum([one[place] * one[2] for one in of_seeds], axis=0) for place in (0, 1))
    return tuple((float(sure[i] / count[i]), float(right[i] / count[i]), int(count[i])) for i in np.flatnonzero(count))
