"""What was said of each image: by class, by pair of variants, image by image, and how sure.

A verdict is about other seeds on the very same images. What is told of pairs here is about other images with the very same
trained networks, and says so.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablate.errors import EnvironmentProblem
from ablate.predictions import Predictions, read
from ablate.study import Study

from . import comparison
from .calibration import calibration
from .comparison import Array
from .crossed import crossed
from .image_records import ByClass, Disputed, Mistake, Paired, PerImage

MOST_MISTAKES = 10
MOST_IMAGES = 10
MOST_CONFUSED = 30  # classes of a matrix that records have


Cells = dict[str, dict[int, Predictions]]  # by variant and seed


def per_image(study: Study) -> PerImage | None:
    """None of a study whose cells were not evaluated on images."""
    done = study.cells[study.cells["status"] == "done"]
    if study.predictions is None or done.empty:
        return None
    found: Cells = {variant.name: {} for variant in study.variants}
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
    names = next(iter(reference.values())).class_names
    references = study.references
    others = tuple(name for name, own in found.items() if own and not _same_images(own, found.get(references[name], {})))
    same = {name: own for name, own in found.items() if own and name not in others}
    beside = {name: own for name, own in same.items() if references[name] == study.compare.reference}
    by_seed = study.split == "by_seed"
    matrices = {name: sum(confusion(said) for said in own.values()) for name, own in beside.items()}
    small = len(names) <= MOST_CONFUSED
    return PerImage(
        *start,
        others,
        by_seed,
        _classes(study, same, references),
        () if by_seed else _paired(study, same, references),
        tuple(calibration(name, own) for name, own in found.items() if own),
        _mistakes(reference, names),
        {name: tuple(tuple(map(int, row)) for row in np.asarray(matrix)) for name, matrix in matrices.items()} if small else None,
        names,
        () if by_seed else _disputed(beside, names),
        "" if by_seed else next(iter(reference.values())).images,
    )


def _same_images(own: Mapping[int, Predictions], reference: Mapping[int, Predictions]) -> bool:
    """Whether cells of the seeds that both have saw the same images."""
    seeds = own.keys() & reference.keys()
    return bool(seeds) and all(
        (own[seed].images, own[seed].class_names) == (reference[seed].images, reference[seed].class_names) for seed in seeds
    )


def confusion(said: Predictions) -> NDArray[np.int64]:
    """Images `[K, K]` by their class (rows) and by what was said (columns)."""
    count = len(said.class_names)
    return np.bincount(said.labels * count + said.answers, minlength=count * count).reshape(count, count)


def recall(said: Predictions) -> Array:
    """Part of each class that is right, `[K]`; NaN where there is no image of it."""
    counts = confusion(said)
    with np.errstate(invalid="ignore"):
        found: Array = np.diag(counts) / counts.sum(axis=1)
    return found


def _classes(study: Study, cells: Cells, references: Mapping[str, str]) -> tuple[ByClass, ...]:
    seeds = sorted(set(study.cells["seed"]))
    tables = {name: _recalls(own, seeds) for name, own in cells.items()}
    compared = [name for name in cells if name != references[name]]
    if not compared:
        return ()
    values = np.concatenate([tables[name] for name in compared])
    other = np.concatenate([tables[references[name]] for name in compared])
    e = comparison.estimate(values, other, study.compare.paired)
    low, high = comparison.interval(e, comparison.interval_alpha(study.compare, int((~np.isnan(e.se)).sum())))
    rows = []
    for name in compared:
        first = next(iter(cells[name].values()))
        rows += [(name, *told) for told in zip(first.class_names, confusion(first).sum(axis=1), strict=True)]
    return tuple(
        ByClass(name, class_name, int(images), _mean(other[i]), _mean(values[i]), *map(float, (e.difference[i], low[i], high[i])))
        for i, (name, class_name, images) in enumerate(rows)
    )


def _recalls(own: Mapping[int, Predictions], seeds: Sequence[int]) -> Array:
    """`[K, seeds]`; NaN where a seed is missing."""
    nothing = np.full(len(next(iter(own.values())).class_names), np.nan)
    return np.stack([recall(own[seed]) if seed in own else nothing for seed in seeds], axis=-1)


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


def _paired(study: Study, cells: Cells, references: Mapping[str, str]) -> tuple[Paired, ...]:
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


def _mistakes(reference: Mapping[int, Predictions], names: Sequence[str]) -> tuple[Mistake, ...]:
    counts = np.stack([confusion(said) for said in reference.values()]).astype(float)
    with np.errstate(invalid="ignore"):
        rates = np.nan_to_num(counts / counts.sum(axis=2, keepdims=True)).mean(axis=0)
    np.fill_diagonal(rates, 0)
    largest = np.argsort(-rates, axis=None, kind="stable")[:MOST_MISTAKES]
    places = [divmod(int(place), len(names)) for place in largest]
    return tuple(Mistake(names[i], names[j], float(rates[i, j])) for i, j in places if rates[i, j] > 0)


def _disputed(cells: Cells, names: Sequence[str]) -> tuple[Disputed, ...]:
    """The images whose part of seeds that are right differs most between two variants; the first ones of equal ones."""
    labels = next(iter(next(iter(cells.values())).values())).labels
    variants = list(cells)
    parts = np.stack([np.mean([said.answers == labels for said in own.values()], axis=0) for own in cells.values()])
    spread = np.ptp(parts, axis=0)
    made = []
    for image in np.argsort(-spread, kind="stable")[:MOST_IMAGES]:
        if not spread[image]:
            break
        best, worst = int(parts[:, image].argmax()), int(parts[:, image].argmin())
        said = np.array([told.answers[image] for told in cells[variants[worst]].values()])
        wrong = np.bincount(said[said != labels[image]], minlength=len(names))
        made.append(
            Disputed(
                int(image),
                names[labels[image]],
                variants[best],
                float(parts[best, image]),
                variants[worst],
                float(parts[worst, image]),
                names[int(wrong.argmax())],
            )
        )
    return tuple(made)
