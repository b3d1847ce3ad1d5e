"""Effects of whole studies."""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ablate.stats import resampling, runs
from ablate.stats.effects import effects
from ablate.stats.resampling import RESAMPLES, bootstrap_interval, permutation_p, rank_test
from ablate.stats.stopping import decide
from ablate.study import Compare, Stopping

NAN = float("nan")


def normal(mean, n=5, sd=0.01, seed=0):
    return list(mean + sd * np.random.default_rng(seed).normal(size=n))


@pytest.fixture
def study(make_study):
    values = {
        "base": normal(0.9, seed=1),
        "much better": normal(0.95, seed=2),
        "much worse": normal(0.85, seed=3),
        "unclear": normal(0.906, seed=4),
    }
    return make_study(values)


def test_verdicts_in_the_order_of_the_spec(study):
    found = effects(study)
    assert [(e.variant, e.verdict) for e in found] == [
        ("much better", "better"),
        ("much worse", "worse"),
        ("unclear", "undecided"),
    ]
    assert (found[2].seeds_least > 5, found[2].seeds_never) == (True, True)
    assert found[0].seeds_least is found[1].seeds_least is None
    assert not found[0].seeds_never
    assert math.isnan(found[0].p_equivalence)


def test_a_smaller_loss_is_better(make_study):
    values = {"base": normal(0.9, seed=1), "lower": normal(0.85, seed=2)}
    assert effects(make_study(values, goal="minimize"))[0].verdict == "better"
    assert effects(make_study(values, goal="maximize"))[0].verdict == "worse"


def test_a_sure_difference_within_the_margin_has_no_meaning(make_study):
    values = {"base": normal(0.9, 20, 0.001, 1), "same": normal(0.9015, 20, 0.001, 2)}
    assert effects(make_study(values))[0].verdict == "better"
    found = effects(make_study(values, margin=0.01))[0]
    assert found.verdict == "no meaningful difference"
    assert found.p_adjusted < 0.05
    assert found.p_equivalence < 0.05


@pytest.mark.filterwarnings("error")
def test_one_seed_is_a_difference_and_nothing_else(make_study):
    found = effects(make_study({"base": [0.9], "other": [0.95]}, margin=0.1))[0]
    assert found.difference == pytest.approx(0.05)
    assert (found.n, found.n_reference, found.verdict, found.seeds_least) == (1, 1, "undecided", None)
    for name in ("low", "high", "boot_low", "boot_high", "effect_size", "p", "p_permutation", "p_adjusted", "p_equivalence"):
        assert math.isnan(getattr(found, name)), name


@pytest.mark.filterwarnings("error")
def test_cells_without_a_value_lower_n(make_study):
    values = {"base": normal(0.9), "some": [0.91, None, 0.93, NAN, math.inf], "none": [None] * 5}
    some, none = effects(make_study(values))
    assert (some.n, some.n_reference) == (2, 5)
    assert some.difference == pytest.approx(0.92 - np.mean(values["base"]))
    assert (none.n, none.verdict) == (0, "undecided")
    assert some.p_adjusted == some.p  # what has no p is no comparison


def test_pairs_are_the_seeds_that_both_have(make_study):
    base = [0.1, 0.5, 0.3, 0.9, None]
    other = [0.12, 0.53, 0.31, None, 0.7]
    found = effects(make_study({"base": base, "other": other}, paired=True))[0]
    expected = stats.ttest_rel(other[:3], base[:3])
    assert (found.n, found.n_reference) == (3, 3)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.correlation == pytest.approx(stats.pearsonr(other[:3], base[:3]).statistic, rel=1e-9)
    unpaired = effects(make_study({"base": base, "other": other}))[0]
    assert unpaired.p > found.p
    assert unpaired.correlation == found.correlation


@pytest.mark.filterwarnings("error")
def test_correlation_needs_three_seeds_that_differ(make_study):
    assert math.isnan(effects(make_study({"base": [0.1, 0.2], "other": [0.2, 0.3]}))[0].correlation)
    assert math.isnan(effects(make_study({"base": [0.1] * 4, "other": [0.2, 0.3, 0.4, 0.1]}))[0].correlation)


