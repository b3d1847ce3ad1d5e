"""The sections on classes and images: what the kept predictions of a study say."""

import math
from collections.abc import Iterator
from dataclasses import replace

from ablate.stats.image_records import PerImage
from ablate.stats.records import Analysis
from ablate.stats.wording import verdict
from ablate.study import Study

from .calibration import reliability_picture
from .confusion import confusion_picture
from .page import Section
from .tables import Table, interval, make_table, measured, number, plural, probability
from .thumbnails import Thumbnail

MOST_ROWS = 40  # of the table of classes
DIGITS = 4
IOU = "the pixels that are of it and said to be of it, by those that are either, of all images together"
OF_CLASSES = {  # by what was told of an image: the heading of how well a class is told, and what that is
    "class": ("right", "Part of the images of each class that is right (recall)"),
    "mask": ("IoU", f"Intersection over union (IoU) of each class: {IOU}"),
}
OF_IMAGES = {  # the same of an image
    "class": "the part of their seeds that get them right",
    "mask": "the IoU of an image, the mean over the classes of its mask and over seeds",
}


def sections(study: Study, analysis: Analysis, empty: Section) -> Iterator[Section]:
    """What is to be said of them, none where nobody evaluated images, or no cell has predictions.

    Args:
        study: The study.
        analysis: What is concluded from it.
        empty: A section to be filled.
    """
    found = analysis.per_image
    if found is None or found.without == found.cells:  # made before there were any
        return
    if not found.class_names:
        yield replace(empty, title="Images", notes=tuple(_missing(found)))
        return
    if found.paired or found.others or found.by_seed or found.disputed:
        yield _images(study, analysis, found, empty)
    if found.classes:
        yield _classes(study, found, empty)
    if found.calibration:
        yield _calibration(study, found, empty)


def _missing(found: PerImage) -> Iterator[str]:
    if found.without:
        yield (
            f"Without predictions of single images: {found.without} of {plural(found.cells, 'finished cell')}, trained before "
            "ablate kept them, with outputs that are not finite, or with targets that are no classes of images. They count in "
            "the verdicts, and not in what is said of classes and images."
        )
    if found.damaged:
        yield f"The predictions of {plural(found.damaged, 'cell')} cannot be read, and are left out."


def _in_block(study: Study) -> str:
    return f" of the block of {study.compare.reference!r}" if study.compare.blocks else ""


def _images(study: Study, analysis: Analysis, found: PerImage, empty: Section) -> Section:
    verdicts = {effect.variant: verdict(effect) for effect in analysis.effects}
    reference = "the reference of its block" if study.compare.blocks else repr(study.compare.reference)
    rows = [
        [
            pair.variant,
            verdicts.get(pair.variant, ""),
            str(pair.seeds),
            f"{pair.only_reference:,}",
            f"{pair.only_variant:,}",
            number(pair.difference, f"+.{DIGITS}f"),
            interval(pair.low, pair.high, DIGITS),
            probability(pair.p_adjusted),
        ]
        for pair in found.paired
    ]
    level = f"{100 * (1 - study.compare.alpha):g} %"
    headings = ["variant", "verdict", "seeds", "only reference right", "only variant right", "difference"]
    headings += [f"{level} interval, images", "p (McNemar)"]
    several_seeds = any(not math.isnan(pair.p_both) for pair in found.paired)
    tables = [make_table(headings, rows, ["verdict"])] if rows else []
    tables += [_both_sources(found, level)] if several_seeds else []
    tables += [_disputed(found)] if found.disputed else []
    notes = []
    if rows:
        notes = [
            "What each interval covers: that of the verdict other seeds on these very images; that of McNemar's test other "
            "images of the kind with these trained networks; that of the second table, where there are several seeds, both.",
            f"Counted are images that only one of {reference} and a variant gets right, summed over the seeds. With several "
            "seeds those of an image are taken together as a cluster (Durkalski et al., 2003). p-values are corrected for the "
            "number of variants, and intervals of a column hold together.",
        ]
    if several_seeds:
        notes.append(
            "The second table is of a mixed model with seeds and images as crossed random effects (Hillis, 2007), and says where "
            "the variance of a difference comes from: more seeds lower the first part, more images the second, either the third."
        )
    if found.by_seed:
        notes.append(
            "Every seed has test images of its own, so the verdicts cover the choice of images, and none is compared by itself."
        )
    if found.others:
        names = ", ".join(found.others)
        notes.append(f"Not compared image by image, because evaluated on other images than {reference}: {names}.")
    if found.disputed:
        by = OF_IMAGES[found.targets]
        notes.append(f"The single images are those that variants{_in_block(study)} disagree on most, by {by}.")
    shown = tuple(shown_images(study, found))
    return replace(empty, title="Images", tables=tuple(tables), notes=(*notes, *_missing(found)), thumbnails=shown)


