"""Effects, tables of variances and aliases, against statsmodels, scipy and definitions."""

import re
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from coverage_of_shares import factors_of, of_effects, study_of, widened
from scipy import stats
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests

from ablate.components import designs
from ablate.contracts import Factor
from ablate.stats.factorial import factorial
from ablate.study import VariantInfo

FAILED = [(0, 0, 1), (1, 2, 0), (1, 2, 3), (0, 1, 2)]  # level of a, level of b, seed


def place(levels):
    return tuple(int(level[-1]) for level in levels.values())


@pytest.fixture
def unbalanced():
    """2 × 3 levels and 4 seeds, of which some cells failed: `[a, b, seed]`."""
    values = np.random.default_rng(0).normal(size=(2, 3, 4)) + np.arange(6).reshape(2, 3, 1)
    for cell in FAILED:
        values[cell] = np.nan
    return values


def study_with(values, **compare):
    factors = factors_of(*values.shape[:-1])
    return study_of(
        factors, designs.factorial(factors), lambda levels, seed: values[place(levels)][seed], values.shape[-1], **compare
    )


def frame(values):
    rows = [(*where, value) for where, value in np.ndenumerate(values) if np.isfinite(value)]
    return pd.DataFrame(rows, columns=[*"abcdefg"[: values.ndim - 1], "seed", "y"])


def test_effects_and_intervals_are_those_of_the_cell_means(unbalanced):
    found = factorial(study_with(unbalanced, alpha=0.1))
    n, means = np.isfinite(unbalanced).sum(-1), np.nanmean(unbalanced, -1)
    df = n.sum() - 6
    sd = np.sqrt(np.nansum((unbalanced - means[..., None]) ** 2) / df)
    weights = {
        "a=a1": np.array([[-1, -1, -1], [1, 1, 1]]) / 3,
        "b=b1": np.array([[-1, 1, 0], [-1, 1, 0]]) / 2,
        "b=b2": np.array([[-1, 0, 1], [-1, 0, 1]]) / 2,
        "a=a1 × b=b1": np.array([[1, -1, 0], [-1, 1, 0]]) / 2,
        "a=a1 × b=b2": np.array([[1, 0, -1], [-1, 0, 1]]) / 2,
    }
    assert [term.name for term in found.terms] == list(weights)
    for term in found.terms:
        estimate, se = np.sum(weights[term.name] * means), sd * np.sqrt(np.sum(weights[term.name] ** 2 / n))
        ends = [estimate - stats.t.isf(0.05, df) * se, estimate + stats.t.isf(0.05, df) * se]
        p = 2 * stats.t.sf(abs(estimate) / se, df)
        np.testing.assert_allclose([term.estimate, term.low, term.high, term.p], [estimate, *ends, p], rtol=0, atol=1e-9)
        assert term.aliases == ()
    assert found.residual_sd == pytest.approx(sd, abs=1e-9)
    assert found.note == ""


@pytest.mark.parametrize("paired", [False, True])
def test_the_table_of_variances_is_that_of_statsmodels(unbalanced, paired):
    found = factorial(study_with(unbalanced, paired=paired))
    formula = "y ~ C(a, Sum) * C(b, Sum)" + " + C(seed, Sum)" * paired
    fit = smf.ols(formula, frame(unbalanced)).fit()
    expected = anova_lm(fit, typ=2)
    names = {"a": "C(a, Sum)", "b": "C(b, Sum)", "a × b": "C(a, Sum):C(b, Sum)", "seed": "C(seed, Sum)", "pure error": "Residual"}
    assert [row.source for row in found.anova] == ["a", "b", "a × b", *["seed"] * paired, "pure error"]
    for row in found.anova:
        line = expected.loc[names[row.source]]
        np.testing.assert_allclose([row.df, row.sum_squares, row.f, row.p], line[["df", "sum_sq", "F", "PR(>F)"]], rtol=1e-9)
        if row.source != "pure error":
            whole = line["sum_sq"] + expected.loc["Residual", "sum_sq"]
            assert row.eta_squared == pytest.approx(line["sum_sq"] / whole, rel=1e-9)
    assert found.normality_p == pytest.approx(stats.shapiro(fit.resid).pvalue, rel=1e-6)


