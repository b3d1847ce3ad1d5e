"""What the statistics say about a study: plain records, for reports and for programs.

Differences and intervals are in units of the study's metric; a positive difference is larger, whether or not that is better.
NaN stands where the data cannot tell.
"""

from dataclasses import dataclass
from typing import Any

from .block_records import Blocks
from .factor_records import Attribution, Factorial
from .image_records import PerImage
from .verdicts import Verdict


@dataclass(frozen=True)
class Effect:
    """One variant against the reference.

    Attributes:
        variant: Its name.
        n: Its cells that have a value; where seeds pair, the seeds that both have.
        n_reference: The same of the reference.
        difference: Mean of the variant minus mean of the reference.
        corrected: The difference without the bias of stopping when chance helps (median-unbiased), where seeds were added until
            decided; NaN elsewhere, and of what is equivalent.
        low: Lower end of the confidence interval of the difference, Welch's, or Student's where seeds pair. All intervals hold
            together at level 1 - alpha (Bonferroni); with the correction of Benjamini and Hochberg, each for itself.
        high: Its upper end.
        pointwise_low: Lower end of the interval that holds at this level for this comparison alone.
        pointwise_high: Its upper end.
        boot_low: Lower end of the bootstrap interval (BCa) at the same level, for this comparison alone.
        boot_high: Its upper end.
        effect_size: Hedges' g: the difference in standard deviations, corrected for small n.
        p: Two-sided p-value of the t-test (Welch's, or paired); of the rank test where a run counts as the worst.
        p_permutation: Two-sided p-value of the permutation test of Welch's t, or of the signs of paired differences.
        p_robust: `p_permutation`, corrected for the number of comparisons, but not for looks.
        p_adjusted: `p`, corrected for the number of comparisons, and for the looks where seeds were added until decided.
        p_equivalence: p-value of TOST against the margin, corrected in the same way; NaN without a margin.
        correlation: Pearson's r of variant and reference over the seeds that both have.
        verdict: What the data supports; `no change` where every number of every run is that of the reference with the same seed.
        where_it_trains: The verdict over the runs that have a value, where it is withheld because others diverged.
        lost: Its runs that ended without a value, in words; empty where there are none.
        lost_reference: Those of the reference.
        cautions: Signs that the t-test may err more often than it says, in words.
        seeds_least: Where undecided, the seeds a variant with which a study with fresh ones would probably (80 %) decide it: the
            lower end of a 90 % range. None where nobody can tell.
        seeds_most: The upper end; None where there is none.
        seeds_never: Whether it may never be decided, because there may be no difference, and no margin to find it equivalent.
        unreached: `same weights` or `same numbers` as the reference's, where that is all that its runs gave; empty elsewhere.
    """

    variant: str
    n: int
    n_reference: int
    difference: float
    corrected: float
    low: float
    high: float
    pointwise_low: float
    pointwise_high: float
    boot_low: float
    boot_high: float
    effect_size: float
    p: float
    p_permutation: float
    p_robust: float
    p_adjusted: float
    p_equivalence: float
    correlation: float
    verdict: Verdict
    where_it_trains: Verdict | None
    lost: str
    lost_reference: str
    cautions: tuple[str, ...]
    seeds_least: int | None
    seeds_most: int | None
    seeds_never: bool
    unreached: str = ""


@dataclass(frozen=True)
class Images:
    """What the metric was evaluated on: no interval covers other images.

    Attributes:
        least: Images that a cell was evaluated on, of the cell that had the fewest.
        most: Of the cell that had the most.
        rate: The reference's mean, where the metric is a part of the images in every cell, such as accuracy; else NaN.
        standard_error: Binomial standard error of this rate for so many images, √(rate (1 - rate) / least); else NaN.
    """

    least: int
    most: int
    rate: float
    standard_error: float


@dataclass(frozen=True)
class Tuned:
    """One variant with and without tuning, both trained with the seeds of the study.

    Attributes:
        variant: Its name.
        setting: What was chosen; None before all trials have ended, and where all of them failed.
        chosen: Number of the trial that had it; 1 is the untuned one.
        trials: Trials that have ended.
        failed: Those of them that have no value.
        n_untuned: Cells without tuning that have a value.
        untuned: Their mean.
        untuned_sd: Their standard deviation.
        n_tuned: Cells with the chosen setting that have a value.
        tuned: Their mean.
        tuned_sd: Their standard deviation.
        difference: Mean with tuning minus mean without.
        low: Lower end of its confidence interval at level 1 - alpha, Welch's, or Student's where seeds pair; not corrected for
            the number of variants. NaN where the untuned setting was chosen.
        high: Its upper end.
        seconds: Time of the trials.
        share: Their part of the time of all cells of the study, each counted once.
    """

    variant: str
    setting: dict[str, Any] | None
    chosen: int | None
    trials: int
    failed: int
    n_untuned: int
    untuned: float
    untuned_sd: float
    n_tuned: int
    tuned: float
    tuned_sd: float
    difference: float
    low: float
    high: float
    seconds: float
    share: float


@dataclass(frozen=True)
class GivenUp:
    """A comparison that got no more seeds because they could hardly decide it.

    Attributes:
        variant: Name of the variant.
        seeds: How many it has.
        probability: That all seeds that the study allows would have decided it.
    """

    variant: str
    seeds: int
    probability: float


@dataclass(frozen=True)
class Analysis:
    """All that is concluded from a study.

    Attributes:
        effects: Every variant but the reference, in the order of the spec.
        factorial: Where the variants are a full or fractional factorial.
        attribution: Where the variants lead from a stripped recipe to a full one.
        answer: The conclusion in a sentence.
        tuned: Every variant with and without tuning, where settings were tuned.
        images: What the metric was evaluated on; None where the cells do not say.
        blocks: The comparison over the blocks, where the study has some; `effects` are within each block then.
        per_image: What was said of each of them; None where nobody evaluated images.
        given_up: Comparisons that stopped for futility, where the study asks for that.
    """

    effects: tuple[Effect, ...]
    factorial: Factorial | None
    attribution: Attribution | None
    answer: str
    tuned: tuple[Tuned, ...] = ()
    images: Images | None = None
    blocks: Blocks | None = None
    per_image: PerImage | None = None
    given_up: tuple[GivenUp, ...] = ()
