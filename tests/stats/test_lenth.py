"""Lenth's method against published examples, R and simulations."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from coverage_of_shares import factors_of, of_contrasts, study_of
from scipy import stats

from ablate.components import designs
from ablate.stats.analysis import analyse
from ablate.stats.factorial import factorial
from ablate.stats.lenth import PseudoError, pseudo_standard_error
from ablate.stats.main_effects import by_main_effects

CHEMICAL = [-8, 24, -0.25, -5.5, 1, 0.75, -1.25, 0, 4.5, -0.25, -0.75, 0.5, -0.25, -0.75, -0.25]
STABILITY = [-5.75, -3.75, -1.25, 0.75, 0.25, 0.75, -0.25]
FILTRATION = [21.625, 3.125, 9.875, 14.625, 0.125, -18.125, 16.625, 2.375, -0.375, -1.125, 1.875, 4.125, -1.625, -2.625, 1.375]


@pytest.mark.parametrize(
    ("effects", "pse", "margin", "simultaneous"),
    [
        pytest.param(CHEMICAL, 0.75, 1.927936, 3.913988, id="Box, Hunter and Hunter, 2nd ed., p. 200, by LenthPlot of R's BsMD"),
        pytest.param(STABILITY, 1.125, 4.234638, 10.134346, id="Box, Hunter and Hunter, 2nd ed., table 6.2, by LenthPlot"),
        pytest.param(FILTRATION, 2.625, 6.748, 13.699, id="Montgomery, 8th ed., 6.5"),
    ],
)
def test_the_pseudo_standard_error_is_that_of_published_examples(effects, pse, margin, simultaneous):
    """Their margins are Lenth's approximation by Student's t; that of all together is for independent contrasts (Šidák)."""
    found, m = float(pseudo_standard_error(np.array(effects))), len(effects)
    assert found == pytest.approx(pse, abs=1e-12)
    assert found * stats.t.ppf(0.975, m / 3) == pytest.approx(margin, abs=6e-4)
    assert found * stats.t.ppf((1 + 0.95 ** (1 / m)) / 2, m / 3) == pytest.approx(simultaneous, abs=6e-4)


@pytest.mark.parametrize(("contrasts", "alone", "largest"), [(7, 2.30, 4.87), (15, 2.16, 4.24)])
def test_of_nothing_the_ratios_are_those_of_ye_and_hamada(contrasts, alone, largest):
    """Critical values at 5 % for one contrast, and for the largest of all (Journal of Quality Technology, 2000)."""
    noise = np.random.default_rng(1).standard_normal((200_000, contrasts))
    ratios = np.abs(noise) / pseudo_standard_error(noise)[:, None]
    assert np.quantile(ratios, 0.95) == pytest.approx(alone, abs=0.01)
    assert np.quantile(ratios.max(axis=-1), 0.95) == pytest.approx(largest, rel=0.015)


@pytest.mark.parametrize("contrasts", [7, 15, 31])
def test_margins_are_those_of_a_contrast_beside_the_others(contrasts):
    """Drawn by brute force; between those of Ye and Hamada, and Lenth's approximation."""
    noise = np.random.default_rng(2).standard_normal((200_000, contrasts + 1))
    ratios = np.abs(noise[:, 0]) / np.array(pseudo_standard_error(noise[:, 1:]))
    judged = PseudoError(2.0, contrasts)
    for alpha in (0.05, 0.2):
        assert judged.critical(alpha) == pytest.approx(np.quantile(ratios, 1 - alpha), rel=0.01)
        assert judged.p(np.array([-judged.critical(alpha)])) == pytest.approx([alpha], abs=1e-9)
    assert judged.critical(0.05) < stats.t.isf(0.025, contrasts / 3)
    found = judged.record(0.05)
    assert (found.pse, found.margin) == (2.0, 2 * judged.critical(0.05))
    assert found.simultaneous == 2 * judged.critical(0.05 / contrasts)


@pytest.mark.parametrize(("contrasts", "large", "rest"), [(7, 2, 0.0), (15, 0, 0.0), (15, 3, 0.0), (15, 7, 0.0), (31, 8, 0.0)])
def test_where_effects_are_sparse_intervals_contain_the_truth_as_often_as_they_say(contrasts, large, rest):
    found = of_contrasts(20_000, contrasts, large, rest)
    assert 0.945 < found["sum"] < 0.975
    assert 0.955 < found["others"] < 0.985
    assert found["false"] < 0.04
    if large:
        assert 0.945 < found["large"] < 0.965


def test_where_effects_are_not_sparse_intervals_are_too_long_and_not_too_short():
    found = of_contrasts(20_000, 15, 3, rest=2.0)
    assert min(found["large"], found["others"], found["sum"]) > 0.98
    assert found["longer"] > 2


def test_the_page_has_these_numbers():
    text = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text("utf-8")
    section = " ".join(text.partition("## One value a variant")[2].partition("\n## ")[0].split())
    beside = [f"{PseudoError(1, contrasts).critical(0.05):.2f}" for contrasts in (7, 15, 31)]
    assert "{} with 7 contrasts, {} with 15, {} with 31".format(*beside) in section
    assert "({})".format(", ".join(f"{stats.t.isf(0.025, contrasts / 3):.2f}" for contrasts in (7, 15, 31))) in section
    rows = re.findall(r"\| (\d+) \| (\d+) \| (\d+) \| (\S+)[ %]+\| (\S+) % \| (\S+) % \| (\S+)[ %]+\| (\S+) \|", section)
    assert len(rows) == 8
    for contrasts, large, rest, *told in rows:
        found = of_contrasts(20_000, int(contrasts), int(large), float(rest))
        for name, number in zip(("large", "others", "sum", "false"), told, strict=False):
            assert (number == "–") == math.isnan(found[name])
            assert number == "–" or abs(float(number) - 100 * found[name]) < 0.6, (contrasts, large, rest, name)
        assert float(told[-1]) == pytest.approx(found["longer"], rel=0.02)