@pytest.fixture
def three_way():
    """2 × 3 × 2 levels and 3 seeds, of which two cells failed; all three factors together bring something."""
    values = np.random.default_rng(0).normal(size=(2, 3, 2, 3))
    values[1, 2, 1] += 8
    values[0, 1, 1, 2] = values[1, 1, 0, 0] = np.nan
    return values


SECOND = "(C(a, Sum) + C(b, Sum) + C(c, Sum)) ** 2"


@pytest.mark.parametrize("paired", [False, True])
def test_the_noise_is_pure_error_and_what_the_terms_leave_is_lack_of_fit(three_way, paired):
    """The models with and without all interactions, compared by statsmodels (in R, `anova(reduced, full)`)."""
    blocks = " + C(seed, Sum)" * paired
    reduced, full = (smf.ols(f"y ~ {terms}{blocks}", frame(three_way)).fit() for terms in (SECOND, SECOND.replace("2", "3")))
    squares = anova_lm(reduced, typ=2)["sum_sq"].drop("Residual")
    found = factorial(study_with(three_way, paired=paired))
    *terms, lack, noise = found.anova
    np.testing.assert_allclose(sorted(row.sum_squares for row in terms), sorted(squares), rtol=1e-9)
    for row in terms:
        f = row.sum_squares / row.df / full.mse_resid
        np.testing.assert_allclose([row.f, row.p], [f, stats.f.sf(f, row.df, full.df_resid)], rtol=1e-9)
    f, p, df = full.compare_f_test(reduced)
    assert (lack.source, noise.source) == ("lack of fit", "pure error")
    np.testing.assert_allclose([lack.f, lack.p, lack.df], [f, p, df], rtol=1e-9)
    assert lack.p < 0.001
    np.testing.assert_allclose([noise.sum_squares, noise.df], [full.ssr, full.df_resid], rtol=1e-9)
    assert noise.df == (20 if paired else 22)
    assert found.residual_sd == pytest.approx(np.sqrt(full.mse_resid), rel=1e-9)
    assert found.normality_p == pytest.approx(stats.shapiro(full.resid).pvalue, rel=1e-6)


@pytest.mark.parametrize("paired", [False, True])
def test_intervals_and_tests_are_those_of_pure_error(three_way, paired):
    """Estimates of the model without the three-way interaction, with the error of the one that has it."""
    blocks = " + C(seed, Sum)" * paired
    reduced, full = (smf.ols(f"y ~ {terms}{blocks}", frame(three_way)).fit() for terms in (SECOND, SECOND.replace("2", "3")))
    (a, *_), df = factorial(study_with(three_way, paired=paired, alpha=0.1)).terms, full.df_resid
    estimate = 2 * reduced.params["C(a, Sum)[S.0]"] * -1
    se = 2 * np.sqrt(reduced.normalized_cov_params.loc["C(a, Sum)[S.0]", "C(a, Sum)[S.0]"] * full.mse_resid)
    ends = [estimate - stats.t.isf(0.05, df) * se, estimate + stats.t.isf(0.05, df) * se]
    np.testing.assert_allclose(
        [a.estimate, a.low, a.high, a.p], [estimate, *ends, 2 * stats.t.sf(abs(estimate) / se, df)], rtol=1e-9
    )


def test_what_is_left_is_the_noise_where_no_variant_has_two_values(three_way):
    one = np.nan_to_num(three_way[..., :1])
    expected = smf.ols(f"y ~ {SECOND}", frame(one)).fit()
    found = factorial(study_with(one))
    assert found.anova[-1].source == "residual"
    assert "lack of fit" not in {row.source for row in found.anova}
    np.testing.assert_allclose([row.p for row in found.anova], anova_lm(expected, typ=2)["PR(>F)"], rtol=1e-9)
    assert found.residual_sd == pytest.approx(np.sqrt(expected.mse_resid), rel=1e-9)
    assert np.isnan(found.normality_p)


@pytest.mark.parametrize(("three_way_effect", "wider"), [(0.0, -0.02), (10.0, 0.5)])
def test_a_three_way_interaction_does_not_widen_intervals(three_way_effect, wider):
    """What the terms leave would: by three quarters, where F of the lack of fit is about 36."""
    by, found = widened(40, three_way_effect)
    assert by > wider
    assert by < wider + (0.05 if three_way_effect == 0 else 0.6)
    assert found < 0.2 if three_way_effect == 0 else found == 1