def test_bootstrap_is_scipys(make_study):
    base, other = normal(0.9, 8, seed=1), normal(0.92, 6, seed=2)
    found = effects(make_study({"base": base, "other": other}, alpha=0.1))[0]
    expected = stats.bootstrap(
        (other, base),
        lambda x, y, axis: x.mean(axis) - y.mean(axis),
        n_resamples=RESAMPLES,
        confidence_level=0.9,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert (found.boot_low, found.boot_high) == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(2, 3), (5, 5), (7, 7)])
def test_the_permutation_test_is_scipys(n, m):
    x, y = np.array(normal(0.9, n, seed=1)), np.array(normal(0.91, m, seed=2))

    def welch(x, y, axis):
        return np.round(stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic, 6)

    expected = stats.permutation_test((x, y), welch, n_resamples=np.inf).pvalue
    assert permutation_p(x, y) == pytest.approx(expected, rel=1e-9)
    signs = stats.permutation_test((x - 0.895,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=np.inf)
    assert permutation_p(x - 0.895) == pytest.approx(signs.pvalue, rel=1e-9)


def test_the_permutation_test_counts_ties():
    """Sums of accuracies that are equal but for rounding, such as 0.1 + 0.4 + 0.7 and 0.2 + 0.4 + 0.6, are equal."""
    tenths = [1, 6, 7, 2, 3, 4]
    as_extreme = sum(sum(chosen) >= 14 for chosen in combinations(tenths, 3))
    assert sum(sum(chosen) == 14 for chosen in combinations(tenths, 3)) > 1
    x, y = np.array(tenths[:3]) / 10, np.array(tenths[3:]) / 10
    assert permutation_p(x, y) == pytest.approx(2 * as_extreme / 20)


@pytest.mark.parametrize("kind", ["noise", "ties", "far apart", "next to no spread"])
def test_permutation_tests_of_many_comparisons_are_scipys_of_each(kind):
    """All of them are products with one matrix, whose rounding is another one."""
    draws = np.random.default_rng(0)
    x, y = draws.standard_normal((4, 5)), draws.standard_normal((4, 5))
    x, y = {
        "noise": (x, y),
        "ties": (np.round(x, 1), np.round(y, 1) + 0.3),
        "far apart": (1 + 1e-4 * np.round(x), 1e-4 * np.round(y)),
        "next to no spread": (0.8 + 1e-9 * x, 0.8 + 1e-9 * y),
    }[kind]

    def welch(x, y, axis):
        return np.round(stats.ttest_ind(x, y, axis=axis, equal_var=False).statistic, 6)

    least, unit = np.min([x, y]), np.ptp([x, y])
    scaled = zip((x - least) / unit, (y - least) / unit, strict=True)
    expected = [stats.permutation_test(both, welch, n_resamples=np.inf).pvalue for both in scaled]
    assert permutation_p(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("error")
def test_equal_values_neither_warn_nor_pretend(make_study):
    shifted, same = effects(make_study({"base": [0.9] * 5, "shifted": [0.95] * 5, "same": [0.9] * 4}, margin=0.02))
    assert same.verdict == "no meaningful difference"
    assert shifted.verdict == "better"
    assert shifted.p == shifted.p_permutation
    assert math.isnan(shifted.low)
    assert math.isnan(shifted.boot_low)


def test_the_same_study_gives_the_same_numbers(study):
    assert repr(effects(study)) == repr(effects(study))


def test_a_study_of_one_variant_has_no_effects(make_study):
    assert effects(make_study({"base": [0.9, 0.8]})) == ()


def test_with_a_stopping_rule_the_numbers_are_those_of_the_look(make_study):
    values = {"base": normal(0.9, 8, seed=1), "better": normal(0.99, 8, seed=2), "unclear": normal(0.9, 8, seed=3)}
    better, unclear = effects(make_study(values, Stopping(3, 20)))
    assert better.verdict == "better"
    rows = [(name, seed, value) for name, numbers in values.items() for seed, value in enumerate(numbers)]
    frame = pd.DataFrame(rows, columns=["variant", "seed", "value"])
    decision = decide(frame, Compare("accuracy", "last", "base"), list(values), Stopping(3, 20), range(8))["better"]
    assert better.n == better.n_reference == decision.seeds < 8
    assert better.difference == pytest.approx(np.mean(values["better"][: better.n]) - np.mean(values["base"][: better.n]))
    assert (unclear.n, unclear.verdict) == (8, "undecided")
    fixed = effects(make_study({name: numbers[: better.n] for name, numbers in values.items()}))[0]
    assert better.p == fixed.p
    assert fixed.p_adjusted < better.p_adjusted < 0.05  # looks cost something
    assert better.low < fixed.low < fixed.high < better.high


def test_a_look_needs_the_cells_of_the_reference(make_study):
    values = {"base": normal(0.9, 4, seed=1), "one": normal(0.9, 8, seed=2), "other": normal(0.9, 8, seed=3)}
    assert [(e.n, e.n_reference) for e in effects(make_study(values, Stopping(3, 20)))] == [(4, 4), (4, 4)]


def test_before_the_first_look_nothing_is_decided(make_study):
    found = effects(make_study({"base": normal(0.9, 2, seed=1), "better": normal(0.99, 8, seed=2)}, Stopping(3, 20)))[0]
    assert (found.n, found.n_reference, found.verdict) == (8, 2, "undecided")
    assert math.isnan(found.p_adjusted)
    assert math.isnan(found.low)


def test_beyond_all_arrangements_as_many_are_drawn_and_the_p_value_is_near():
    x, y = np.array(normal(0.9, 12, seed=1)), np.array(normal(0.908, 12, seed=2))
    welch = stats.ttest_ind(x, y, equal_var=False).pvalue
    assert permutation_p(x, y) == permutation_p(x, y) == pytest.approx(welch, abs=0.03)
    assert permutation_p(x - y) == pytest.approx(stats.ttest_1samp(x - y, 0).pvalue, abs=0.03)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("n", [2, 5, 12])
def test_comparisons_that_are_resampled_together_have_the_bits_of_each_alone(n, paired, monkeypatch):
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.9, 0.01, (7, n)).round(4), rng.normal(0.9, 0.01, (7, n)).round(4)
    y[0] = y[0, 0]
    samples = [x - y] if paired else [x, y]
    alone = [bootstrap_interval(*(sample[i] for sample in samples), alpha=0.1) for i in range(7)]
    for values in (resampling.LARGEST, 60_000):  # all at once, and a few
        monkeypatch.setattr(resampling, "LARGEST", values)
        assert list(zip(*bootstrap_interval(*samples, alpha=0.1), strict=True)) == alone
        assert list(permutation_p(*samples)) == [permutation_p(*(sample[i] for sample in samples)) for i in range(7)]


@pytest.mark.parametrize(("n", "m"), [(3, 3), (5, 4), (9, 9)])
def test_the_rank_tests_are_scipys_where_all_runs_have_values(n, m):
    x, y = np.array(normal(0.9, n, seed=1)), np.array(normal(0.91, m, seed=2))
    p, sign = rank_test(x, y, paired=False)
    method = "exact" if math.comb(n + m, n) < 5000 else "asymptotic"
    assert p == pytest.approx(stats.mannwhitneyu(x, y, method=method).pvalue, rel=1e-9)
    assert sign == np.sign(stats.mannwhitneyu(x, y).statistic - n * m / 2)
    if n == m:
        assert rank_test(x, y, paired=True)[0] == pytest.approx(stats.wilcoxon(x, y, method="exact").pvalue, rel=1e-9)


def test_a_run_that_counts_as_the_worst_is_below_all_others():
    worst = -math.inf
    assert rank_test(np.array([worst] * 5), np.array([0.1] * 5), False) == (pytest.approx(2 / math.comb(10, 5)), -1.0)
    assert rank_test(np.array([worst] * 5), np.array([worst] * 5), True)[0] == 1.0
    assert rank_test(np.array([worst, 0.2, 0.2]), np.array([0.1, 0.1, worst]), True)[1] == 1.0
    assert rank_test(np.array([worst] * 8), np.array([0.1] * 8), True) == (pytest.approx(2 / 2**8), -1.0)


def test_what_diverges_is_not_better_where_the_others_train(make_study):
    """Three of six runs have no value, and the other three are the best of all."""
    values = {"base": normal(0.9, 6, seed=1), "big": [NAN, 0.99, NAN, 0.985, 0.99, NAN]}
    (found,) = effects(make_study(values))
    assert (found.verdict, found.where_it_trains, found.lost) == ("undecided", "better", "3 of 6 runs without a value")
    assert found.p_adjusted < 0.05
    assert found.seeds_least is None  # more seeds are not what it needs
    (worse,) = effects(make_study({"base": values["base"], "big": [NAN, 0.6, NAN, 0.61, 0.6, NAN]}))
    assert (worse.verdict, worse.where_it_trains) == ("worse", None)
    (against,) = effects(make_study({"base": values["big"], "steady": values["base"]}))
    assert (against.verdict, against.where_it_trains, against.lost_reference) == (
        "undecided",
        "worse",
        "3 of 6 runs without a value",
    )


def test_what_failed_is_said_and_lowers_n(make_study):
    (found,) = effects(make_study({"base": normal(0.9, 6, seed=1), "big": [None, *normal(0.99, 5, seed=2)]}))
    assert (found.verdict, found.lost, found.n) == ("better", "1 of 6 runs failed", 5)


@pytest.mark.parametrize(("goal", "base", "big"), [("maximize", 0.9, 0.99), ("minimize", 0.99, 0.9)])
def test_runs_that_count_as_the_worst_are_judged_by_ranks(make_study, goal, base, big):
    values = {"base": normal(base, 6, seed=1), "big": [*normal(big, 5, seed=2), NAN]}
    (found,) = effects(make_study(values, failed="worst", goal=goal))
    sign = 1 if goal == "maximize" else -1
    ranks = stats.mannwhitneyu(np.nan_to_num(sign * np.array(values["big"]), nan=-99), sign * np.array(values["base"]))
    assert found.p == pytest.approx(ranks.pvalue, rel=0.2)
    assert (found.verdict, found.where_it_trains) == ("undecided", None)
    assert math.isnan(found.low)
    assert math.isnan(found.p_permutation)
    lost = {"base": values["base"], "big": [*[NAN, None] * 3]}
    (found,) = effects(make_study(lost, failed="worst", goal=goal))
    assert (found.verdict, found.p) == ("worse", pytest.approx(2 / math.comb(12, 6)))
    kept = {"base": values["base"], "big": values["big"][:5]}
    assert effects(make_study(kept, failed="worst", goal=goal))[0].p == effects(make_study(kept, goal=goal))[0].p


def test_the_stopping_rule_counts_the_worst_at_every_look(make_study):
    values = {"base": normal(0.9, 12, seed=1), "big": [NAN] * 12}
    (found,) = effects(make_study(values, Stopping(3, 12), failed="worst"))
    assert found.verdict == "worse"
    assert (found.n, found.n_reference < 12) == (0, True)


def test_intervals_hold_together_and_the_one_for_itself_is_there(make_study, study):
    found = effects(study)
    for effect in found:
        x, y = (study.cells.loc[study.cells["variant"] == name, "accuracy"] for name in (effect.variant, "base"))
        test = stats.ttest_ind(x, y, equal_var=False)
        alone, together = test.confidence_interval(0.95), test.confidence_interval(1 - 0.05 / 3)
        assert (effect.pointwise_low, effect.pointwise_high) == pytest.approx((alone.low, alone.high), rel=1e-9)
        assert (effect.low, effect.high) == pytest.approx((together.low, together.high), rel=1e-9)
    values = {name: list(own["accuracy"]) for name, own in study.cells.groupby("variant", sort=False)}
    each = effects(make_study(values, correction="benjamini_hochberg"))
    assert [(e.low, e.high) for e in each] == [(e.pointwise_low, e.pointwise_high) for e in found]


def test_cautions_name_what_a_t_test_was_not_made_for(make_study):
    steady = normal(0.9, 10, seed=1)
    values = {
        "base": steady,
        "wild": normal(0.9, 10, 0.06, seed=2),
        "outlying": [*normal(0.9, 9, seed=3), 0.1],
        "skewed": list(0.9 - 0.004 * np.exp(np.linspace(-1, 1.7, 10))),
        "quiet": normal(0.9, 10, seed=5),
        "same": [0.9] * 10,
    }
    found = {e.variant: e for e in effects(make_study(values))}
    assert found["wild"].cautions[0].startswith("sd ratio ")
    assert 3 < float(found["wild"].cautions[0].split()[-1]) < 12
    assert "outlying runs" in found["outlying"].cautions
    assert found["quiet"].cautions == ()
    assert found["same"].cautions == ("no noise on one side",)
    assert 0 < found["wild"].p_permutation <= found["wild"].p_robust <= 1


@pytest.mark.parametrize("step", [1 / 400, 0.0])
@pytest.mark.parametrize("seeds", [3, 4, 5, 10])
def test_equal_accuracies_do_not_make_the_others_outlying(seeds, step):
    """Accuracies of 400 images are equal at times, and beside two equal ones Grubbs' test takes any third as outlying; of a
    program's, nobody knows how many images there were."""
    images = 400
    values = np.round((0.9 + 0.002 * np.random.default_rng(0).standard_normal((2000, seeds))) * images) / images
    assert np.mean([runs.outlying(own, step) for own in values]) <= runs.ODD
    far = np.array([0.9, 0.9, 0.9025, *[0.8975] * (seeds - 4), 0.2])[-seeds:]
    assert runs.outlying(far, step)


def test_after_stopping_the_difference_is_corrected_towards_zero(make_study):
    values = {"base": normal(0.9, 20, seed=1), "better": normal(0.918, 20, seed=2)}
    (found,) = effects(make_study(values, Stopping(3, 20)))
    assert (found.verdict, 5 < found.n < 20) == ("better", True)
    assert 0.5 * found.difference < found.corrected < found.difference
    (other,) = effects(make_study({"better": values["better"], "base": values["base"]}, Stopping(3, 20)))
    assert other.corrected == pytest.approx(-found.corrected)
    assert math.isnan(effects(make_study(values))[0].corrected)


def test_a_rule_that_goes_on_names_no_seeds(make_study):
    values = {"base": normal(0.9, 5, seed=1), "unclear": normal(0.9, 5, seed=3)}
    (going,) = effects(make_study(values, Stopping(3, 20)))
    (ended,) = effects(make_study(values, Stopping(3, 5)))
    assert (going.verdict, going.seeds_least, going.seeds_never) == ("undecided", None, False)
    assert (ended.verdict, ended.seeds_never) == ("undecided", True)
    assert ended.seeds_least > 5


def test_a_margin_below_one_image_shows_nothing(make_study):
    """Of 100 images, 90 or 91 are right."""
    values = {"base": [0.90, 0.91, 0.90, 0.90, 0.91], "same": [0.90, 0.90, 0.91, 0.90, 0.91]}
    studies = [make_study(values, margin=margin) for margin in (0.009, 0.03)]
    for study in studies:
        study.cells["evaluated_images"] = 100
    below, above = (effects(study)[0] for study in studies)
    assert (below.p_equivalence, below.verdict) == (1.0, "undecided")
    assert above.verdict == "no meaningful difference"
    assert effects(make_study(values, margin=0.009))[0].p_equivalence < 0.05  # as nobody knows of the images
