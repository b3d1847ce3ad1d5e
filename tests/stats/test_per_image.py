"""What is said of classes and images, against constants of scikit-learn and statsmodels, which are named beside them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from ablate import predictions
from ablate.predictions import MaskPredictions, Predictions
from ablate.report.confusion import short_names
from ablate.report.content import page
from ablate.report.drawing import figure
from ablate.report.files import render, write_all
from ablate.stats.calibration import expected_error, reliability
from ablate.stats.per_image import confusion, mcnemar, per_image, rates
from tests.report.studies import HOSTILE, make_study

NAMES = ("cat", "dog", "<b>fox</b>")


def answers_of_two():
    """60 images of 3 classes, with the answers of two networks and how sure the first one is."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 60)
    one = np.where(rng.random(60) < 0.7, labels, rng.integers(0, 3, 60))
    other = np.where(rng.random(60) < 0.85, labels, rng.integers(0, 3, 60))
    confidence = rng.beta(3, 1, 60)
    return Predictions(labels, one, confidence, NAMES, "x"), Predictions(labels, other, confidence, NAMES, "x")


def differences(one, other):
    return (other.answers == other.labels).astype(float) - (one.answers == one.labels)


def test_the_confusion_matrix_is_that_of_scikit_learn():
    one, _ = answers_of_two()
    assert confusion(one).tolist() == [[20, 0, 3], [2, 14, 2], [2, 2, 15]]
    assert rates(one) == pytest.approx([20 / 23, 14 / 18, 15 / 19], abs=1e-15)


def test_mcnemar_is_that_of_statsmodels():
    """`mcnemar([[48, 1], [9, 2]], exact=True)`, and with `exact=False, correction=False`."""
    found = differences(*answers_of_two())
    assert ((found < 0).sum(), (found > 0).sum()) == (1, 9)
    assert mcnemar(found, 1) == pytest.approx(0.021484375, abs=1e-9)
    assert mcnemar(found, 2) == pytest.approx(0.01141203638600166, abs=1e-9)
    assert mcnemar(np.zeros(5), 1) == mcnemar(np.zeros(5), 3) == 1


def test_an_images_seeds_are_a_cluster():
    """The same answers with every seed are no more evidence than with one."""
    found = differences(*answers_of_two())
    assert mcnemar(7 * found, 7) == pytest.approx(mcnemar(found, 2), abs=1e-12)


def test_reliability_is_that_of_scikit_learn():
    """`calibration_curve(right, confidence, n_bins=15, strategy="uniform")`, which leaves out bins without an image."""
    one, _ = answers_of_two()
    right, sure, count = reliability(one)
    there = count > 0
    assert right[there] == pytest.approx(
        [1, 1, 1, 0.6, 3 / 7, 1, 1, 6 / 7, 0.8, 12 / 13, 2 / 3],
        abs=1e-9,
    )
    assert sure[there] == pytest.approx(
        [
            0.2923104573393388,
            0.3563297630897063,
            0.4526941009045718,
            0.5049953798754727,
            0.566719232327005,
            0.6250269075847507,
            0.7040869587706171,
            0.7605223638964252,
            0.8369873951063175,
            0.9023709389714684,
            0.9727696426449636,
        ],
        abs=1e-9,
    )
    assert count.sum() == 60
    assert expected_error(right, sure, count) == pytest.approx(float((np.abs(right - sure) * count)[there].sum() / 60), abs=1e-12)


def study_with(tmp_path, names=("base", "x"), seeds=3, class_names=NAMES, **others):
    """`x` is right on all images, the base on those that the first network above is right on, with every seed."""
    one, _ = answers_of_two()
    study = make_study(names, seeds=seeds, **others)
    for row in study.cells.itertuples():
        said = replace(one, class_names=class_names, answers=one.answers if row.variant == names[0] else one.labels)
        predictions.write(tmp_path / f"{row.key}.npz", predictions.packed(said))
    return replace(study, predictions=lambda key: tmp_path / f"{key}.npz")