def test_variances_are_compared_by_brown_and_forsythe_where_variants_have_four_values(unbalanced):
    groups = [group for group in unbalanced.reshape(6, 4) if np.isfinite(group).all()]
    assert len(groups) == 3
    expected = stats.levene(*groups, center="median").pvalue
    assert factorial(study_with(unbalanced)).equal_variance_p == pytest.approx(expected, abs=1e-9)
    assert np.isnan(factorial(study_with(unbalanced[..., 1:])).equal_variance_p)


def test_residuals_that_are_not_free_tell_nothing_of_normality(unbalanced):
    """Two seeds are equally far from their mean."""
    values = np.nan_to_num(unbalanced)
    assert np.isnan(factorial(study_with(values[..., :2])).normality_p)
    assert np.isfinite(factorial(study_with(values[..., :3])).normality_p)


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
@pytest.mark.parametrize("margin", [None, 0.2])
def test_effects_have_verdicts(goal, margin):
    """a brings 3 on average, b costs 3, both bring 1 more together than on average by themselves; c does nothing."""
    values = np.random.default_rng(0).normal(scale=0.1, size=(2, 2, 2, 6))
    values[1] += 2
    values[:, 1] -= 4
    values[1, 1] += 2
    found = {term.name: term.verdict for term in factorial(study_with(values, goal=goal, margin=margin)).terms}
    up, down = ("better", "worse") if goal == "maximize" else ("worse", "better")
    nothing = "undecided" if margin is None else "no meaningful difference"
    others = dict.fromkeys(["c=c1", "a=a1 × c=c1", "b=b1 × c=c1"], nothing)
    assert found == {"a=a1": up, "b=b1": down, "a=a1 × b=b1": f"{up} together", **others}


@pytest.mark.parametrize(("correction", "method"), [("holm", "holm"), ("benjamini_hochberg", "fdr_bh")])
def test_p_values_are_corrected_for_the_number_of_terms(unbalanced, correction, method):
    terms = factorial(study_with(unbalanced, correction=correction)).terms
    expected = multipletests([term.p for term in terms], method=method)[1]
    np.testing.assert_allclose([term.p_adjusted for term in terms], expected, rtol=0, atol=1e-9)


def test_seeds_that_pair_are_blocks(unbalanced):
    """What a seed gives to all variants changes nothing, where nothing failed."""
    values = np.nan_to_num(unbalanced)
    one, other = (factorial(study_with(values + shift, paired=True)) for shift in (0.0, np.array([0.0, 5.0, -3.0, 9.0])))
    for a, b in zip(one.terms, other.terms, strict=True):
        np.testing.assert_allclose([a.estimate, a.low, a.high, a.p], [b.estimate, b.low, b.high, b.p], rtol=0, atol=1e-9)
    assert "Seeds pair" in one.note


def contrast(values, *axes):
    """Level 1 minus level 0 along the axes, halved for each but the first, averaged over the others."""
    for axis in axes:
        values = np.take(values, [1], axis) - np.take(values, [0], axis)
    return values.mean() / 2 ** (len(axes) - 1)


def test_known_effects_are_found_exactly_without_noise():
    """Interactions of two and of three factors, in units of the definition."""
    table = np.random.default_rng(0).normal(size=(2, 2, 2, 2))
    factors = factors_of(2, 2, 2, 2)
    found = factorial(study_of(factors, designs.factorial(factors), lambda levels, seed: table[place(levels)], seeds=2))
    expected = [contrast(table, axis) for axis in range(4)] + [contrast(table, *pair) for pair in combinations(range(4), 2)]
    np.testing.assert_allclose([term.estimate for term in found.terms], expected, rtol=0, atol=1e-9)


def fraction(**parameters):
    return lambda factors: designs.screening(factors, **parameters)


def taguchi_l9(factors):
    """Nine of 81 combinations, in which any two of four factors have all nine pairs of levels."""
    return [
        dict(zip((f.name for f in factors), (f"{f.name}{i}" for f, i in zip(factors, row, strict=True)), strict=True))
        for row in ((a, b, (a + b) % 3, (a + 2 * b) % 3) for a, b in product(range(3), repeat=2))
    ]