def one_each(count, value, levels=2, design=None, **compare):
    factors = factors_of(*[levels] * count)
    assignments = (design or (lambda factors: designs.screening(factors, resolution=4)))(factors)
    return study_of(factors, assignments, value, 1, {"use": "ablate-core:screening"}, **compare)


@pytest.fixture
def screening():
    """Eight switches in 16 runs; a brings 8 and b 6, and the noise is 1."""
    rng = np.random.default_rng(4)
    return one_each(8, lambda levels, seed: 8 * (levels["a"] == "a1") + 6 * (levels["b"] == "b1") + rng.normal(), margin=0.5)


def test_one_seed_of_a_two_level_design_has_intervals_from_its_contrasts(screening):
    found = factorial(screening)
    estimates = np.array([term.estimate for term in found.terms])
    pse, margin = float(pseudo_standard_error(estimates)), found.lenth.margin
    assert (found.judged_by, found.lenth.contrasts) == ("contrasts", 15)
    assert found.lenth.pse == pytest.approx(pse, rel=1e-9)
    judged = PseudoError(pse, 15)
    assert margin == pytest.approx(pse * judged.critical(0.05), rel=1e-9)
    for term in found.terms:
        assert (term.low, term.high) == pytest.approx((term.estimate - margin, term.estimate + margin), abs=1e-9)
        assert (term.p < 0.05) == (not term.low <= 0 <= term.high)
        assert term.p_adjusted >= term.p
    np.testing.assert_allclose([term.p for term in found.terms], judged.p(estimates / pse), rtol=1e-9)
    assert {term.name for term in found.terms if term.verdict == "better"} == {"a=a1", "b=b1"}
    assert {term.verdict for term in found.terms} == {"better", "undecided"}, (
        "small effects are taken for noise, so none is equivalent"
    )
    assert np.isnan([(row.f, row.p) for row in found.anova]).all()
    assert math.isnan(found.residual_sd)
    assert (found.anova[-1].source, found.anova[-1].df, found.anova[-1].sum_squares) == ("residual", 0, 0)
    assert "not from seeds" in found.note
    assert "effect sparsity" in found.note


def test_shares_and_their_sum_have_these_intervals(screening):
    """The errors of orthogonal contrasts are independent, so that of the gain is √8 times that of a share."""
    found, margin = by_main_effects(screening), factorial(screening).lenth.margin
    assert found.judged_by == "contrasts"
    for share in found.shares:
        assert (share.low, share.high) == pytest.approx((share.value - margin, share.value + margin), abs=1e-9)
    whole = found.rows[-1]
    assert whole.value == pytest.approx(sum(share.value for share in found.shares), abs=1e-9)
    assert whole.high - whole.value == pytest.approx(whole.value - whole.low, abs=1e-9)
    assert whole.high - whole.value == pytest.approx(math.sqrt(8) * margin, abs=1e-9)


def test_the_answer_says_that_they_are_not_from_seeds(screening):
    told = analyse(screening).answer
    assert told.startswith("2 of 15 main effects and interactions on accuracy are shown: a=a1 is better on average, by +")
    assert "judged by the contrasts of the design (Lenth 1989), not by seeds" in told


@pytest.mark.parametrize(
    ("count", "levels", "contrasts"), [(2, 2, "7 contrasts at least, and there are 3"), (2, 3, "two levels of every factor")]
)
def test_where_it_does_not_apply_there_are_no_intervals_and_it_is_said_why(count, levels, contrasts):
    rng = np.random.default_rng(5)
    found = factorial(one_each(count, lambda levels, seed: rng.normal(), levels, designs.factorial))
    assert (found.lenth, found.judged_by) == (None, "residual")
    assert all(math.isnan(term.low) for term in found.terms)
    assert f"To judge it by the contrasts of the design (Lenth 1989) takes {contrasts}." in found.note


def test_a_cell_that_failed_leaves_no_orthogonal_contrasts(screening):
    cells = screening.cells.assign(status=np.where(screening.cells.index == 3, "failed", screening.cells["status"]))
    found = factorial(replace(screening, cells=cells))
    assert found.lenth is None
    assert "takes a value of every variant" in found.note


def test_contrasts_that_are_mostly_nothing_are_no_noise():
    found = factorial(one_each(8, lambda levels, seed: 1.0 + (levels["a"] == "a1")))
    assert found.lenth is None
    assert "more contrasts that are not 0" in found.note


def test_what_the_terms_leave_is_taken_where_they_leave_something():
    """In all of 2⁴, five interactions of three and four factors."""
    rng = np.random.default_rng(6)
    found = factorial(one_each(4, lambda levels, seed: rng.normal(), design=designs.factorial))
    assert (found.lenth, found.judged_by) == (None, "residual")
    assert found.anova[-1].df == 5