def test_a_variant_is_compared_in_every_class_and_on_every_image(tmp_path):
    found = per_image(study_with(tmp_path))
    assert (found.cells, found.without, found.damaged, found.others) == (6, 0, 0, ())
    assert [(row.class_name, row.images) for row in found.classes] == [("cat", 23), ("dog", 18), ("<b>fox</b>", 19)]
    assert [row.difference for row in found.classes] == pytest.approx([3 / 23, 4 / 18, 4 / 19])
    (pair,) = found.paired
    assert (pair.only_reference, pair.only_variant, pair.seeds) == (0, 33, 3)
    assert pair.difference == pytest.approx(11 / 60)
    se = np.sqrt(11 / 60 * 49 / 60 * 60 / 59 / 60)
    assert pair.high - pair.low == pytest.approx(2 * 1.959963984540054 * se, abs=1e-9)
    assert pair.p == pytest.approx(0.0009111188771537125, abs=1e-9)  # chi2.sf(11, 1)
    assert (pair.low_both, pair.high_both) == pytest.approx((pair.low, pair.high)), "every seed is right on the same images"
    assert (pair.from_seeds, pair.from_images) == (0, 1)
    assert found.confusion["base"] == ((60, 0, 9), (6, 42, 6), (6, 6, 45))
    assert (found.mistakes[0].true, found.mistakes[0].said) == ("cat", "<b>fox</b>")
    assert [row.best for row in found.disputed] == ["x"] * 10
    assert found.disputed[0].worst_part == 0


def test_no_interval_of_a_class_has_differences_that_cannot_be(tmp_path):
    """With two seeds of which one is as good as the other is bad, Student's t alone would end far beyond 1."""
    study = study_with(tmp_path, seeds=2)
    said = predictions.read(study.predictions(study.cells["key"].iloc[-1]))
    predictions.write(
        study.predictions(study.cells["key"].iloc[-1]), predictions.packed(replace(said, answers=(said.labels + 1) % 3))
    )
    assert {(row.low, row.high) for row in per_image(study).classes} == {(-1, 1)}


def test_what_is_not_there_is_counted_and_said(tmp_path):
    study = study_with(tmp_path)
    keys = study.cells["key"]
    study.predictions(keys[0]).unlink()
    study.predictions(keys[1]).write_bytes(b"damaged")
    found = per_image(study)
    assert (found.without, found.damaged) == (1, 1)
    text = render([page(study)], "markdown")
    assert "Without predictions of single images: 1 of 6 finished cells" in text
    assert "The predictions of 1 cell cannot be read" in text
    for key in keys:
        study.predictions(key).unlink(missing_ok=True)
    text = render([page(study)], "markdown")
    assert "predictions" not in text, "a study that was made before there were any has the report that it had"
    assert "McNemar" not in text
    assert per_image(replace(study, predictions=None)) is None


def test_other_images_are_not_paired(tmp_path):
    study = study_with(tmp_path, names=("base", "x", "y"))
    for row in study.cells[study.cells["variant"] == "y"].itertuples():
        said = replace(predictions.read(study.predictions(row.key)), images="others")
        predictions.write(study.predictions(row.key), predictions.packed(said))
    found = per_image(study)
    assert found.others == ("y",)
    assert [pair.variant for pair in found.paired] == ["x"]
    assert [row.variant for row in found.calibration] == ["base", "x", "y"]
    assert "because evaluated on other images than 'base': y" in render([page(study)], "markdown")


