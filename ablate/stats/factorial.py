"""Main effects and two-way interactions of a full or fractional factorial study, and what it cannot tell apart.

The model is linear in effect-coded columns: 1 at a level, -1 at the base level, 0 elsewhere (Montgomery, Design and Analysis of
Experiments, 8th ed., chapters 5 to 8).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, stats

from ablate.records import Factor
from ablate.study import Study

from .comparison import FLAT, Array, adjusted
from .records import AnovaRow, Factorial, Term
from .summary import values

Aliases = Mapping[str, Mapping[str, float]]  # of a term, the part of each alias that its estimate contains

ROUNDING = 1e-9  # products of columns that are smaller are zero
SEED = "seed"  # the source of variance that blocks are
SHAPIRO_MOST = 5000  # values up to which its p-value is known (Royston, 1995)


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


def factorial(study: Study) -> Factorial | None:
    """Analyses the variants that have levels; None where they are no orthogonal array of at least two factors.

    In an orthogonal array any two factors have all pairs of their levels equally often: a full factorial, a fraction of one, or a
    Plackett-Burman design. All main effects are in the model, and those interactions that are orthogonal to what is there before
    them. The others are aliases of the terms that they bias (Box and Wilson, 1951, doi:10.1111/j.2517-6161.1951.tb00067.x).

    Cells that failed cost precision, and whole variants may cost interactions; None where they cost a main effect. Where seeds
    pair, they are blocks. Intervals, tests and checks are NaN where the terms leave nothing to judge the noise by.
    """
    model = _model(study)
    if model is None:
        return None
    from statsmodels.api import OLS  # half a second, which studies without a factorial do without

    fit = OLS(model.y, model.matrix()).fit()
    sd = float(np.sqrt(fit.ssr / fit.df_resid)) if fit.df_resid > 0 else float("nan")
    judged = sd > FLAT * np.abs(model.y).max()
    aliases = _aliases(model)
    return Factorial(
        terms=tuple(_terms(study, model, fit, judged, aliases)),
        anova=tuple(_anova(model, fit, judged)),
        residual_sd=sd,
        normality_p=float(stats.shapiro(fit.resid).pvalue) if judged and 3 <= len(model.y) <= SHAPIRO_MOST else float("nan"),
        equal_variance_p=_equal_variance(model),
        note=_note(model, judged, aliases),
    )


def _model(study: Study) -> Model | None:
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


def _aliases(model: Model) -> Aliases:
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


def _terms(study: Study, model: Model, fit: Any, judged: bool, aliases: Aliases) -> Iterator[Term]:
    contrasts = np.zeros((sum(len(effect.names) for effect in model.effects), len(fit.params)))
    first = 0
    for effect, place in zip(model.effects, model.places(), strict=True):
        contrasts[first : first + len(effect.names), place] = effect.scale
        first += len(effect.names)
    estimates = contrasts @ fit.params
    low = high = p = np.full(len(estimates), np.nan)
    if judged:
        test = fit.t_test(contrasts)
        low, high = test.conf_int(study.compare.alpha).T
        p = test.pvalue
    p_adjusted = adjusted(p, study.compare.correction)
    for i, name in enumerate(name for effect in model.effects for name in effect.names):
        yield Term(
            name=name,
            estimate=float(estimates[i]),
            low=float(low[i]),
            high=float(high[i]),
            p=float(p[i]),
            p_adjusted=float(p_adjusted[i]),
            aliases=tuple(aliases.get(name, ())),
        )


def _anova(model: Model, fit: Any, judged: bool) -> Iterator[AnovaRow]:
    """Type II sums of squares: what an effect adds to all others but those that contain it.

    They are those of a regression on the triangular factor of the model's matrix, which is small. (statsmodels has the table for
    models that are written as formulas only.)
    """
    q, r = np.linalg.qr(model.matrix())
    projected = q.T @ model.y
    sources = [(effect.factors, place) for effect, place in zip(model.effects, model.places(), strict=True)]
    if model.blocks.shape[1] > 1:
        sources.append(((SEED,), slice(1, model.blocks.shape[1])))
    for factors, place in sources:
        columns = np.ones(r.shape[1], bool)
        for others, other in sources:
            columns[other] = not set(factors) <= set(others)
        without = _residual_squares(r[:, columns], projected)
        columns[place] = True
        squares = without - _residual_squares(r[:, columns], projected)
        df = float(place.stop - place.start)
        f = squares / df / float(fit.mse_resid) if judged else float("nan")
        p = float(stats.f.sf(f, df, fit.df_resid))
        yield AnovaRow(" × ".join(factors), df, squares, f, p, squares / (squares + float(fit.ssr)) if judged else float("nan"))
    yield AnovaRow("residual", float(fit.df_resid), float(fit.ssr), *[float("nan")] * 3)


def _residual_squares(columns: Array, y: Array) -> float:
    return float(np.sum((y - columns @ np.linalg.lstsq(columns, y)[0]) ** 2))


def _equal_variance(model: Model) -> float:
    """Brown-Forsythe; of variants with three values or more, since two are always equally far from their median."""
    groups = [group for _, group in pd.Series(model.y).groupby(model.rows) if len(group) > 2]
    if len(groups) < 2:
        return float("nan")
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(stats.levene(*groups, center="median").pvalue)


def _note(model: Model, judged: bool, aliases: Aliases) -> str:
    mains = {name for effect in model.effects if len(effect.factors) == 1 for name in effect.names}
    parts = {abs(part) > 1 - ROUNDING for name in mains for part in aliases.get(name, {}).values()}
    said = []
    if True in parts:
        said.append("The design cannot tell main effects from their aliases: an estimate is of their sum, up to signs.")
    if False in parts:
        said.append("Estimates of main effects contain parts of their aliases.")
    if any(found for name, found in aliases.items() if name not in mains):
        said.append("Some interactions cannot be told from each other: an estimate is that of its term and its aliases together.")
    if not judged:
        said.append("The terms leave nothing to judge the noise by, so there are no intervals and no tests: run more seeds.")
    elif len(np.unique(model.rows)) == len(model.rows):
        said.append("Each variant has one value: what interactions of more factors leave is taken for noise.")
    if model.blocks.shape[1] > 1:
        said.append("Seeds pair: what a seed gives to all variants is taken off.")
    return " ".join(said)
