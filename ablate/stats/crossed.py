"""A difference on other images *and* with other seeds: seeds and images as crossed random effects."""

import math
from dataclasses import dataclass

from scipy import stats

from .comparison import Array, estimate


@dataclass(frozen=True)
class Crossed:
    """The difference of two variants, each a mean over the same images and over seeds, and where its variance comes from.

    The model is `difference + seed + image + rest`, a balanced layout of two random factors without replication, in which REML
    and the mean squares of the analysis of variance give the same. Where seeds pair it is fitted to the paired differences;
    where not, each variant has seeds and a rest of its own.

    Attributes:
        difference: Variant minus reference.
        seeds: Its variance over seeds on these images, with the rest: the squared standard error of the t-test.
        images: Its variance over images with these networks, with the rest.
        rest: What of each is neither a seed's nor an image's own, but that of an image with a seed.
        df: Degrees of freedom of `seeds`.
    """

    difference: float
    seeds: float
    images: float
    rest: float
    df: float

    @property
    def both(self) -> float:
        """The variance of the difference over seeds and images."""
        return self.seeds + max(self.images - self.rest, 0.0)

    def _each(self) -> list[tuple[float, float]]:
        """Standard error and degrees of freedom of the three: over both (Hillis, 2007), seeds, and images."""
        both = self.df * (self.both / self.seeds) ** 2 if self.seeds > 0 else math.inf
        degrees = (self.both, both), (self.seeds, self.df if self.seeds > 0 else math.inf), (self.images, math.inf)
        return [(math.sqrt(variance), df) for variance, df in degrees]

    def interval(self, alpha: float) -> tuple[float, float]:
        """Confidence interval at level 1 - alpha; NaN with one seed, and where nothing varies, which tells no width.

        It is the widest of the three. With few seeds that over both can be narrower than that over seeds alone, because it has
        more degrees of freedom, and then it covers too little: 89 % instead of 95 % with two (`tests/simulations/crossed.py`).
        """
        if not self.both > 0:
            return math.nan, math.nan
        half = max(se * float(stats.t.isf(alpha / 2, df)) for se, df in self._each())
        return self.difference - half, self.difference + half

    @property
    def p(self) -> float:
        """Two-sided p-value that belongs to the interval; NaN where that is, and 1 where nothing differs."""
        if not self.both > 0:
            return math.nan if self.difference or math.isnan(self.both) else 1.0
        return max(2 * float(stats.t.sf(abs(self.difference) / se, df)) if se > 0 else 0.0 for se, df in self._each())

    @property
    def parts(self) -> tuple[float, float, float]:
        """The parts of the variance that seeds, images, and images with a seed have; NaN where there is none."""
        own = max(self.seeds - self.rest, 0.0), max(self.images - self.rest, 0.0), self.rest
        whole = sum(own)
        seeds, images, rest = (part / whole if whole > 0 else math.nan for part in own)
        return seeds, images, rest


def crossed(variant: Array, reference: Array, paired: bool) -> Crossed:
    """Fits the model.

    Args:
        variant: What is compared, of each image with each seed, such as 1 where it is right and 0 where not, `[seeds, images]`.
        reference: The same of the reference, of the same images.
        paired: Whether a row of one belongs to the same row of the other.
    """
    over_seeds = estimate(variant.mean(axis=1), reference.mean(axis=1), paired)
    of_images = variant.mean(axis=0) - reference.mean(axis=0)
    layouts = (variant - reference,) if paired else (variant, reference)
    one_seed = min(len(variant), len(reference)) < 2
    return Crossed(
        float(of_images.mean()),
        float(over_seeds.se**2),
        float(of_images.var(ddof=1) / len(of_images)),
        math.nan if one_seed else sum(_rest(layout) for layout in layouts),
        float(over_seeds.df),
    )


def _rest(layout: Array) -> float:
    """The mean square of what neither row nor column explains, as a variance of the mean of all."""
    left = layout - layout.mean(axis=0) - layout.mean(axis=1, keepdims=True) + layout.mean()
    seeds, images = layout.shape
    squares: float = (left**2).sum() / ((seeds - 1) * (images - 1)) / layout.size
    return float(squares)
