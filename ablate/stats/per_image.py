"""What was said of each image: by class, by pair of variants, image by image, and how sure; of masks by class and image.

A verdict is about other seeds on the very same images. What is told of pairs here is about other images with the very same
trained networks, and says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablate.errors import EnvironmentProblem
from ablate.predictions import MaskPredictions, Predictions, read
from ablate.study import Study

from . import comparison
from .calibration import calibration
from .comparison import Array
from .crossed import crossed
from .image_records import ByClass, Disputed, Mistake, Paired, PerImage

MOST_MISTAKES = 10
MOST_IMAGES = 10
MOST_CONFUSED = 30  # classes of a matrix that records have


Told = Predictions | MaskPredictions
Cells = Mapping[str, Mapping[int, Told]]  # by variant and seed
CellsOfClasses = Mapping[str, Mapping[int, Predictions]]


def per_image(study: Study) -> PerImage | None:
    """None of a study whose cells were not evaluated on images."""
    done = study.cells[study.cells["status"] == "done"]
    if study.predictions is None or done.empty:
        return None
    found: dict[str, dict[int, Told]] = {variant.name: {} for variant in study.variants}
    without = damaged = 0
    for row in done.itertuples():
        try:
            said = read(study.predictions(str(row.key)))
        except EnvironmentProblem:
            damaged += 1
            continue
        if said is None:
            without += 1
        else:
            found[str(row.variant)][int(str(row.seed))] = said
    reference = found[study.compare.reference]
    start = len(done), without, damaged
    if not reference:
        return PerImage(*start)
    first = next(iter(reference.values()))
    names, references, by_seed = first.class_names, study.references, study.split == "by_seed"
    same = {name: own for name, own in found.items() if _same_images(own, found.get(references[name], {}), type(first))}
    beside = {name: own for name, own in same.items() if references[name] == study.compare.reference}
    matrices = {name: sum(confusion(said) for said in own.values()) for name, own in beside.items()}
    small = len(names) <= MOST_CONFUSED
    told = PerImage(
        *start,
        targets="mask" if isinstance(first, MaskPredictions) else "class",
        others=tuple(name for name, own in found.items() if own and name not in same),
        by_seed=by_seed,
        classes=_classes(study, same, references),
        mistakes=_mistakes(reference, names),
        confusion={name: tuple(tuple(map(int, row)) for row in np.asarray(m)) for name, m in matrices.items()} if small else None,
        class_names=names,
        disputed=() if by_seed else _disputed(beside, names),
        images="" if by_seed else first.images,
    )
    if told.targets == "mask":
        return told
    of_classes = {
        name: {seed: said for seed, said in own.items() if isinstance(said, Predictions)} for name, own in found.items()
    }
    return replace(
        told,
        paired=() if by_seed else _paired(study, {name: of_classes[name] for name in same}, references),
        calibration=tuple(calibration(name, own) for name, own in of_classes.items() if own),
    )


def _same_images(own: Mapping[int, Told], reference: Mapping[int, Told], form: type[Told]) -> bool:
    """Whether cells of the seeds that both have saw the same images, and said of them what is of this form."""
    seeds = own.keys() & reference.keys()
    fits = all(isinstance(said, form) for said in (*own.values(), *reference.values()))
    return (
        bool(seeds)
        and fits
        and all(
            (own[seed].images, own[seed].class_names) == (reference[seed].images, reference[seed].class_names) for seed in seeds
        )
    )


def confusion(said: Told) -> NDArray[np.int64]:
    """Images, or pixels of masks, `[K, K]` by their class (rows) and by what was said (columns)."""
    if isinstance(said, MaskPredictions):
        return said.pixels
    count = len(said.class_names)
    return np.bincount(said.labels * count + said.answers, minlength=count * count).reshape(count, count)


def rates(said: Told) -> Array:
    """How well each class is told, `[K]`; NaN where there is no image, or no pixel, of it.

    Of images it is the part of the class that is right (recall); of masks its IoU, the pixels of the class that are said to be of
    it, by those that are either, of all images together.
    """
    counts = confusion(said)
    right, own = np.diag(counts), counts.sum(axis=1)
    either = own + counts.sum(axis=0) - right if isinstance(said, MaskPredictions) else own
    found: Array = np.divide(right, either, out=np.full(len(own), np.nan), where=own > 0)
    return found


def images_of(said: Told) -> NDArray[np.int64]:
    """How many images there are of each class, `[K]`; of masks, in how many it has a pixel."""
    return said.containing if isinstance(said, MaskPredictions) else confusion(said).sum(axis=1)


def _classes(study: Study, cells: Cells, references: Mapping[str, str]) -> tuple[ByClass, ...]:
    seeds = sorted(set(study.cells["seed"]))
    tables = {name: _rates(own, seeds) for name, own in cells.items()}
    compared = [name for name in cells if name != references[name]]
    if not compared:
        return ()
    values = np.concatenate([tables[name] for name in compared])
    other = np.concatenate([tables[references[name]] for name in compared])
    e = comparison.estimate(values, other, study.compare.paired)
    ends = comparison.interval(e, comparison.interval_alpha(study.compare, int((~np.isnan(e.se)).sum())))
    low, high = (np.clip(end, -1, 1) for end in ends)
    rows = []
    for name in compared:
        first = next(iter(cells[name].values()))
        rows += [(name, *told) for told in zip(first.class_names, images_of(first), strict=True)]
    return tuple(
        ByClass(name, class_name, int(images), _mean(other[i]), _mean(values[i]), *map(float, (e.difference[i], low[i], high[i])))
        for i, (name, class_name, images) in enumerate(rows)
    )


def _rates(own: Mapping[int, Told], seeds: Sequence[int]) -> Array:
    """`[K, seeds]`; NaN where a seed is missing."""
    nothing = np.full(len(next(iter(own.values())).class_names), np.nan)
    return np.stack([rates(own[seed]) if seed in own else nothing for seed in seeds], axis=-1)


def _mean(values: Array) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else math.nan


def mcnemar(differences: Array, seeds: int) -> float:
    """Two-sided p-value of McNemar's test.

    Args:
        differences: Of each image, the seeds in which only the variant is right, minus those in which only the reference is.
        seeds: How many seeds there are: with one the test is exact, with more asymptotic, over images as clusters.
    """
    squares = float((differences**2).sum())
    if not squares:
        return 1.0
    if seeds == 1:
        return float(stats.binomtest(int((differences > 0).sum()), int(squares), 0.5).pvalue)
    return float(stats.chi2.sf(differences.sum() ** 2 / squares, 1))


def _paired(study: Study, cells: CellsOfClasses, references: Mapping[str, str]) -> tuple[Paired, ...]:
    names, told, fits = [name for name in cells if name != references[name]], [], []
    for name in names:
        own, reference = cells[name], cells[references[name]]
        seeds = sorted(own.keys() & reference.keys())
        right = np.stack([[(s[seed].answers == s[seed].labels) for seed in seeds] for s in (own, reference)]).astype(float)
        differences = (right[0] - right[1]).sum(axis=0)
        only = int((right[1] > right[0]).sum()), int((right[0] > right[1]).sum())
        fits.append(crossed(right[0], right[1], study.compare.paired))
        told.append((len(seeds), only, mcnemar(differences, len(seeds))))
    alpha = comparison.interval_alpha(study.compare, len(names))
    z = float(stats.norm.isf(alpha / 2))
    p_adjusted = comparison.adjusted([p for *_, p in told], study.compare.correction)
    p_both = comparison.adjusted([fit.p for fit in fits], study.compare.correction)
    made = []
    for name, (count, only, p), fit, adjusted, both in zip(names, told, fits, p_adjusted, p_both, strict=True):
        half = z * math.sqrt(fit.images)
        of_images = (fit.difference, fit.difference - half, fit.difference + half, p, float(adjusted))
        made.append(Paired(name, count, *only, *of_images, *fit.interval(alpha), fit.p, float(both), *fit.parts[:2]))
    return tuple(made)


def _mistakes(reference: Mapping[int, Told], names: Sequence[str]) -> tuple[Mistake, ...]:
    counts = np.stack([confusion(said) for said in reference.values()]).astype(float)
    with np.errstate(invalid="ignore"):
        rates = np.nan_to_num(counts / counts.sum(axis=2, keepdims=True)).mean(axis=0)
    np.fill_diagonal(rates, 0)
    largest = np.argsort(-rates, axis=None, kind="stable")[:MOST_MISTAKES]
    places = [divmod(int(place), len(names)) for place in largest]
    return tuple(Mistake(names[i], names[j], float(rates[i, j])) for i, j in places if rates[i, j] > 0)


def _disputed(cells: Cells, names: Sequence[str]) -> tuple[Disputed, ...]:
    """The images that two variants tell most differently well, mean of their seeds; the first ones of equal ones."""
    variants = list(cells)
    parts = np.stack([np.mean([_well(said) for said in own.values()], axis=0) for own in cells.values()])
    spread = np.ptp(parts, axis=0)  # NaN where nothing of an image counts, which is sorted to the end
    made = []
    for image in np.argsort(-spread, kind="stable")[:MOST_IMAGES]:
        if not spread[image] > 0:
            break
        best, worst = int(parts[:, image].argmax()), int(parts[:, image].argmin())
        class_name, said = _said(list(cells[variants[worst]].values()), image, names)
        ends = (variants[best], float(parts[best, image]), variants[worst], float(parts[worst, image]))
        made.append(Disputed(int(image), class_name, *ends, said))
    return tuple(made)


def _well(said: Told) -> Array:
    """How well each image is told: whether it is right; of masks its IoU."""
    return said.overlaps if isinstance(said, MaskPredictions) else (said.answers == said.labels).astype(float)


def _said(cells: Sequence[Told], image: int, names: Sequence[str]) -> tuple[str, str]:
    """The class of an image, and what most of these cells say that do not get it right; nothing of masks, which have several."""
    told = [said for said in cells if isinstance(said, Predictions)]
    if not told:
        return "", ""
    label, answers = told[0].labels[image], np.array([said.answers[image] for said in told])
    return names[label], names[int(np.bincount(answers[answers != label], minlength=len(names)).argmax())]