DESIGNS = {
    "2^(3-1)": ((2, 2, 2), fraction(resolution=3)),
    "2^(4-1)": ((2, 2, 2, 2), fraction(resolution=4)),
    "2^(5-2)": ((2, 2, 2, 2, 2), fraction(resolution=3)),
    "2^(5-1)": ((2, 2, 2, 2, 2), fraction(resolution=5)),
    "2^(7-3)": ((2, 2, 2, 2, 2, 2, 2), fraction(resolution=4)),
    "Plackett-Burman, 12": ((2,) * 9, fraction(method="plackett_burman")),
    "Plackett-Burman, 20": ((2,) * 16, fraction(method="plackett_burman")),
    "L9": ((3, 3, 3, 3), taguchi_l9),
    "2 × 3 × 2": ((2, 3, 2), designs.factorial),
}


def alone(chosen):
    """The value of a combination where no contrast of effects is other than zero but that of these levels."""
    return lambda levels, seed: np.prod([(levels[f.name] == level) - 1 / (1 + len(f.others)) for f, level in chosen])


@pytest.mark.parametrize("name", DESIGNS)
def test_aliases_are_the_effects_that_an_estimate_contains(name):
    """In a study with one effect alone, the terms that are not zero are this effect and those that name it as an alias."""
    levels, design = DESIGNS[name]
    factors = factors_of(*levels)
    pairs = list(combinations(factors, 2))
    for some in [*combinations(factors, 1), *pairs[:: 1 + len(pairs) // 40]]:  # all of them but where there are very many
        chosen = [(factor, factor.others[-1]) for factor in some]
        effect = " × ".join(f"{factor.name}={level}" for factor, level in chosen)
        terms = factorial(study_of(factors, design(factors), alone(chosen))).terms
        shown = {term.name for term in terms if abs(term.estimate) > 1e-9}
        assert shown
        assert shown == {term.name for term in terms if term.name == effect or effect in term.aliases}


def aliases(study):
    return {term.name: term.aliases for term in factorial(study).terms}


def test_aliases_of_known_fractions():
    """Montgomery, 8th ed., 8.2 and 8.3: I = ABC, and I = ABCD."""
    factors = factors_of(2, 2, 2, 2)
    three = study_of(factors[:3], fraction(resolution=3)(factors[:3]), lambda levels, seed: 0.0)
    assert aliases(three) == {"a=a1": ("b=b1 × c=c1",), "b=b1": ("a=a1 × c=c1",), "c=c1": ("a=a1 × b=b1",)}
    four = study_of(factors, fraction(resolution=4)(factors), lambda levels, seed: 0.0)
    assert aliases(four) == {
        **dict.fromkeys(["a=a1", "b=b1", "c=c1", "d=d1"], ()),
        "a=a1 × b=b1": ("c=c1 × d=d1",),
        "a=a1 × c=c1": ("b=b1 × d=d1",),
        "a=a1 × d=d1": ("b=b1 × c=c1",),
    }
    assert "cannot tell main effects" in factorial(three).note
    assert "cannot tell main effects" not in factorial(four).note
    assert "interactions cannot be told from each other" in factorial(four).note


def test_plackett_burman_has_a_third_of_each_interaction_in_every_main_effect_of_another_factor():
    factors = factors_of(*[2] * 11)
    chosen = [(factors[0], "a1"), (factors[1], "b1")]
    found = factorial(study_of(factors, fraction(method="plackett_burman")(factors), alone(chosen)))
    parts = np.abs([term.estimate for term in found.terms]) / 0.5
    np.testing.assert_allclose(parts, [0, 0, *[1 / 3] * 9], rtol=0, atol=1e-9)
    assert [len(term.aliases) for term in found.terms] == [45] * 11
    assert "contain parts of their aliases" in found.note


def without(study, *lost):
    """The study whose cells of these variants failed."""
    cells = study.cells.assign(status=np.where(study.cells["variant"].isin(lost), "failed", study.cells["status"]))
    return replace(study, cells=cells)


def test_a_variant_that_failed_costs_an_interaction():
    study = study_with(np.random.default_rng(0).normal(size=(2, 2, 3)))
    found = without(study, "a1,b1")
    assert aliases(found) == {"a=a1": ("a=a1 × b=b1",), "b=b1": ("a=a1 × b=b1",)}
    means = study.cells.groupby("variant")["accuracy"].mean()
    assert factorial(found).terms[0].estimate == pytest.approx(means["a1,b0"] - means["a0,b0"], abs=1e-9)


def test_a_level_that_failed_leaves_no_analysis():
    study = study_with(np.random.default_rng(0).normal(size=(2, 2, 3)))
    assert factorial(without(study, "a1,b0", "a1,b1")) is None
    assert factorial(without(study, "a0,b0", "a0,b1", "a1,b0", "a1,b1")) is None


@pytest.mark.parametrize(
    ("levels", "design"),
    [
        ((3,), designs.factorial),
        ((2, 2), designs.one_at_a_time),
        ((2, 2, 2), designs.leave_one_out),
        ((2, 2, 2), designs.cumulative),
        ((2, 3), lambda factors: designs.factorial(factors)[:-1]),
        ((2, 3), lambda factors: [levels for levels in designs.factorial(factors) if levels["b"] != "b2"]),
    ],
)
def test_other_designs_are_not_analysed(levels, design):
    factors = factors_of(*levels)
    rng = np.random.default_rng(0)
    assert factorial(study_of(factors, design(factors), lambda levels, seed: rng.normal(), seeds=3)) is None


def test_named_variants_beside_the_factors_take_no_part(unbalanced):
    study = study_with(unbalanced)
    more = pd.DataFrame({"variant": "other", "seed": range(4), "accuracy": 9.0, "status": "done"})
    both = replace(study, variants=(*study.variants, VariantInfo("other", {}, ())), cells=pd.concat([study.cells, more]))
    assert factorial(both).terms == factorial(study).terms


@pytest.mark.parametrize("values", [np.arange(4.0).reshape(2, 2, 1), np.ones((2, 2, 3)) * np.array([[1, 2], [3, 5]])[..., None]])
def test_without_noise_to_judge_by_there_are_estimates_alone(values):
    """One seed of as many variants as terms; and seeds that all give the same."""
    found = factorial(study_with(values))
    assert np.isnan([(term.low, term.high, term.p, term.p_adjusted) for term in found.terms]).all()
    assert np.isnan([(row.f, row.p, row.eta_squared) for row in found.anova]).all()
    assert np.isnan([found.normality_p, found.equal_variance_p]).all()
    assert "run more seeds" in found.note
    assert found.terms[0].estimate == pytest.approx(contrast(values.mean(-1), 0), abs=1e-9)


def test_one_seed_of_more_variants_than_terms_says_what_is_taken_for_noise():
    found = factorial(study_with(np.random.default_rng(0).normal(size=(2, 2, 2, 1))))
    assert found.anova[-1].df == 1
    assert found.terms[0].low < found.terms[0].estimate < found.terms[0].high
    assert "taken for noise" in found.note


@pytest.mark.parametrize(("design", "size", "most", "seeds"), [(designs.factorial, 3, 2, 3), (fraction(resolution=3), 5, 1, 2)])
def test_intervals_contain_the_truth_as_often_as_they_say(design, size, most, seeds):
    """The intervals of a study share its noise, so that the number of studies bounds the Monte-Carlo error."""
    studies = 150
    assert stats.binom.ppf(0.001, studies, 0.95) / studies <= of_effects(studies, design, size, most, seeds) <= 0.99


def test_the_aliases_in_the_documentation_are_those_of_its_design():
    text = (Path(__file__).parents[2] / "docs" / "designs.md").read_text("utf-8")
    rows = re.search(r"\| effect \| not told apart from \|\n\|---\|---\|\n((?:\|.*\|\n)+)", text).group(1).splitlines()
    documented = dict(row.strip("| ").split(" | ") for row in rows)
    factors = [Factor(name, "off", ("on",)) for name in ("batch_norm", "dropout", "flip", "crop", "cosine")]
    found = aliases(study_of(factors, fraction(resolution=3)(factors), lambda levels, seed: 0.0))
    assert {name: ", ".join(other) for name, other in found.items()} == documented
