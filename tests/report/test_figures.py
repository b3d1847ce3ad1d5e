"""Figures: what is drawn, that files are reproducible, and that names can be anything."""

import dataclasses
import warnings
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from studies import FACTORIAL, HOSTILE, effect, make_factorial, make_study

from ablate.contracts import Factor
from ablate.report import figures
from ablate.report.drawing import figure, files, panels_svg, png
from ablate.report.style import COLORS, GREY
from ablate.stats.factor_records import Attribution, Share, Term
from ablate.stats.factorial import factorial
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


@pytest.mark.parametrize("last", [1, 2])
def test_marks_at_the_axis_of_epochs_are_whole_numbers(study, last):
    study = dataclasses.replace(study, epochs=study.epochs[study.epochs["epoch"] <= last])
    (picture,) = figures.curves_picture(study, summarise(study))
    axes = drawn(picture)
    low, high = axes.get_xlim()
    assert [mark for mark in axes.get_xticks() if low <= mark <= high] == list(range(1, last + 1))


def test_a_variant_without_an_epoch_has_no_curve_to_be_hidden(study):
    told = dataclasses.replace(study, epochs=study.epochs[study.epochs["variant"] != "x"])
    (picture,) = figures.curves_picture(told, summarise(told))
    assert [mark.label for mark in picture.key] == [one.name for one in picture.panels[0].series] == ["base", "y"]
    colors = {mark.label: mark.color for mark in figures.curves_picture(study, summarise(study))[0].key}
    assert picture.key[1].color == colors["y"], "a curve keeps its colour when others come"


def test_of_many_variants_those_that_differ_most_have_colours():
    study = make_study(["base", *(f"v{i}" for i in range(30))])
    (picture,) = figures.curves_picture(study, summarise(study))
    assert [mark.label for mark in picture.key] == ["base", *(f"v{i}" for i in range(19, 30))]
    assert len({(mark.color, mark.dashes) for mark in picture.key}) == len(picture.key)
    grey = [line[-1, 1] for line in drawn(picture, panel=1).collections[0].get_segments()]
    means = study.cells.groupby("variant")["accuracy"].mean()
    np.testing.assert_allclose(grey, [means[f"v{i}"] for i in range(19)], err_msg="in the order of the spec")


def test_interactions_are_means_of_cells_at_two_levels():
    study = make_factorial(FACTORS)
    (picture,) = figures.interactions_picture(study, FACTORIAL)
    assert len(picture.panels) == 3
    axes = drawn(picture)
    means = study.cells.groupby(study.cells["variant"].str.extract("^(.*),variant=", expand=False))["accuracy"].mean()
    for line, b in zip([container[0] for container in axes.containers], ("off", "on"), strict=True):
        np.testing.assert_allclose(line.get_ydata().astype(float), [means[f"a={a},b={b}"] for a in ("off", "on", "more")])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["off", "on", "more"]


def test_pairs_of_factors_without_all_combinations_are_not_drawn():
    study = make_factorial(FACTORS[:2])
    study.cells.loc[study.cells["variant"] == "a=more,b=on", "status"] = "failed"
    assert figures.interactions_picture(study, FACTORIAL) == ()


NUMBERS = {
    "positive": [(0.006, 0.002, 0.01), (0.02, 0.01, 0.03)],
    "negative": [(-0.006, -0.01, -0.002), (-0.02, -0.03, -0.01)],
    "mixed": [(-0.012, -0.02, -0.004), (0.006, -0.001, 0.013), (0.0, -0.001, 0.001)],
    "tiny": [(1e-12, -1e-13, 2e-12), (-3e-12, -4e-12, -2e-12)],
    "huge": [(1e12, -1e11, 2e12), (-3e12, -4e12, -2e12)],
    "without intervals": [(0.5, np.nan, np.nan), (-0.5, np.nan, np.nan)],
    "some without a value": [(np.nan, np.nan, np.nan), (0.1, 0.05, 0.15), (-0.1, np.nan, np.nan)],
}


