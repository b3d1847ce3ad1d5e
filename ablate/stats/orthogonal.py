"""The linear model of a full or fractional factorial study: its columns, and which effects they cannot tell apart.

Columns are effect-coded: 1 at a level, -1 at the base level, 0 elsewhere (Montgomery, Design and Analysis of Experiments, 8th
ed., chapters 5 to 8).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from ablate.contracts import Factor
from ablate.study import Study

from .comparison import Array
from .summary import values

Aliases = Mapping[str, Mapping[str, float]]  # of a term, the part of each alias that its estimate contains

ROUNDING = 1e-9  # products of columns that are smaller are zero


@dataclass(frozen=True)
class Effect:
    """A main effect or an interaction.

    Attributes:
        factors: Names of its factors: one, or two of an interaction.
        names: Of its contrasts.
        columns: One a contrast, `[variants, contrasts]`.
        scale: Times the coefficients of the columns it gives the estimates, `[contrasts, contrasts]`.
    """

    factors: tuple[str, ...]
    names: tuple[str, ...]
    columns: Array
    scale: Array


@dataclass(frozen=True)
class Model:
    """What is fitted.

    Attributes:
        effects: Main effects, then interactions.
        omitted: Interactions that are not in it.
        blocks: The mean and, where seeds pair, what a seed gives to all variants, `[cells, 1 or seeds]`.
        rows: The variant of each cell.
        y: The value of each cell.
    """

    effects: tuple[Effect, ...]
    omitted: tuple[Effect, ...]
    blocks: Array
    rows: NDArray[np.intp]
    y: Array

    def matrix(self) -> Array:
        return np.hstack([self.blocks, *(effect.columns[self.rows] for effect in self.effects)])

    def places(self) -> list[slice]:
        """Where the columns of each effect stand in the matrix."""
        ends = np.cumsum([self.blocks.shape[1], *(len(effect.names) for effect in self.effects)])
        return [slice(first, last) for first, last in pairwise(ends)]


def model_of(study: Study) -> Model | None:
    """What can be fitted to the variants that have levels; None where they are no orthogonal array of at least two factors."""
    design = [variant for variant in study.variants if variant.levels]
    levels = [_coded(factor, [variant.levels.get(factor.name, "") for variant in design]) for factor in study.factors]
    pairs = combinations(zip(study.factors, levels, strict=True), 2)
    if len(levels) < 2 or not all(_balanced(a, b, 1 + len(f.others), 1 + len(g.others)) for (f, a), (g, b) in pairs):
        return None
    cells = values(study)
    cells = cells[np.isfinite(cells["value"].astype(float)) & cells["variant"].isin([variant.name for variant in design])]
    place = {variant.name: row for row, variant in enumerate(design)}
    rows = np.array([place[name] for name in cells["variant"]], dtype=np.intp)
    mains = [_main(factor, level) for factor, level in zip(study.factors, levels, strict=True)]
    blocks = np.ones((len(rows), 1))
    if study.compare.paired:
        blocks = np.hstack([blocks, _sum_coded(pd.factorize(cells["seed"])[0])])
    effects = _estimable(mains, [_interaction(a, b) for a, b in combinations(mains, 2)], blocks, rows)
    return effects and Model(*effects, blocks, rows, cells["value"].to_numpy(float))


def _coded(factor: Factor, levels: Sequence[str]) -> NDArray[np.intp]:
    """Levels by their place: 0 is the base; -1 is none of the factor's."""
    place = {level: number for number, level in enumerate([factor.base, *factor.others])}
    return np.array([place.get(level, -1) for level in levels], dtype=np.intp)


def _balanced(a: NDArray[np.intp], b: NDArray[np.intp], size_a: int, size_b: int) -> bool:
    """Whether two factors have all pairs of their levels equally often."""
    if not len(a) or min(a.min(), b.min()) < 0:
        return False
    counts = np.bincount(a * size_b + b, minlength=size_a * size_b)
    return bool(counts.min() == counts.max())


def _sum_coded(levels: NDArray[np.intp]) -> Array:
    """A column a level but the first: 1 there, -1 at the first, 0 elsewhere, `[..., levels - 1]`."""
    size = int(levels.max(initial=0)) + 1
    return np.asarray(np.vstack([-np.ones(size - 1), np.eye(size - 1)])[levels])


def _main(factor: Factor, levels: NDArray[np.intp]) -> Effect:
    columns = _sum_coded(levels)
    size = columns.shape[1]
    return Effect(
        (factor.name,), tuple(f"{factor.name}={level}" for level in factor.others), columns, np.eye(size) + np.ones((size, size))
    )


def _interaction(a: Effect, b: Effect) -> Effect:
    names = tuple(f"{one} × {other}" for one in a.names for other in b.names)
    columns = np.einsum("vi,vj->vij", a.columns, b.columns).reshape(len(a.columns), -1)
    return Effect(a.factors + b.factors, names, columns, np.kron(a.scale, b.scale) / 2)


def _estimable(
    mains: Sequence[Effect], pairs: Iterable[Effect], blocks: Array, rows: NDArray[np.intp]
) -> tuple[tuple[Effect, ...], tuple[Effect, ...]] | None:
    """The effects of the model, and the interactions that stay out of it; None where the cells do not tell all main effects."""
    kept: list[Effect] = []
    omitted: list[Effect] = []
    basis = linalg.orth(blocks)
    for effect in (*mains, *pairs):
        apart = len(effect.factors) == 1 or all(np.abs(other.columns.T @ effect.columns).max() < ROUNDING for other in kept)
        columns = effect.columns[rows]
        columns = columns - basis @ (basis.T @ columns)
        if apart and len(rows) and np.linalg.matrix_rank(columns, tol=ROUNDING * len(rows)) == columns.shape[1]:
            kept.append(effect)
            basis = np.hstack([basis, linalg.orth(columns)])
        elif len(effect.factors) == 1:
            return None
        else:
            omitted.append(effect)
    return tuple(kept), tuple(omitted)


def aliases_of(model: Model) -> Aliases:
    """For each contrast of the model, the omitted ones by name, each with the part of it that the estimate contains."""
    if not model.omitted:
        return {}
    omitted = np.hstack([effect.columns[model.rows] for effect in model.omitted])
    names = [name for effect in model.omitted for name in effect.names]
    bias = np.linalg.lstsq(model.matrix(), omitted)[0] @ np.linalg.inv(linalg.block_diag(*(e.scale for e in model.omitted)))
    found = {}
    for effect, place in zip(model.effects, model.places(), strict=True):
        for contrast, parts in zip(effect.names, effect.scale @ bias[place], strict=True):
            found[contrast] = {name: float(part) for name, part in zip(names, parts, strict=True) if abs(part) > ROUNDING}
    return found
