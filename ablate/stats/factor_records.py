"""What is concluded on factors, effects, variances and shares of a gain: plain records, as those in `records`."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from .verdicts import Verdict

JudgedBy = Literal["seeds", "residual", "contrasts"]  # what seeds differ by, what terms leave, small contrasts (Lenth, 1989)


TermVerdict = Literal[Verdict, "better together", "worse together"]


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
