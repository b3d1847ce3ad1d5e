"""The mixed model of seeds and images, against lme4's and MixedModels.jl's published fit, and statsmodels' constants."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from ablate.stats.comparison import estimate
from ablate.stats.crossed import crossed

# Penicillin (Davies and Goldsmith, 1972): diameters with six samples on each of 24 plates
DIAMETERS = """
    272326232321 272326232321 252125242420 262325232320 252226222320 242225232219 242023212219 262226242421
    242124222220 242124232219 262326242421 252226242420 262426242522 262326232320 262325242422 252225232320
    252124232320 252224232319 242123212119 262326242421 252124222218 252225222220 242124222419 242124222118
"""
PLATES = np.array([[int(row[i : i + 2]) for i in range(0, 12, 2)] for row in DIAMETERS.split()], float)


def test_the_model_is_that_of_lme4():
    """`lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin)`; digits from the tests of MixedModels.jl (REML)."""
    samples = PLATES.T  # as seeds, because they are few
    found = crossed(samples, np.zeros_like(samples), paired=True)
    assert found.difference == pytest.approx(22.972222222222218)
    assert math.sqrt(found.both) == pytest.approx(0.8085723219702367, rel=1e-5)
    assert math.sqrt(found.rest * samples.size) == pytest.approx(0.5499230109588108, rel=1e-6)
    assert math.sqrt((found.images - found.rest) * 24) == pytest.approx(0.8467056820846379, rel=1e-5)
    assert math.sqrt((found.seeds - found.rest) * 6) == pytest.approx(1.9315555733321477, rel=1e-5)


def right(rng, seeds, images, seed_sd=0.3, image_sd=1.0):
    """1 where a network is right, from a threshold model, `[seeds, images]`."""
    sure = rng.normal(1, image_sd, images) + rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, 0.7, (seeds, images))
    return (sure > 0).astype(float)


def test_the_variance_is_that_of_statsmodels():
    """A mixed model with crossed components (REML) of the paired differences of 4 seeds on 40 images."""
    rng = np.random.default_rng(3)
    one, other = right(rng, 4, 40), right(rng, 4, 40, seed_sd=0.8)
    found = crossed(one, other, paired=True)
    assert min(found.seeds, found.images) > found.rest  # where REML is on no edge
    seeds, images = np.indices(one.shape)
    frame = pd.DataFrame({"d": (one - other).ravel(), "seed": seeds.ravel(), "image": images.ravel(), "all": 1})
    parts = {"seed": "0 + C(seed)", "image": "0 + C(image)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its optimizer
        fit = sm.MixedLM.from_formula("d ~ 1", groups="all", vc_formula=parts, re_formula="0", data=frame).fit()
    assert fit.params["Intercept"] == pytest.approx(found.difference, abs=1e-9)
    assert fit.bse["Intercept"] ** 2 == pytest.approx(found.both, rel=1e-3)


@pytest.mark.parametrize("paired", [False, True])
def test_over_seeds_and_over_images_it_is_what_each_alone_is(paired):
    rng = np.random.default_rng(8)
    one, other = right(rng, 5, 300), right(rng, 5, 300)
    found = crossed(one, other, paired)
    test = stats.ttest_rel if paired else lambda a, b: stats.ttest_ind(a, b, equal_var=False)
    t = test(one.mean(1), other.mean(1))
    assert found.difference / math.sqrt(found.seeds) == pytest.approx(t.statistic)
    assert found.df == pytest.approx(t.df)
    assert found.images == pytest.approx(stats.sem(one.mean(0) - other.mean(0)) ** 2)
    verdict = estimate(one.mean(1), other.mean(1), paired)
    assert (found.difference, found.seeds) == pytest.approx((float(verdict.difference), float(verdict.se) ** 2))


def test_the_degrees_of_freedom_are_those_of_hillis():
    """`[MS(seeds) + max(MS(images) - MS(rest), 0)]² / (MS(seeds)² / (seeds - 1))`, and the interval is his where it is widest."""
    rng = np.random.default_rng(2)
    differences = right(rng, 6, 200) - right(rng, 6, 200)
    mean_squares = 200 * differences.mean(1).var(ddof=1), 6 * differences.mean(0).var(ddof=1)
    rest = differences - differences.mean(0) - differences.mean(1, keepdims=True) + differences.mean()
    numerator = mean_squares[0] + max(mean_squares[1] - (rest**2).sum() / (5 * 199), 0)
    df = numerator**2 / (mean_squares[0] ** 2 / 5)
    half = stats.t.isf(0.025, df) * math.sqrt(numerator / 1200)
    found = crossed(differences, np.zeros_like(differences), paired=True)
    low, high = found.interval(0.05)
    assert high - low == pytest.approx(2 * half)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(differences.mean()) / math.sqrt(numerator / 1200), df))
    assert sum(found.parts) == pytest.approx(1)


@pytest.mark.parametrize("paired", [False, True])
def test_the_interval_is_no_narrower_than_either_alone_and_goes_with_its_p(paired):
    rng = np.random.default_rng(4)
    for seeds in (2, 3, 5):
        for seed_sd in (0.01, 0.1, 1.0):
            one, other = right(rng, seeds, 100, seed_sd), right(rng, seeds, 100, seed_sd)
            found = crossed(one, other, paired)
            low, high = found.interval(0.05)
            over_seeds = stats.t.isf(0.025, found.df) * math.sqrt(found.seeds) if found.seeds else 0
            assert (high - low) / 2 >= max(over_seeds, stats.norm.isf(0.025) * math.sqrt(found.images)) * (1 - 1e-12)
            at_p = found.interval(found.p)
            assert min(abs(at_p[0]), abs(at_p[1])) == pytest.approx(0, abs=1e-9), "the interval at level 1 - p ends at 0"


def test_what_nothing_tells_has_no_value():
    same = np.ones((3, 5))
    assert crossed(same, same, paired=False).p == 1
    assert all(map(math.isnan, (*crossed(same, same, paired=False).interval(0.05), *crossed(same, same, paired=True).parts)))
    for paired in (False, True):
        assert math.isnan(crossed(same, 0 * same, paired).p)
        one_seed = crossed(same[:1], 0 * same[:1], paired)
        assert one_seed.difference == 1
        assert all(map(math.isnan, (one_seed.p, one_seed.both, *one_seed.interval(0.05), *one_seed.parts)))


def test_seeds_that_change_nothing_leave_the_images():
    row = np.random.default_rng(0).random(50).round()
    found = crossed(np.stack([row] * 3), np.zeros((3, 50)), paired=False)
    assert (found.seeds, found.rest) == (0, 0)
    assert found.parts == (0, 1, 0)
    assert found.p == pytest.approx(2 * stats.norm.sf(row.mean() / stats.sem(row)))
