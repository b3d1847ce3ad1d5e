"""How many images a metric is of, and the binomial error of a rate."""

import math

import numpy as np
import pytest

from ablate.stats.images import images


def with_images(study, counts):
    study.cells["evaluated_images"] = counts
    return study


def test_nobody_counted(make_study):
    assert images(make_study({"base": [0.5, 0.6], "x": [0.7, 0.8]})) is None
    assert images(with_images(make_study({"base": [0.5, 0.6], "x": [0.7, 0.8]}), math.nan)) is None


def test_a_rate_of_ten_thousand_images(make_study):
    found = images(with_images(make_study({"base": [0.9401, 0.9399], "x": [0.95, 0.9513]}), 10_000.0))
    assert (found.least, found.most, found.rate) == (10_000, 10_000, pytest.approx(0.94))
    assert found.standard_error == pytest.approx(math.sqrt(0.94 * 0.06 / 10_000), abs=1e-12)


def test_rates_in_single_precision(make_study):
    counts = np.array([33_331, 33_333, 47_000, 49_999])
    rates = (counts / 50_000).astype(np.float32).astype(float).tolist()
    assert images(with_images(make_study({"base": rates[:2], "x": rates[2:]}), 50_000.0)).standard_error > 0


@pytest.mark.parametrize("values", [[0.12345, 0.23456], [1.5, 2.0], [-0.5, 0.5]])
def test_what_is_no_part_of_the_images_has_no_binomial_error(make_study, values):
    found = images(with_images(make_study({"base": values, "x": values}), 100.0))
    assert (found.least, found.most) == (100, 100)
    assert math.isnan(found.rate)
    assert math.isnan(found.standard_error)


def test_variants_on_different_numbers_of_images_and_cells_that_were_not_counted(make_study):
    found = images(with_images(make_study({"base": [0.5, 0.51], "x": [0.25, 0.75]}), [100.0, 100.0, 4.0, math.nan]))
    assert (found.least, found.most) == (4, 100)
    assert found.standard_error == pytest.approx(math.sqrt(0.505 * 0.495 / 4))