def test_in_blocks_a_variant_is_compared_with_the_reference_of_its_block(tmp_path):
    """The second block has other images and other classes, and there only the reference is right on all of them."""
    names = ("area=a,norm=off", "area=a,norm=on", "area=b,norm=off", "area=b,norm=on")
    study = study_with(tmp_path, names=names)
    for row in study.cells[study.cells["variant"].str.startswith("area=b")].itertuples():
        one, _ = answers_of_two()
        answers = one.labels if row.variant.endswith("off") else one.answers
        said = Predictions(one.labels, answers, one.confidence, ("red", "green", "blue"), "others")
        predictions.write(study.predictions(row.key), predictions.packed(said))
    levels = [dict(part.split("=") for part in name.split(",")) for name in names]
    variants = tuple(replace(v, levels=own) for v, own in zip(study.variants, levels, strict=True))
    study = replace(study, variants=variants, compare=replace(study.compare, blocks=("area",)))
    found = per_image(study)
    assert found.others == ()
    assert [(pair.variant, pair.difference) for pair in found.paired] == [
        ("area=a,norm=on", pytest.approx(11 / 60)),
        ("area=b,norm=on", pytest.approx(-11 / 60)),
    ]
    assert [(row.class_name, row.images) for row in found.classes[3:]] == [("red", 23), ("green", 18), ("blue", 19)]
    assert [row.difference for row in found.classes] == pytest.approx([3 / 23, 4 / 18, 4 / 19, -3 / 23, -4 / 18, -4 / 19])
    assert set(found.confusion) == {"area=a,norm=off", "area=a,norm=on"}
    assert {row.best for row in found.disputed} == {"area=a,norm=on"}
    text = render([page(study)], "markdown")
    assert "only one of the reference of its block and a variant gets right" in text
    assert "variants of the block of 'area=a,norm=off' disagree on most" in text


def test_images_of_a_split_by_seed_are_not_compared(tmp_path):
    found = per_image(replace(study_with(tmp_path), split="by_seed"))
    assert (found.paired, found.disputed) == ((), ())
    assert len(found.classes) == 3


@pytest.mark.parametrize("form", ["html", "markdown", "latex", "latex-document", "json"])
def test_every_format_has_the_numbers_of_the_record_and_no_name_does_anything(tmp_path, form):
    study = study_with(tmp_path, class_names=tuple(name.replace("\ud800", "") for name in HOSTILE[:3]))
    text = render([page(study)], form)
    if form != "json":
        assert "<script>document.title" not in text
        assert "<img src=x" not in text
    if form != "json":
        assert "crossed random effects" in text or form == "latex"
        assert "0.1304" in text  # 3 / 23


def test_all_classes_are_in_a_file(tmp_path):
    write_all(page(study_with(tmp_path)), tmp_path / "report")
    frame = pd.read_csv(tmp_path / "report" / "classes.csv")
    assert frame["difference"].tolist() == pytest.approx([3 / 23, 4 / 18, 4 / 19])


def test_the_figure_shows_the_matrix_and_the_largest_differences(tmp_path):
    study = study_with(tmp_path, names=("base", "x", "y", "z"))
    (picture,) = [p for section in page(study).sections for p in section.pictures if p.name == "confusion"]
    assert len(picture.panels) == 3
    assert "The 2 of 3 variants that differ most" in picture.caption
    texts = {text.get_text() for axes in study.figure("confusion").axes for text in axes.texts}
    assert {"87", "13", "+13", "−13"} <= texts  # 20 of 23, 3 of 23


def test_names_in_the_figure_tell_classes_and_variants_apart_and_stay_in_it(tmp_path):
    assert short_names(["cat", "class number 7"], 14) == ["cat", "class number 7"]
    assert short_names(["class number 10", "class number 11"], 14) == ["class …mber 10", "class …mber 11"]
    study = study_with(tmp_path, ("base" * 20, "variant" * 9), class_names=("a long name of a class", "dog", "cat"))
    (picture,) = [p for section in page(study).sections for p in section.pictures if p.name == "confusion"]
    for number, panel in enumerate(picture.panels):
        made = figure(replace(picture, panels=(panel,)))
        assert max(text.get_window_extent().x1 for text in made.findobj(Text) if text.get_text()) <= made.bbox.x1, number