def pictures_of(study, numbers):
    """The same numbers as effects, terms and shares; each with its picture and the numbers of all its rows."""
    names = [f"v{i}" for i in range(len(numbers))]
    verdicts = ["undecided" if not (low > 0 or high < 0) else "better" if value > 0 else "worse" for value, low, high in numbers]
    effects = [
        effect(name, value, low=low, high=high, verdict=verdict)
        for name, (value, low, high), verdict in zip(names, numbers, verdicts, strict=True)
    ]
    terms = tuple(Term(name, *row, 0.5, 0.5, (), verdict) for name, row, verdict in zip(names, numbers, verdicts, strict=True))
    gain = (
        sum(row[0] for row in numbers if np.isfinite(row[0])),
        *((-1.0, 1.0) if np.isfinite(numbers[-1][1]) else numbers[-1][1:]),
    )
    shares = tuple(Share(name, *row) for name, row in zip(names, numbers, strict=True))
    found = Attribution("shapley", "plain", "full", *gain, shares, 2)
    return {
        "effects": (figures.effects_picture(study, effects), numbers),
        "terms": (figures.terms_picture(study, dataclasses.replace(FACTORIAL, terms=terms)), numbers),
        "attribution": (figures.attribution_picture(study, found), [*numbers, gain]),
    }


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("name", ["effects", "terms", "attribution"])
def test_marks_bars_and_whiskers_are_where_the_numbers_are(study, name, kind):
    ((picture,), expected) = pictures_of(study, NUMBERS[kind])[name]
    axes = drawn(picture)
    names = [*(f"v{i}" for i in range(len(NUMBERS[kind]))), "all together"][: len(expected)]
    rows = [(label, *row) for label, row in zip(names, expected, strict=True) if np.isfinite(row[0])]
    assert [label.get_text() for label in axes.get_yticklabels()] == [row[0] for row in rows]
    assert len(axes.collections) == len(rows)
    for place, (_, value, low, high), whisker in zip(axes.get_yticks(), rows, axes.collections, strict=True):
        ends = [segment for segment in whisker.get_segments() if segment.size and np.isfinite(segment).all()]
        assert len(ends) == np.isfinite(low)
        for segment in ends:
            np.testing.assert_allclose(segment, [[low, place], [high, place]], rtol=1e-12)
            assert axes.get_xlim()[0] <= low < high <= axes.get_xlim()[1]
        assert axes.get_xlim()[0] <= value <= axes.get_xlim()[1]
    places, values = axes.get_yticks(), [row[1] for row in rows]
    if name == "attribution":
        bars = [(bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in axes.patches]
        np.testing.assert_allclose(bars, [(0, value, place) for value, place in zip(values, places, strict=True)], rtol=1e-12)
        colors = [to_hex(bar.get_facecolor()) for bar in axes.patches]
        assert colors == [*(COLORS[0] if value >= 0 else COLORS[1] for value in values[:-1]), GREY]
    else:
        marks = [line for line in axes.lines if line.get_marker() != "None"]
        np.testing.assert_allclose([line.get_xdata()[0] for line in marks], values, rtol=1e-12)
        np.testing.assert_allclose([line.get_ydata()[0] for line in marks], places, rtol=1e-12)
    assert ("with 95 % intervals" in picture.caption) == any(np.isfinite(row[2]) for row in rows)


def test_a_loss_that_falls_is_a_gain(study):
    study = dataclasses.replace(study, compare=dataclasses.replace(study.compare, goal="minimize"))
    ((picture,), _) = pictures_of(study, NUMBERS["mixed"])["attribution"]
    assert [to_hex(bar.get_facecolor()) for bar in drawn(picture).patches][:2] == [COLORS[0], COLORS[1]]


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1, 1e6])
def test_no_tick_label_runs_into_another(study, scale):
    numbers = [(0.0057 * scale * i, 0.0057 * scale * i - scale / 500, 0.0057 * scale * i + scale / 500) for i in range(-3, 4)]
    names = [f"a_long_name_of_factor_{i}=with_a_long_level × another_{i}=more" for i in range(7)]
    mark = figures.VERDICTS["better"]
    long = figures.forest(study, "x", "c", "l", [figures.Row(n, *row, mark) for n, row in zip(names, numbers, strict=True)])
    short = [made for ((made,), _) in pictures_of(study, numbers).values()]
    for picture in (*long, *short):
        (axes,) = figure(picture).axes
        for labels, side in ((axes.get_xticklabels(), 0), (axes.get_yticklabels(), 1)):
            boxes = sorted((label.get_window_extent() for label in labels if label.get_text()), key=lambda box: box.min[side])
            assert len(boxes) > 1
            assert all(one.max[side] <= other.min[side] for one, other in pairwise(boxes))


def test_interactions_agree_with_the_table():
    """Points are means of variants, as far from parallel as the table says; whiskers are the noise of these means."""
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",)), Factor("c", "off", ("on",))])
    lost = (study.cells["variant"] == "a=on,b=off,c=on") & (study.cells["seed"] == 0)
    study.cells.loc[lost, "status"] = "failed"
    found = factorial(study)
    (picture,) = figures.interactions_picture(study, found)
    axes = drawn(picture)
    one, other = axes.get_xlabel(), axes.get_legend().get_texts()[0].get_text().partition(" = ")[0]
    groups = study.cells[study.cells["status"] == "done"].groupby("variant")["accuracy"]
    means, sizes = groups.mean(), groups.size()
    for container, level in zip(axes.containers, ("off", "on"), strict=True):
        line, _, (bars,) = container
        for at, (x, y) in enumerate(zip(("off", "on"), line.get_ydata(), strict=True)):
            names = [name for name in means.index if f"{one}={x}" in name and f"{other}={level}" in name]
            assert y == pytest.approx(means[names].mean(), abs=1e-12)
            error = found.residual_sd * np.sqrt((1 / sizes[names]).sum()) / len(names)
            np.testing.assert_allclose(bars.get_segments()[at][:, 1], [y - error, y + error], rtol=0, atol=1e-12)


def test_interactions_without_noise_have_no_whiskers():
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))], seeds=1)
    (picture,) = figures.interactions_picture(study, factorial(study))
    assert "standard error" not in picture.caption
    assert not any(container.has_yerr for container in drawn(picture).containers)


@pytest.mark.parametrize("name", ["x", "a,b", "the_learning_rate=cosine_with_warm_restarts_and_more,optimizer=adam", "x" * 100])
def test_names_are_broken_into_lines(name):
    lines = figures.wrapped(name).split("\n")
    assert all(len(line) <= figures.LINE for line in lines)
    assert "".join(lines) == name


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
        *figures.interactions_picture(make_factorial(factors, metric=name, seeds=2), FACTORIAL),
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
