"""Figures: what is drawn, that files are reproducible, and that names can be anything."""

import dataclasses
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from studies import ATTRIBUTION, FACTORIAL, HOSTILE, effect, make_factorial, make_study

from ablate.records import Factor
from ablate.report import figures
from ablate.report.drawing import files, panels_svg, png
from ablate.stats.summary import summarise

FACTORS = [Factor("a", "off", ("on", "more")), Factor("b", "off", ("on",)), Factor("variant", "off", ("on",))]


def drawn(picture, panel=0):
    axes = Figure().add_subplot()
    picture.panels[panel].draw(axes)
    return axes


def texts(document):
    return {element.text for element in ElementTree.fromstring(document).iter("{http://www.w3.org/2000/svg}text")}


def test_the_forest_plot_has_every_effect_with_its_interval_and_the_margin(study):
    (picture,) = figures.effects_picture(study, [effect("x", 0.02), effect("y", -0.03, verdict="worse")])
    axes = drawn(picture)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    ends = [collection.get_segments()[0][:, 0].tolist() for collection in axes.collections]
    np.testing.assert_allclose(ends, [[0.01, 0.03], [-0.04, -0.02]])
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == (-0.005, 0.01)
    assert [mark.label for mark in picture.key] == ["better", "worse"]


def test_there_is_no_forest_plot_without_values(study):
    assert figures.effects_picture(study, [effect("x", np.nan, verdict="undecided")]) == ()


def test_a_long_forest_plot_shows_the_largest_and_says_so(study):
    effects = [effect(f"v{i}", (-1) ** i * i / 100) for i in range(60)]
    (picture,) = figures.effects_picture(study, effects)
    names = [label.get_text() for label in drawn(picture).get_yticklabels()]
    assert names == [f"v{i}" for i in range(20, 60)]
    assert "The 40 largest of 60 are drawn" in picture.caption


def test_learning_curves_have_means_bands_and_published_values(study):
    study = dataclasses.replace(study, published={"source": "s", "accuracy": {"x": [0.1, 0.2, 0.3]}})
    (picture,) = figures.curves_picture(study, summarise(study))
    assert [mark.label for mark in picture.key] == ["base", "x", "y"]
    axes = drawn(picture, panel=1)
    rows = study.epochs[study.epochs["variant"] == "x"]
    lines = [line.get_ydata() for line in axes.lines]
    np.testing.assert_allclose(lines[1], rows.groupby("epoch")["accuracy"].mean())
    assert list(lines[2]) == [0.1, 0.2, 0.3]
    band = axes.collections[1].get_paths()[0].vertices[:, 1]
    assert band.max() == rows["accuracy"].max()
    assert "crosses: published" in picture.caption


def test_of_many_variants_those_that_differ_most_have_colours():
    study = make_study(["base", *(f"v{i}" for i in range(30))])
    (picture,) = figures.curves_picture(study, summarise(study))
    assert [mark.label for mark in picture.key] == ["base", *(f"v{i}" for i in range(19, 30))]
    assert len({(mark.color, mark.dashes) for mark in picture.key}) == len(picture.key)
    assert len(drawn(picture).collections[0].get_segments()) == 19


def test_interactions_are_means_of_cells_at_two_levels():
    study = make_factorial(FACTORS)
    (picture,) = figures.interactions_picture(study, ())
    assert len(picture.panels) == 3
    axes = drawn(picture)
    means = study.cells.groupby(study.cells["variant"].str.extract("^(.*),variant=", expand=False))["accuracy"].mean()
    for line, b in zip(axes.lines[::3], ("off", "on"), strict=True):
        np.testing.assert_allclose(line.get_ydata().astype(float), [means[f"a={a},b={b}"] for a in ("off", "on", "more")])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["off", "on", "more"]


def test_pairs_of_factors_without_all_combinations_are_not_drawn():
    study = make_factorial(FACTORS[:2])
    study.cells.loc[study.cells["variant"] == "a=more,b=on", "status"] = "failed"
    assert figures.interactions_picture(study, ()) == ()


def test_the_shares_lead_to_the_gain(study):
    (picture,) = figures.attribution_picture(study, ATTRIBUTION)
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in drawn(picture).patches]
    np.testing.assert_allclose(bars, [(0, 0.06), (0.06, 0.05), (0, 0.05)])


def test_terms_are_a_forest_plot(study):
    (picture,) = figures.terms_picture(study, FACTORIAL.terms)
    assert [label.get_text() for label in drawn(picture).get_yticklabels()] == ["a=on", "a=on × b=on"]


def test_files_are_reproducible_and_have_text_as_text(study):
    (picture,) = figures.effects_picture(study, [effect("x")])
    made = files(picture)
    assert set(made) == {"effects.svg", "effects.pdf"}
    assert made == files(picture)
    assert made["effects.pdf"].startswith(b"%PDF")
    assert png(picture).startswith(b"\x89PNG")
    assert {"x", "difference in accuracy"} <= texts(made["effects.svg"])


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_can_be_drawn(name):
    study = make_study([name, name + "2"], metric=name, seeds=2)
    factors = [Factor(name, name, (name + "2",)), Factor("b", "off", ("on",))]
    pictures = [
        *figures.effects_picture(study, [effect(name)]),
        *figures.curves_picture(study, summarise(study)),
        *figures.interactions_picture(make_factorial(factors, metric=name, seeds=2), ()),
    ]
    assert len(pictures) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in pictures:
            for document in panels_svg(picture, "s"):
                ElementTree.fromstring(document)


def test_dollars_are_no_formula(study):
    (picture,) = figures.effects_picture(study, [effect("$x^2$")])
    assert "$x^2$" in texts(files(picture)["effects.svg"])