PIXELS = np.array([[90, 10, 0], [5, 15, 0], [0, 0, 0]])


def study_of_masks(tmp_path):
    """`x` takes five pixels fewer of the second class for the first one with every seed; no pixel is of the third class."""
    study = make_study(("base", "x"), seeds=3)
    study = replace(study, predictions=lambda key: tmp_path / f"{key}.npz")
    for row in study.cells.itertuples():
        better = row.variant == "x"
        pixels = PIXELS + better * np.array([[5, -5, 0], [0, 0, 0], [0, 0, 0]])
        overlaps = np.array([0.5, 0.25 + 0.5 * better, np.nan, 0.75])
        said = MaskPredictions(pixels, np.array([3, 2, 0]), overlaps, NAMES, "x")
        predictions.write(study.predictions(row.key), predictions.packed(said))
    return study


def test_masks_are_told_by_class_and_by_image(tmp_path):
    found = per_image(study_of_masks(tmp_path))
    assert (found.targets, found.paired, found.calibration, found.others) == ("mask", (), (), ())
    assert [(row.class_name, row.images) for row in found.classes] == [("cat", 3), ("dog", 2), ("<b>fox</b>", 0)]
    assert [row.reference for row in found.classes] == pytest.approx([90 / 105, 15 / 30, np.nan], nan_ok=True)
    assert [row.value for row in found.classes] == pytest.approx([95 / 105, 15 / 25, np.nan], nan_ok=True)
    assert found.confusion["base"] == ((270, 30, 0), (15, 45, 0), (0, 0, 0))
    assert (found.mistakes[0].true, found.mistakes[0].said, found.mistakes[0].rate) == ("dog", "cat", 0.25)
    (image,) = found.disputed
    assert (image.image, image.best, image.worst, image.class_name, image.said) == (1, "x", "base", "", "")
    assert (image.best_part, image.worst_part) == pytest.approx((0.75, 0.25), abs=1e-4)


def test_a_report_of_masks_says_what_it_is_of(tmp_path):
    shown = page(study_of_masks(tmp_path))
    text = render([shown], "markdown")
    assert "| x | dog | 2 | 0.5000 | 0.6000 | +0.1000 |" in text
    assert "Intersection over union (IoU) of each class: the pixels that are of it and said to be of it" in text
    assert "| image 1 | x (0.75) | base (0.25) |" in text
    assert "Percent of the pixels of each class" in render([shown], "html")
    assert not any(words in text for words in ("McNemar", "recall", "Calibration"))
    write_all(shown, tmp_path / "report")
    assert pd.read_csv(tmp_path / "report" / "classes.csv")["value"].tolist()[:2] == pytest.approx([95 / 105, 15 / 25])


def test_masks_and_classes_are_not_compared(tmp_path):
    study = study_of_masks(tmp_path)
    for row in study.cells[study.cells["variant"] == "x"].itertuples():
        predictions.write(study.predictions(row.key), predictions.packed(replace(answers_of_two()[0], images="x")))
    found = per_image(study)
    assert (found.others, found.classes, found.disputed) == (("x",), (), ())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixels", np.full((3, 3), 2**60)),
        ("pixels", np.ones((2, 3))),
        ("containing", np.array([1, 1, 9])),
        ("containing", np.ones(4)),
        ("overlaps", np.zeros((2, 2))),
        ("overlaps", np.zeros(0)),
    ],
)
def test_what_no_masks_give_is_refused(name, value):
    right = MaskPredictions(PIXELS, np.array([3, 2, 0]), np.array([0.5, np.nan, 1, 0]), NAMES, "x")
    same = predictions.unpacked(predictions.decoded(predictions.packed(right)))
    assert same.overlaps == pytest.approx(right.overlaps, abs=1e-5, nan_ok=True)
    assert (same.pixels == PIXELS).all()
    with pytest.raises(ValueError, match="the predictions"):
        predictions.decoded(predictions.packed(replace(right, **{name: value})))
