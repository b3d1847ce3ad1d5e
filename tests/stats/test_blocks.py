"""Variants over blocks: equal to what others compute of the same numbers, and what is left out or withheld."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from block_studies import AREAS, METHODS, RANDOM, numbered, over_blocks
from scipy import stats
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

from ablate.stats.blocks import blocks, wilcoxon
from ablate.stats.effects import effects
from ablate.stats.random_effects import differences, random_effects

CLOSE = {"rel": 1e-9, "abs": 1e-12}


def by_name(found):
    return {one.variant: one for one in found.comparisons}


# What others compute


def test_the_table_of_demsar():
    """Mean ranks, critical difference, χ² = 9.28 and F = 3.69 of his page 15; his χ² is not corrected for ties."""
    found = blocks(over_blocks(AREAS))
    assert found.ranks == pytest.approx(dict(zip(METHODS, (3.143, 2.000, 2.893, 1.964), strict=True)), abs=0.0005)
    n, k, ranks = 14, 4, np.array(list(found.ranks.values()))
    uncorrected = 12 * n / (k * (k + 1)) * ((ranks**2).sum() - k * (k + 1) ** 2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.005)
    assert (n - 1) * uncorrected / (n * (k - 1) - uncorrected) == pytest.approx(3.69, abs=0.005)
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)
    assert found.critical_difference == pytest.approx(1.253559147117606, **CLOSE)  # mpmath, 25 digits


def test_the_table_of_demsar_by_other_packages():
    """R's friedman.test (4.2.2), scikit-posthocs 0.17.1 and autorank 1.3.0; Wilcoxon's by all 2^12 and 2^13 signs."""
    found = blocks(over_blocks(AREAS))
    assert found.friedman.chi_square == pytest.approx(10.22834645669291, **CLOSE)
    assert found.friedman.p_chi_square == pytest.approx(0.01672158032844141, **CLOSE)
    assert [found.ranks[name] for name in METHODS] == pytest.approx(
        [3.142857142857143, 2.0, 2.892857142857143, 1.9642857142857142], **CLOSE
    )
    nemenyi = [
        0.08867270928888271,
        0.9561771752218107,
        0.07418479506874454,
        0.2592280701547286,
        0.999859449385133,
        0.22669688602641525,
    ]
    assert [pair.p for pair in found.pairs] == pytest.approx(nemenyi, **CLOSE)
    assert [one.p_nemenyi for one in found.comparisons] == pytest.approx(nemenyi[:3], **CLOSE)
    assert [one.p_wilcoxon for one in found.comparisons] == [0.00732421875, 0.8779296875, 0.012451171875]
    assert [one.p_adjusted for one in found.comparisons] == [0.02197265625, 0.8779296875, 0.02490234375]
    assert [(one.wins, one.ties, one.losses) for one in found.comparisons] == [(10, 2, 2), (7, 1, 6), (11, 1, 2)]
    assert [one.verdict for one in found.comparisons] == ["better", "undecided", "better"]


def test_random_numbers_by_other_packages():
    """scikit-posthocs 0.17.1 and autorank 1.3.0."""
    found = blocks(over_blocks(numbered(RANDOM), names="abcde"))
    assert found.friedman.chi_square == pytest.approx(24.97777777777779, **CLOSE)
    assert found.friedman.p_chi_square == pytest.approx(5.0830062973618154e-05, **CLOSE)
    assert list(found.ranks.values()) == pytest.approx([41 / 9, 35 / 9, 24 / 9, 25 / 9, 10 / 9], **CLOSE)
    assert [one.p_nemenyi for one in found.comparisons] == pytest.approx(
        [0.8990782760559265, 0.08317991490823251, 0.11930294266472097, 3.75281886823009e-05], **CLOSE
    )
    assert [one.p_wilcoxon for one in found.comparisons] == pytest.approx(
        [0.2890625, 0.01171875, 0.01171875, 0.00390625], **CLOSE
    )


DIFFERENCES = np.array([0.012, 0.034, -0.008, 0.021, 0.055, 0.017, 0.002, 0.041])


def test_random_effects_by_metafor():
    """R, metafor 3.8-1: `rma(d, v, method="DL", test="knha")` and `predict`."""
    found = random_effects(DIFFERENCES, np.array([1, 2, 1, 1.5, 1, 2, 1, 1]) * 1e-4)
    assert (found.mean, found.se) == pytest.approx((0.02159017495854810, 0.00751361554516594), **CLOSE)
    assert found.between == pytest.approx(0.0003863484848484849, **CLOSE)
    assert replace(found, noise=0.0).predicted(0.05) == pytest.approx((-0.02816833529628975, 0.07134868521338596), **CLOSE)
    nothing = random_effects(DIFFERENCES, np.full(8, 0.0016))  # more noise than the blocks differ by
    assert (nothing.mean, nothing.se, nothing.between) == pytest.approx((0.02175, 0.00734299958172019, 0.0), **CLOSE)


@pytest.mark.parametrize("seed", range(5))
def test_random_effects_by_statsmodels(seed):
    """Of blocks that differ by more than their noise: below that, its variance between them is negative, and ours is 0."""
    rng = np.random.default_rng(seed)
    numbers, variances = rng.normal(0.2, 1, 11), rng.uniform(0.01, 0.1, 11)
    told = combine_effects(numbers, variances, method_re="dl", use_t=True)
    found = random_effects(numbers, variances)
    expected = (told.mean_effect_re, told.sd_eff_w_re_hksj, told.tau2)
    assert (found.mean, found.se, found.between) == pytest.approx(expected, **CLOSE)


def test_without_the_noise_of_seeds_it_is_a_t_test_of_the_blocks():
    told = blocks(over_blocks(AREAS)).comparisons
    p = [stats.ttest_1samp([row[i] - row[0] for row in AREAS.values()], 0).pvalue for i in (1, 2, 3)]
    assert [one.p_difference for one in told] == pytest.approx(multipletests(p, method="holm")[1], **CLOSE)
    found, gaps = told[0], [row[1] - row[0] for row in AREAS.values()]
    level = stats.ttest_1samp(gaps, 0).confidence_interval(1 - 0.05 / 3)
    assert (found.low, found.high) == pytest.approx((level.low, level.high), **CLOSE)
    assert found.between_sd == pytest.approx(np.std(gaps, ddof=1), **CLOSE)
    assert math.isnan(found.seed_sd)


# Ranks


@pytest.mark.parametrize("n", [1, 2, 5, 8, 20, 50])
def test_signed_ranks_by_scipy(n):
    gaps = np.random.default_rng(n).normal(0.3, 1, n)
    assert wilcoxon(gaps)[0] == pytest.approx(stats.wilcoxon(gaps).pvalue, **CLOSE)


@pytest.mark.parametrize("n", [4, 9, 12])
def test_signed_ranks_with_ties_by_all_signs(n):
    gaps = np.random.default_rng(n).integers(-4, 6, n).astype(float)
    ranks = stats.rankdata(np.abs(gaps[gaps != 0]))
    sums = np.array([np.dot(ranks, signs) for signs in product((0, 1), repeat=len(ranks))])
    above = ranks[gaps[gaps != 0] > 0].sum()
    assert wilcoxon(gaps)[0] == pytest.approx(min(1.0, 2 * min((sums <= above).mean(), (sums >= above).mean())), **CLOSE)


def test_signed_ranks_of_many_blocks_are_approximate():
    gaps = np.random.default_rng(0).normal(0.1, 1, 300)
    assert wilcoxon(gaps) == pytest.approx((stats.wilcoxon(gaps, method="asymptotic").pvalue, 1.0), **CLOSE)
    close = wilcoxon(gaps[:100])[0]
    assert close == pytest.approx(stats.wilcoxon(gaps[:100], method="asymptotic").pvalue, rel=0.02)


def test_differences_that_are_the_same_but_for_rounding_are_ties():
    assert 0.85 - 0.8 != 0.65 - 0.6
    rows = [(0.8, 0.85), (0.6, 0.65), (0.7, 0.65), (0.5, 0.55), (0.4, 0.45), (0.3, 0.35), (0.1 + 0.2, 0.3)]
    (found,) = blocks(over_blocks(numbered(rows), names="ab")).comparisons
    assert (found.wins, found.ties, found.losses) == (5, 1, 1)
    assert found.p_wilcoxon == pytest.approx(14 / 64, **CLOSE)  # six signs of one size: at most one of them is another


def test_a_smaller_metric_can_be_the_better_one():
    turned = {name: tuple(-value for value in row) for name, row in AREAS.items()}
    one, other = blocks(over_blocks(AREAS)), blocks(over_blocks(turned, goal="minimize"))
    assert one.ranks == other.ranks
    assert [c.verdict for c in one.comparisons] == [c.verdict for c in other.comparisons]
    assert [c.difference for c in one.comparisons] == pytest.approx([-c.difference for c in other.comparisons], **CLOSE)


def test_blocks_that_all_agree_have_the_probability_of_that():
    rows = [(1, 2, 3), (10, 20, 30), (0.1, 0.2, 0.3)]
    found = blocks(over_blocks(numbered(rows), names="abc")).friedman
    assert math.isinf(found.f)
    assert found.p == pytest.approx((1 / 6) ** 2, **CLOSE)
    assert found.chi_square == pytest.approx(6.0, **CLOSE)


def test_where_no_variant_differs_nothing_is_found():
    found = blocks(over_blocks(numbered([(0.5, 0.5, 0.5)] * 8), names="abc"))
    assert (found.friedman.p, list(found.ranks.values())) == (1.0, [2.0, 2.0, 2.0])
    for one in found.comparisons:
        assert (one.p_wilcoxon, one.p_difference, one.verdict, one.verdict_by_size) == (1.0, 1.0, "undecided", "undecided")
        assert math.isnan(one.low)


def test_no_pair_is_judged_by_ranks_where_friedman_finds_nothing():
    rng = np.random.default_rng(4)
    others = rng.normal(0, 1, (8, 9))
    rows = [
        (0.0, 0.3 + abs(row[0]) / 10, *row) for row in others
    ]  # above the reference in every block, and lost among the others
    found = blocks(over_blocks(numbered(rows), names=[f"v{i}" for i in range(11)]))
    assert found.friedman.p > 0.05
    assert found.comparisons[0].p_wilcoxon == 2 / 2**8
    alone = blocks(over_blocks(numbered([row[:2] for row in rows]), names="ab"))
    assert alone.friedman is None
    assert math.isnan(alone.critical_difference)
    assert (found.comparisons[0].verdict, alone.comparisons[0].verdict) == ("undecided", "better")


# Seeds


def seeds_of(rng, blocks, seeds, shift=0.0, names="ab"):
    return {
        f"d{i}": [list(0.5 + i / 10 + shift * (v > 0) + rng.normal(0, 0.01, seeds)) for v in range(len(names))]
        for i in range(blocks)
    }


def test_the_value_of_a_block_is_the_mean_of_its_seeds():
    values = seeds_of(np.random.default_rng(0), 9, 4, 0.02)
    (found,) = blocks(over_blocks(values, names="ab")).comparisons
    means = np.array([[np.mean(own) for own in row] for row in values.values()])
    gaps = means[:, 1] - means[:, 0]
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(gaps).pvalue, **CLOSE)
    noise = np.mean([np.var(own, ddof=1) for row in values.values() for own in row])
    assert found.seed_sd == pytest.approx(math.sqrt(noise), **CLOSE)
    told = combine_effects(gaps, np.full(9, noise * 2 / 4), method_re="dl", use_t=True)
    assert found.difference == pytest.approx(told.mean_effect_re, **CLOSE)
    assert found.between_sd == pytest.approx(math.sqrt(max(0.0, told.tau2)), abs=1e-9)
    assert (found.low, found.high) == pytest.approx(stats.ttest_1samp(gaps, 0).confidence_interval(0.95), **CLOSE)


def test_seeds_that_pair_have_the_noise_of_their_differences():
    rng = np.random.default_rng(1)
    shared, noise = rng.normal(0, 1, (7, 5)), rng.normal(0, 0.1, (7, 5))
    found = differences(shared + noise, shared, True)
    assert found.seed_sd == pytest.approx(math.sqrt(noise.var(axis=1, ddof=1).mean()), **CLOSE)
    assert found.parts.tolist() == [0.2] * 7
    gap = shared.copy()
    gap[0, 0] = np.nan
    assert differences(shared + noise, gap, True).values[0] == pytest.approx(noise[0, 1:].mean(), **CLOSE)


def test_blocks_with_more_seeds_weigh_more():
    values = {f"d{i}": [[0.5, 0.54], [0.53, 0.57]] for i in range(6)} | {"d6": [[0.5, 0.54] * 20, [0.525, 0.565] * 20]}
    found = blocks(over_blocks(values, names="ab")).comparisons[0]
    assert found.between_sd == 0.0
    assert found.difference == pytest.approx((6 * 0.03 + 20 * 0.025) / 26, **CLOSE)


# What is left out


def test_a_block_without_a_value_is_in_no_rank_and_in_no_comparison_of_that_variant():
    rows = {**AREAS, "iris": (0.936, (), 0.916, 0.931), "wine": (0.957, 0.978, None, 0.970), "lung cancer": ((), 0.6, 0.6, 0.6)}
    found = blocks(over_blocks(rows, names=METHODS))
    assert found.incomplete == (("iris", ("C4.5+m",)), ("lung cancer", ("C4.5",)), ("wine", ("C4.5+cf",))) or sorted(
        found.incomplete
    ) == [("iris", ("C4.5+m",)), ("lung cancer", ("C4.5",)), ("wine", ("C4.5+cf",))]
    whole = {name: row for name, row in AREAS.items() if name not in ("iris", "wine", "lung cancer")}
    fewer = blocks(over_blocks(whole))
    assert found.ranks == fewer.ranks
    assert found.friedman == fewer.friedman
    assert sorted(found.ranked) == sorted(whole)
    assert {name: one.n for name, one in by_name(found).items()} == {"C4.5+m": 12, "C4.5+cf": 12, "C4.5+m+cf": 13}
    both = [row[1] - row[0] for name, row in AREAS.items() if name not in ("iris", "lung cancer")]
    assert by_name(found)["C4.5+m"].difference == pytest.approx(np.mean(both), **CLOSE)


def test_runs_that_are_lost_withhold_a_verdict_that_they_would_flatter():
    values = {name: [[value] * 2 for value in row] for name, row in AREAS.items()}
    values["cmc"][1] = [0.661, math.nan]
    found = by_name(blocks(over_blocks(values)))
    assert (found["C4.5+m"].verdict, found["C4.5+m"].where_it_trains) == ("undecided", "better")
    assert found["C4.5+m"].lost == "1 of 28 runs without a value"
    assert found["C4.5+m+cf"].verdict == "better"
    values["cmc"][1] = [0.661, None]
    failed = by_name(blocks(over_blocks(values)))["C4.5+m"]
    assert (failed.verdict, failed.lost) == ("better", "1 of 28 runs failed")


def test_a_block_with_a_lost_run_is_the_worst_where_runs_count_so():
    values = {f"d{i}": [[0.5 + i / 50, 0.5], [0.6 + i / 40, 0.6]] for i in range(9)}
    values["d3"][1] = [0.9, math.nan]
    (found,) = blocks(over_blocks(values, names="ab", failed="worst")).comparisons
    assert (found.wins, found.losses, found.n) == (8, 1, 9)
    assert found.p_wilcoxon == pytest.approx(2 * sum(1 for s in product((0, 1), repeat=9) if np.dot(s, range(1, 10)) <= 9) / 2**9)
    assert math.isfinite(found.difference)  # of the blocks that have a mean
    values["d3"][0] = [0.9, None]
    (both,) = blocks(over_blocks(values, names="ab", failed="worst")).comparisons
    assert (both.wins, both.ties, both.losses) == (8, 1, 0)


@pytest.mark.parametrize(
    ("count", "correction", "names", "needed"),
    [
        (5, "holm", "ab", 6),
        (6, "holm", "ab", 6),
        (6, "holm", "abcd", 7),
        (7, "holm", "abcd", 7),
        (6, "benjamini_hochberg", "abcd", 6),
    ],
)
def test_too_few_blocks_can_show_nothing_by_ranks(count, correction, names, needed):
    rows = [[0.1 * v + i for v in range(len(names))] for i in range(count)]
    found = blocks(over_blocks(numbered(rows), names=names, correction=correction))
    assert found.needed == needed
    assert found.least_p == found.comparisons[0].p_wilcoxon == 2 / 2**count
    assert {one.verdict for one in found.comparisons} == {"better" if count >= needed else "undecided"}


def test_one_block_and_none():
    (one,) = blocks(over_blocks({"d": (0.5, 0.6)}, names="ab")).comparisons
    assert (one.n, one.verdict, one.difference) == (1, "undecided", pytest.approx(0.1))
    assert math.isnan(one.low)
    (none,) = blocks(over_blocks({"d": (0.5, ()), "e": ((), 0.5)}, names="ab")).comparisons
    assert (none.n, none.verdict) == (0, "undecided")
    assert math.isnan(none.p_adjusted)
    assert math.isnan(none.difference)


# Size


def test_what_is_within_the_margin_over_blocks_makes_no_meaningful_difference():
    values = seeds_of(np.random.default_rng(3), 10, 4, 0.0)
    (found,) = blocks(over_blocks(values, names="ab", margin=0.03)).comparisons
    assert found.verdict == found.verdict_by_size == "no meaningful difference"
    means = np.array([[np.mean(own) for own in row] for row in values.values()])
    gaps = means[:, 1] - means[:, 0]
    sides = [
        stats.ttest_1samp(gaps, -0.03, alternative="greater").pvalue,
        stats.ttest_1samp(gaps, 0.03, alternative="less").pvalue,
    ]
    assert found.p_equivalence == pytest.approx(max(sides), **CLOSE)


def test_scales_that_differ_change_no_rank():
    scaled = {name: tuple(value * 10**i for value in row) for i, (name, row) in enumerate(AREAS.items())}
    plain, found = blocks(over_blocks(AREAS)), blocks(over_blocks(scaled))
    assert (found.ranks, found.friedman) == (plain.ranks, plain.friedman)
    assert found.scales > 1e12
    assert plain.scales == pytest.approx(1 / 0.583, **CLOSE)


# Names, and what is within a block


def test_treatments_of_several_factors_and_blocks_of_several():
    study = over_blocks({"d": (0.5, 0.6), "e": (0.7, 0.8)}, names=("0.1", "0.01"))
    found = blocks(study)
    assert (found.reference, [one.variant for one in found.comparisons]) == ("method=0.1", ["method=0.01"])
    assert found.blocks == ("d", "e")


def test_within_a_block_variants_are_compared_with_the_reference_of_the_block():
    values = {"easy": [[0.9, 0.91, 0.92], [0.95, 0.96, 0.97]], "hard": [[0.3, 0.31, 0.32], [0.25, 0.26, 0.27]]}
    study = over_blocks({**values, "alone": [(), [0.1, 0.2, 0.3]]}, names="ab")
    found = {effect.variant: effect for effect in effects(study)}
    assert {name: effect.verdict for name, effect in found.items()} == {
        "method=b,dataset=easy": "better",
        "method=b,dataset=hard": "worse",
        "method=b,dataset=alone": "undecided",
    }
    assert found["method=b,dataset=hard"].difference == pytest.approx(-0.05)
    assert math.isnan(found["method=b,dataset=alone"].difference)
    assert study.references["method=b,dataset=hard"] == "method=a,dataset=hard"


def test_a_study_without_blocks_has_none():
    assert blocks(over_blocks(AREAS, blocks=())) is None
