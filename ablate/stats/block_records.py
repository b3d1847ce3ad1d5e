"""What is concluded over blocks: plain records, as those in `records`."""

from dataclasses import dataclass

from .verdicts import Verdict


@dataclass(frozen=True)
class Friedman:
    """Friedman's test (1937) of whether all variants have the same mean rank.

    Attributes:
        chi_square: Its statistic, corrected for ties, with `variants - 1` degrees of freedom.
        p_chi_square: The p-value of that, which is conservative.
        f: The statistic of Iman and Davenport (1980); infinite where all blocks agree.
        df: Degrees of freedom of its numerator.
        df_noise: Of its denominator.
        p: The p-value of `f`, and never less than the probability of blocks that all agree by chance.
    """

    chi_square: float
    p_chi_square: float
    f: float
    df: int
    df_noise: int
    p: float


@dataclass(frozen=True)
class Pair:
    """Two variants by Nemenyi's test (1963): the difference of their mean ranks, and its p-value among all pairs."""

    one: str
    other: str
    difference: float
    p: float


@dataclass(frozen=True)
class Across:
    """One variant against the reference over the blocks that both have a value in. The value of a block is the mean of its seeds.

    Attributes:
        variant: Its name, without that of a block.
        n: Blocks that both have.
        wins: Blocks in which it is better.
        ties: Blocks in which it has the same value.
        losses: Blocks in which it is worse.
        p_wilcoxon: Two-sided p-value of Wilcoxon's signed-rank test (1945) of the differences of the blocks; ties are left out.
        p_adjusted: `p_wilcoxon`, corrected for the number of comparisons.
        p_nemenyi: Of Nemenyi's test among all pairs of variants; NaN for two variants.
        difference: Mean difference by the random-effects model, in units of the metric.
        low: Lower end of its interval (Hartung and Knapp); all hold together, or each for itself, as those of `Effect`.
        high: Its upper end.
        p_difference: The p-value of this mean, corrected for the number of comparisons.
        p_equivalence: p-value of TOST of this mean against the margin, corrected in the same way; NaN without a margin.
        between_sd: Standard deviation of the true differences between blocks (DerSimonian and Laird).
        seed_sd: Standard deviation of one seed, pooled over both variants and all blocks; of the differences of a seed where they
            pair. NaN where no block has two seeds: `between_sd` has the noise of the seeds in it then.
        predicted_low: Lower end of the interval in which the difference that another block shows lies, at level 1 - alpha.
        predicted_high: Its upper end.
        verdict: By ranks: Friedman's test first, then `p_adjusted`. Equivalence is by `p_equivalence`.
        verdict_by_size: By the random-effects mean alone: `p_difference` and `p_equivalence`.
        where_it_trains: The verdict over the runs that have a value, where it is withheld because others diverged.
        lost: Its runs that ended without a value, in words.
        lost_reference: Those of the reference.
    """

    variant: str
    n: int
    wins: int
    ties: int
    losses: int
    p_wilcoxon: float
    p_adjusted: float
    p_nemenyi: float
    difference: float
    low: float
    high: float
    p_difference: float
    p_equivalence: float
    between_sd: float
    seed_sd: float
    predicted_low: float
    predicted_high: float
    verdict: Verdict
    verdict_by_size: Verdict
    where_it_trains: Verdict | None
    lost: str
    lost_reference: str


@dataclass(frozen=True)
class Blocks:
    """The comparison of variants over blocks.

    Attributes:
        factors: The factors that are blocks.
        reference: The variant that others are compared with, without the name of a block.
        blocks: Names of all blocks.
        ranked: Those in which every variant has a value: ranks are of these.
        incomplete: The others, each with the variants that have no value there.
        ranks: Mean rank of every variant, 1 for the best; NaN where there is no complete block.
        friedman: Of three variants or more; None for two.
        critical_difference: Mean ranks that differ by less are not told apart by Nemenyi's test; NaN for two variants.
        pairs: All pairs by Nemenyi's test; none for two variants, or for more than `blocks.MOST_PAIRED`.
        comparisons: Every variant but the reference.
        least_p: The smallest p-value that Wilcoxon's test can give with so many blocks.
        needed: Blocks from which on it can give one that is below alpha for all comparisons together.
        scales: The largest of the reference's values as a multiple of the smallest, by size; NaN where one is 0.
    """

    factors: tuple[str, ...]
    reference: str
    blocks: tuple[str, ...]
    ranked: tuple[str, ...]
    incomplete: tuple[tuple[str, tuple[str, ...]], ...]
    ranks: dict[str, float]
    friedman: Friedman | None
    critical_difference: float
    pairs: tuple[Pair, ...]
    comparisons: tuple[Across, ...]
    least_p: float
    needed: int
    scales: float
