"""Shares from the main effects of a screening, against Shapley values by their definition."""

import math

import numpy as np
import pytest
from coverage_of_shares import factors_of, game_of, mean, noisy, shapley, study_of
from scipy import stats

from ablate.components import designs
from ablate.report.designs import shares_notes
from ablate.stats.analysis import analyse
from ablate.stats.main_effects import by_main_effects

SCREENING = {"use": "ablate-core:screening"}


def screening(count, value, seeds=1, resolution=4, **compare):
    factors = factors_of(*[2] * count)
    return study_of(factors, designs.screening(factors, resolution=resolution), value, seeds, SCREENING, **compare)


@pytest.mark.parametrize("count", [4, 6, 8])
def test_where_no_three_factors_interact_they_are_shapley_values(count):
    """However much two do: 16 of the 256 combinations of eight factors give what all of them give."""
    factors = factors_of(*[2] * count)
    game = game_of(factors, np.random.default_rng(count), most=2)
    found = by_main_effects(screening(count, lambda levels, seed: mean(game, levels)))
    assert (found.method, found.orders) == ("main effects", 0)
    np.testing.assert_allclose(
        [share.value for share in found.shares], [shapley(game, factor.name) for factor in factors], rtol=0, atol=1e-9
    )
    assert found.gain == pytest.approx(sum(game.values()), abs=1e-9), "the difference of the ends"
    assert {levels[-1] for levels in found.full.split(",")} == {"1"}
    assert {levels[-1] for levels in found.plain.split(",")} == {"0"}


def test_interactions_of_three_make_the_sum_differ_from_the_ends():
    factors = factors_of(*[2] * 6)
    game = game_of(factors, np.random.default_rng(1), most=3)
    found = by_main_effects(screening(6, lambda levels, seed: mean(game, levels)))
    assert abs(found.gain - sum(game.values())) > 0.01


def test_intervals_are_those_of_a_balanced_design():
    """A main effect is the difference of two means of half of the cells each; the noise is pooled over the variants."""
    rng = np.random.default_rng(2)
    factors = factors_of(*[2] * 5)
    study = screening(5, noisy(game_of(factors, rng, most=2), rng, lambda levels: 0.1), seeds=3)
    found = by_main_effects(study)
    cells = study.cells.groupby("variant")["accuracy"]
    df = len(study.cells) - len(study.variants)
    error = math.sqrt(cells.var(ddof=1).mean() * 4 / len(study.cells))
    half = stats.t.isf(0.025, df) * error
    for share in found.shares:
        assert (share.low, share.high) == pytest.approx((share.value - half, share.value + half), abs=1e-9)
        assert share.percent == pytest.approx(100 * share.value / found.gain)
    assert found.high - found.gain == pytest.approx(half * math.sqrt(5), abs=1e-9), "main effects are independent"


def test_a_design_whose_full_recipe_is_the_base_gains_the_other_way():
    factors = factors_of(*[2] * 4)
    game = game_of(factors, np.random.default_rng(3), most=2)
    value = lambda levels, seed: mean(game, levels)  # noqa: E731
    runs = designs.screening(factors, resolution=4)
    there, back = (by_main_effects(study_of(factors, runs, value, 1, SCREENING | {"base": base})) for base in ("plain", "full"))
    assert [share.value for share in back.shares] == pytest.approx([-share.value for share in there.shares], abs=1e-12)
    assert (back.plain, back.full) == (there.full, there.plain)


def test_main_effects_that_contain_interactions_of_two_are_no_shares():
    assert by_main_effects(screening(7, lambda levels, seed: float(seed), seeds=2, resolution=3)) is None


def test_one_value_of_two_switches_has_shares_and_no_intervals():
    """Three contrasts are too few to judge them by each other."""
    rng, factors = np.random.default_rng(4), factors_of(2, 2)
    found = by_main_effects(study_of(factors, designs.factorial(factors), lambda levels, seed: rng.normal()))
    assert all(math.isnan(share.low) and math.isnan(share.percent) for share in found.rows)


def test_an_analysis_has_them_where_no_order_leads_from_end_to_end():
    rng = np.random.default_rng(5)
    study = screening(5, noisy(game_of(factors_of(*[2] * 5), rng, most=2), rng, lambda levels: 0.1), seeds=2)
    found = analyse(study).attribution
    assert found.method == "main effects"
    assert "where no three factors interact" in shares_notes(study, found, 3)[0]