def _disputed(found: PerImage) -> Table:
    columns = ["image", "class", "right most often", "right least often", "which says"]
    if found.targets == "mask":
        rows = [
            [f"image {one.image:,}", f"{one.best} ({one.best_part:.2f})", f"{one.worst} ({one.worst_part:.2f})"]
            for one in found.disputed
        ]
        columns = ["image", "largest IoU", "smallest IoU"]
    else:
        rows = [
            [
                f"image {one.image:,}",
                one.class_name,
                f"{one.best} ({100 * one.best_part:.0f} %)",
                f"{one.worst} ({100 * one.worst_part:.0f} %)",
                one.said,
            ]
            for one in found.disputed
        ]
    return make_table(columns, rows, columns)


def _both_sources(found: PerImage, level: str) -> Table:
    rows = [
        [
            pair.variant,
            number(pair.difference, f"+.{DIGITS}f"),
            interval(pair.low_both, pair.high_both, DIGITS),
            probability(pair.p_both_adjusted),
            *(number(100 * part, "z.0f") for part in (pair.from_seeds, pair.from_images, 1 - pair.from_seeds - pair.from_images)),
        ]
        for pair in found.paired
    ]
    headings = ["variant", "difference", f"{level} interval, seeds and images", "p (mixed model)"]
    return make_table([*headings, "from seeds, %", "from images, %", "from both together, %"], rows)


def shown_images(study: Study, found: PerImage) -> Iterator[Thumbnail]:
    if study.thumbnails is None:
        return
    for image in found.disputed:
        said = (f"class {image.class_name}", f"{image.worst} says {image.said}")
        if found.targets == "mask":
            said = (f"{image.best} {image.best_part:.2f}", f"{image.worst} {image.worst_part:.2f}")
        yield Thumbnail(study.thumbnails(found.images, image.image), f"image {image.image:,}", said)


def _classes(study: Study, found: PerImage, empty: Section) -> Section:
    largest = sorted(found.classes, key=lambda row: -abs(row.difference) if row.difference == row.difference else 0.0)[:MOST_ROWS]
    shown = set(map(id, largest))
    rows = [
        [
            row.variant,
            row.class_name,
            f"{row.images:,}",
            number(row.reference, f".{DIGITS}f"),
            number(row.value, f".{DIGITS}f"),
            number(row.difference, f"+.{DIGITS}f"),
            interval(row.low, row.high, DIGITS),
        ]
        for row in found.classes
        if id(row) in shown
    ]
    level = f"{100 * (1 - study.compare.alpha):g} %"
    value, what = OF_CLASSES[found.targets]
    headings = ["variant", "class", "images", "reference", value, "difference", f"{level} interval, seeds"]
    notes = [
        f"{what}, mean of the seeds, with intervals over seeds on these very images that hold together for all "
        f"{len(found.classes):,} differences."
    ]
    if len(found.classes) > len(rows):
        notes.append(f"The {len(rows)} largest of {len(found.classes):,} are shown; JSON and classes.csv have all.")
    tables = [make_table(headings, rows, ["class"])]
    if found.mistakes:
        mistakes = [[mistake.true, mistake.said, f"{100 * mistake.rate:.1f} %"] for mistake in found.mistakes]
        tables.append(make_table(["class", "taken for", "part of the class"], mistakes, ["taken for"]))
        notes.append(f"The second table has the most frequent mistakes of {study.compare.reference!r}.")
    pictures = confusion_picture(study, found)
    return replace(empty, title="Classes", tables=tuple(tables), pictures=pictures, notes=tuple(notes))


def _calibration(study: Study, found: PerImage, empty: Section) -> Section:
    rows = [
        [
            row.variant,
            str(row.n),
            number(row.accuracy, f".{DIGITS}f"),
            number(row.confidence, f".{DIGITS}f"),
            number(row.confidence - row.accuracy, f"+.{DIGITS}f"),
            measured(row.error, row.error_sd, DIGITS),
        ]
        for row in found.calibration
    ]
    headings = ["variant", "n", "right", "sure", "sure − right", "calibration error"]
    note = (
        "Sure is the mean probability that a network gives to what it says: it is overconfident where that is more than the part "
        "that is right. The error is their mean distance over 15 bins of confidence (Guo et al., 2017), ± its standard deviation "
        "between seeds."
    )
    pictures = reliability_picture(study, found)
    return replace(empty, title="Calibration", tables=(make_table(headings, rows),), pictures=pictures, notes=(note,))
