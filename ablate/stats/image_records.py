"""What is concluded image by image: plain records, as those in `records`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ByClass:
    """How well a variant tells one class, against the reference, that of its block where there are some.

    Attributes:
        variant: Its name.
        class_name: The class.
        images: Images of it that a cell was evaluated on; of masks, those with a pixel of it.
        reference: Part of them that the reference gets right (recall), mean of its seeds; of masks the IoU of the class, of the
            pixels of all images together.
        value: The same of the variant.
        difference: `value - reference`.
        low: Lower end of its confidence interval over seeds, as of the verdicts, within -1 and 1; all of this kind hold together.
        high: Its upper end.
    """

    variant: str
    class_name: str
    images: int
    reference: float
    value: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Paired:
    """A variant and the reference, that of its block where there are some, on the same images, seed by seed.

    Attributes:
        variant: Its name.
        seeds: Seeds that both have.
        only_reference: Images that only the reference gets right, summed over the seeds.
        only_variant: Images that only the variant gets right.
        difference: Part of the images that is right, variant minus reference.
        low: Lower end of its confidence interval over images (normal); all of this kind hold together.
        high: Its upper end.
        p: McNemar's test, exact for one seed; for several, with the seeds of an image as a cluster (Durkalski et al., 2003,
            Statistics in Medicine 22), which with one would be McNemar's without correction.
        p_adjusted: `p`, corrected for the number of variants.
        low_both: Lower end of the interval over seeds and images (`crossed.Crossed`); NaN with one seed. All of this kind hold
            together.
        high_both: Its upper end.
        p_both: The p-value that belongs to it.
        p_both_adjusted: The same, corrected for the number of variants.
        from_seeds: The part of the variance of `difference` that seeds have.
        from_images: The part that images have; the rest is that of images with seeds.
    """

    variant: str
    seeds: int
    only_reference: int
    only_variant: int
    difference: float
    low: float
    high: float
    p: float
    p_adjusted: float
    low_both: float
    high_both: float
    p_both: float
    p_both_adjusted: float
    from_seeds: float
    from_images: float


@dataclass(frozen=True)
class Calibration:
    """Whether a variant is right as often as it is sure.

    Attributes:
        variant: Its name.
        n: Its cells.
        accuracy: Part of the images that is right, mean of the cells.
        confidence: Probability of what it says, mean.
        error: Expected calibration error with 15 bins (Guo et al., 2017), mean of the cells.
        error_sd: Its standard deviation.
        bins: Those of the 15 bins of confidence that have images, all cells together: confidence, part that is right, images.
    """

    variant: str
    n: int
    accuracy: float
    confidence: float
    error: float
    error_sd: float
    bins: tuple[tuple[float, float, int], ...] = ()


@dataclass(frozen=True)
class Mistake:
    """Images, or pixels, of one class that the reference takes for another: `rate` is their part of it, mean of its cells."""

    true: str
    said: str
    rate: float


@dataclass(frozen=True)
class Disputed:
    """An image that variants disagree on.

    Attributes:
        image: Its place among the evaluated images, from 0.
        class_name: Its class; empty where it has a mask.
        best: The variant that gets it right in most of its seeds.
        best_part: The part of them; of a mask its IoU, the mean over the classes that it has, and over seeds.
        worst: The variant that gets it right in the fewest.
        worst_part: As `best_part`.
        said: What that one says most often; empty where it has a mask.
    """

    image: int
    class_name: str
    best: str
    best_part: float
    worst: str
    worst_part: float
    said: str


@dataclass(frozen=True)
class PerImage:
    """What the kept predictions of a study say.

    Attributes:
        cells: Finished cells.
        without: Those of them that have no predictions.
        damaged: Those whose predictions cannot be read.
        others: Variants that were not evaluated on the reference's images, so that nothing is paired with it.
        by_seed: Whether every seed has test images of its own: nothing is said of single images then.
        targets: What was told of an image, one class or a mask. Of masks there are no `paired` and no `calibration`.
        classes: Every variant but the reference, in each class.
        paired: Every variant but the reference.
        calibration: Every variant.
        mistakes: The most frequent ones of the reference.
        confusion: Of each variant (of the reference's block), the images, of masks the pixels, of each class (rows) by what was
            said (columns), summed over cells; nothing with more than 30 classes.
        class_names: In the order of rows and columns.
        disputed: The images that variants (of the reference's block) disagree on most.
        images: The digest of the images that the reference was evaluated on; empty where every seed has its own.
    """

    cells: int
    without: int
    damaged: int
    others: tuple[str, ...] = ()
    by_seed: bool = False
    targets: Literal["class", "mask"] = "class"
    classes: tuple[ByClass, ...] = ()
    paired: tuple[Paired, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    confusion: dict[str, tuple[tuple[int, ...], ...]] | None = None
    class_names: tuple[str, ...] = ()
    disputed: tuple[Disputed, ...] = ()
    images: str = ""
