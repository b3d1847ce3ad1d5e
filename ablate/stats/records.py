"""What the statistics say about a study: plain records, for reports and for programs.

Differences and intervals are in units of the study's metric; a positive difference is larger, whether or not that is better.
NaN stands where the data cannot tell.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from .block_records import Blocks
from .verdicts import Verdict

if TYPE_CHECKING:
    from .per_image import PerImage

JudgedBy = Literal["seeds", "residual", "contrasts"]  # what seeds differ by, what terms leave, small contrasts (Lenth, 1989)
TermVerdict = Literal[Verdict, "better together", "worse together"]


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
class Term:
    """A main effect or a two-way interaction of a factorial study.

    Attributes:
        name: A contrast of one factor, such as `optimizer=adam`, or of two, such as `optimizer=adam × scheduler=step`.
        estimate: The change of the mean when the factor goes from its base level to this one, averaged over the levels of the
            others; for an interaction, half the difference between the effects of one at the two levels of the other.
        low: Lower end of its confidence interval at level 1 - alpha.
        high: Its upper end.
        p: Two-sided p-value.
        p_adjusted: `p`, corrected for the number of terms.
        aliases: Other effects of at most two factors that the design cannot tell from this one.
        verdict: What the data supports: of a main effect, whether this level is better than the base level on average; of an
            interaction, whether both levels bring more, or less, together than each on average by itself.
    """

    name: str
    estimate: float
    low: float
    high: float
    p: float
    p_adjusted: float
    aliases: tuple[str, ...] = ()
    verdict: TermVerdict = "undecided"


@dataclass(frozen=True)
class AnovaRow:
    """A line of the table of variances; `f`, `p` and `eta_squared` (partial) are NaN for the noise."""

    source: str
    df: float
    sum_squares: float
    f: float
    p: float
    eta_squared: float


@dataclass(frozen=True)
class Lenth:
    """What the contrasts of a two-level design with one value a variant say of their noise (Lenth, 1989).

    Attributes:
        contrasts: How many there are.
        pse: Pseudo standard error of a contrast, in units of the metric.
        margin: Half of the interval of one contrast, at level 1 - alpha.
        simultaneous: What an effect is beyond, if that is to hold for all contrasts together.
    """

    contrasts: int
    pse: float
    margin: float
    simultaneous: float


@dataclass(frozen=True)
class Factorial:
    """The analysis of a factorial or screening study.

    Attributes:
        terms: Main effects, then the two-way interactions that can be estimated.
        anova: Type II table. Last the noise that all else is judged by: `pure error`, what the seeds of a variant differ by, and
            before it `lack of fit`, what variants differ by beyond the terms; or `residual`, what the terms leave, where no
            variant has two values.
        residual_sd: Standard deviation of this noise; NaN where there is none, or `lenth` stands for it.
        normality_p: Shapiro-Wilk test of the residuals; small where they are not normal. NaN where fewer than half of them are
            free.
        equal_variance_p: Brown-Forsythe test of equal variances between variants; small where they differ. NaN where fewer than
            two variants have four values.
        note: What a reader must know, such as what cannot be told apart; may be empty.
        judged_by: Where the noise of intervals and p-values is from.
        lenth: What it is, where it is from contrasts: no variant has two values, and the terms leave nothing.
    """

    terms: tuple[Term, ...]
    anova: tuple[AnovaRow, ...]
    residual_sd: float
    normality_p: float
    equal_variance_p: float
    note: str
    judged_by: JudgedBy = "seeds"
    lenth: Lenth | None = None


@dataclass(frozen=True)
class Share:
    """What one factor brings of the gain, or all of them together.

    Attributes:
        factor: Its name.
        value: In units of the metric.
        low: Lower end of its confidence interval at level 1 - alpha.
        high: Its upper end.
        percent: Of the gain; NaN where the interval of the gain has 0 in it, or there is none.
        last: What the factor brings where it is added last: mean of the full recipe minus mean of the full one without it. NaN
            where the study does not have that variant.
        last_low: Lower end of the confidence interval of `last` at level 1 - alpha: Welch's, or Student's where seeds pair.
        last_high: Its upper end.
    """

    factor: str
    value: float
    low: float
    high: float
    percent: float = math.nan
    last: float = math.nan
    last_low: float = math.nan
    last_high: float = math.nan

    @property
    def sure(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def contradicted(self) -> bool:
        """Whether the share is sure, and the full recipe without the factor says the opposite, or nothing is lost there."""
        return self.sure and self.value * self.last <= 0

    @property
    def alone_unsure(self) -> bool:
        """Whether the share is sure, and what the full recipe loses without the factor is not, though it has the same sign."""
        return self.sure and self.value * self.last > 0 and self.last_low <= 0 <= self.last_high


@dataclass(frozen=True)
class Attribution:
    """The gain from the stripped recipe to the full one, by factor; the shares sum to the gain.

    Attributes:
        method: `shapley` from all combinations, `sampled orders` from some orders of adding, `given order` from one, and `main
            effects` from a screening.
        plain: Name of the stripped variant.
        full: Name of the full variant.
        gain: Mean of the full recipe minus mean of the stripped one; of a screening, what its main effects say of it.
        low: Lower end of its confidence interval, noise included.
        high: Its upper end.
        shares: One a factor.
        orders: Number of orders that the shares are averaged over; 0 of a screening.
        judged_by: Where the noise of the intervals is from; other than `seeds` in a screening with one value a variant.
    """

    method: Literal["shapley", "sampled orders", "given order", "main effects"]
    plain: str
    full: str
    gain: float
    low: float
    high: float
    shares: tuple[Share, ...]
    orders: int
    judged_by: JudgedBy = "seeds"

    @property
    def rows(self) -> tuple[Share, ...]:
        """The shares and their sum: what tables and figures show."""
        whole = Share("all together", self.gain, self.low, self.high)
        return *self.shares, replace(whole, percent=100.0 if whole.sure else math.nan)


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
    per_image: "PerImage | None" = None
    given_up: tuple[GivenUp, ...] = ()
