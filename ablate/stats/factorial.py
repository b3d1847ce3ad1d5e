"""Main effects and two-way interactions of a full or fractional factorial study, and what they leave unexplained."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from ablate.study import Study

from . import comparison
from .comparison import FLAT, Array, adjusted
from .factor_records import AnovaRow, Factorial, JudgedBy, Term
from .lenth import PseudoError, lacking, pseudo_error
from .orthogonal import ROUNDING, Aliases, Model, aliases_of, model_of

NOTHING = float("nan")
SEED = "seed"  # the source of variance that blocks are
LACK_OF_FIT, PURE_ERROR, RESIDUAL = "lack of fit", "pure error", "residual"
CHECKED = 4  # values of a variant from which its spread can be judged: at 3, a test finds one of 10 : 1 in 0.6 %
SHAPIRO_MOST = 5000  # values up to which its p-value is known (Royston, 1995)
CONTRASTS = (
    "Each variant has one value, and the terms leave nothing. So intervals and p-values are from the contrasts of the design "
    "(Lenth 1989), not from seeds: the small contrasts are taken for noise, which is right where few effects are large (effect "
    "sparsity). They cover the noise with all effects that are as small; no level is found equivalent by them."
)
TOGETHER = {"better": "better together", "worse": "worse together"}  # verdicts on interactions


@dataclass(frozen=True)
class Fit:
    """A model that was fitted by least squares, and what its terms are judged by.

    Attributes:
        model: What was fitted.
        coefficients: One a column.
        left: Sum of squares that the terms leave, and its degrees of freedom.
        noise: Sum of squares that the terms are judged by, and its degrees of freedom: what the seeds of the variants differ by
            (pure error; Montgomery, 8th ed., 11.2), or, where no variant has two values, what the terms leave.
        residuals: What belongs to `noise`, one a cell.
        pseudo: What the terms are judged by in place of `noise`, where no variant has two values and the terms leave nothing.
    """

    model: Model
    coefficients: Array
    left: tuple[float, int]
    noise: tuple[float, int]
    residuals: Array
    pseudo: PseudoError | None = None

    @cached_property
    def sd(self) -> float:
        """Standard deviation of one value, as it makes the errors of the terms."""
        if self.pseudo is not None:
            return self.pseudo.size * float(np.sqrt(len(self.model.y))) / 2
        squares, df = self.noise
        return float(np.sqrt(squares / df)) if df > 0 else NOTHING

    @cached_property
    def judged(self) -> bool:
        """Whether there is noise, so that there are intervals and tests."""
        return self.sd > FLAT * float(np.abs(self.model.y).max())

    @cached_property
    def replicated(self) -> bool:
        """Whether the noise is that of the seeds."""
        return len(np.unique(self.model.rows)) < len(self.model.rows)

    @property
    def judged_by(self) -> JudgedBy:
        return "contrasts" if self.pseudo is not None else "seeds" if self.replicated else "residual"

    def p(self, ratio: Array) -> Array:
        """Two-sided p-values of estimates, each in standard errors."""
        return 2 * stats.t.sf(np.abs(ratio), self.noise[1]) if self.pseudo is None else self.pseudo.p(ratio)

    def critical(self, alpha: float) -> float:
        """How many standard errors an interval at level 1 - alpha has on each side."""
        return float(stats.t.isf(alpha / 2, self.noise[1])) if self.pseudo is None else self.pseudo.critical(alpha)

    def row(self, source: str, squares: float, df: int) -> AnovaRow:
        """A source of variance against the noise."""
        if not self.judged or self.pseudo is not None:
            return AnovaRow(source, float(df), float(squares), NOTHING, NOTHING, NOTHING)
        f, part = squares / df / self.sd**2, squares / (squares + self.noise[0])
        return AnovaRow(source, float(df), float(squares), float(f), float(stats.f.sf(f, df, self.noise[1])), float(part))


def factorial(study: Study) -> Factorial | None:
    """Analyses the variants that have levels; None where they are no orthogonal array of at least two factors.

    In an orthogonal array any two factors have all pairs of their levels equally often: a full factorial, a fraction of one, or a
    Plackett-Burman design. All main effects are in the model, and those interactions that are orthogonal to what is there before
    them. The others are aliases of the terms that they bias (Box and Wilson, 1951, doi:10.1111/j.2517-6161.1951.tb00067.x).

    The noise is what the seeds of a variant differ by. What variants differ by beyond the terms, such as interactions of three
    factors, is no noise, and is tested as lack of fit. With one seed nothing tells them apart: the noise is what the terms leave,
    or where they leave nothing, what small contrasts of a two-level design say (Lenth, 1989).

    Cells that failed cost precision, and whole variants may cost interactions; None where they cost a main effect. Where seeds
    pair, they are blocks. Intervals, tests and checks are NaN where nothing is left to judge the noise by.
    """
    model = model_of(study)
    if model is None:
        return None
    fit = fitted(model)
    aliases = aliases_of(model)
    return Factorial(
        terms=tuple(_terms(study, fit, aliases)),
        anova=tuple(_anova(fit)),
        residual_sd=fit.sd if fit.judged and not fit.pseudo else NOTHING,
        normality_p=_normality(fit),
        equal_variance_p=_equal_variance(model),
        note=_note(fit, aliases),
        judged_by=fit.judged_by,
        lenth=None if fit.pseudo is None else fit.pseudo.record(study.compare.alpha),
    )


def fitted(model: Model) -> Fit:
    """The model by least squares, with the noise that it is judged by."""
    coefficients, residuals, df = _least_squares(model.matrix(), model.y)
    variants = np.eye(int(model.rows.max()) + 1)[model.rows]
    _, within, within_df = _least_squares(np.hstack([model.blocks, variants]), model.y)
    left = (float(residuals @ residuals), df)
    if len(np.unique(model.rows)) == len(model.rows):
        return Fit(model, coefficients, left, left, residuals, None if df > 0 else pseudo_error(model))
    return Fit(model, coefficients, left, (float(within @ within), within_df), within)


def _least_squares(matrix: Array, y: Array) -> tuple[Array, Array, int]:
    """Coefficients, residuals, and their degrees of freedom; without any, residuals are 0 and no rounding of it."""
    coefficients, _, rank, _ = np.linalg.lstsq(matrix, y)
    df = len(y) - int(rank)
    return np.asarray(coefficients), (y - matrix @ coefficients) * (df > 0), df


def _terms(study: Study, fit: Fit, aliases: Aliases) -> Iterator[Term]:
    effects, compare = fit.model.effects, study.compare
    names = [name for effect in effects for name in effect.names]
    contrasts = np.zeros((len(names), len(fit.coefficients)))
    first = 0
    for effect, place in zip(effects, fit.model.places(), strict=True):
        contrasts[first : first + len(effect.names), place] = effect.scale
        first += len(effect.names)
    estimates = contrasts @ fit.coefficients
    spread = np.sqrt(((np.linalg.pinv(fit.model.matrix()).T @ contrasts.T) ** 2).sum(axis=0))
    errors = spread * fit.sd if fit.judged else np.full(len(names), NOTHING)
    half = fit.critical(compare.alpha) * errors
    p = fit.p(estimates / errors)
    p_adjusted = adjusted(p, compare.correction)
    verdicts = comparison.verdicts(p_adjusted, _equivalence(study, fit, estimates, errors), np.sign(estimates), compare)
    interactions = [len(effect.factors) > 1 for effect in effects for _ in effect.names]
    for i, name in enumerate(names):
        yield Term(
            name=name,
            estimate=float(estimates[i]),
            low=float(estimates[i] - half[i]),
            high=float(estimates[i] + half[i]),
            p=float(p[i]),
            p_adjusted=float(p_adjusted[i]),
            aliases=tuple(aliases.get(name, ())),
            verdict=TOGETHER.get(verdicts[i], verdicts[i]) if interactions[i] else verdicts[i],
        )


def _equivalence(study: Study, fit: Fit, estimates: Array, errors: Array) -> Array:
    """Corrected p-values of TOST against the margin; NaN without one, and where small effects are taken for noise."""
    margin = study.compare.margin
    if margin is None or fit.pseudo is not None:
        return np.full(len(estimates), NOTHING)
    return adjusted(stats.t.sf((margin - np.abs(estimates)) / errors, fit.noise[1]), study.compare.correction)


def _anova(fit: Fit) -> Iterator[AnovaRow]:
    """Type II sums of squares: what an effect adds to all others but those that contain it.

    They are those of a regression on the triangular factor of the model's matrix, which is small. (statsmodels has the table for
    models that are written as formulas only.)
    """
    model = fit.model
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
        yield fit.row(" × ".join(factors), without - _residual_squares(r[:, columns], projected), int(place.stop - place.start))
    (left, left_df), (noise, noise_df) = fit.left, fit.noise
    if left_df > noise_df:
        yield fit.row(LACK_OF_FIT, max(0.0, left - noise), left_df - noise_df)
    yield AnovaRow(PURE_ERROR if fit.replicated else RESIDUAL, float(noise_df), noise, NOTHING, NOTHING, NOTHING)


def _residual_squares(columns: Array, y: Array) -> float:
    residuals = _least_squares(columns, y)[1]
    return float(residuals @ residuals)


def _normality(fit: Fit) -> float:
    """Shapiro-Wilk; residuals that are not free, as of two seeds that are equally far from their mean, tell nothing."""
    free = fit.judged and fit.noise[1] > len(fit.residuals) / 2
    return float(stats.shapiro(fit.residuals).pvalue) if free and len(fit.residuals) <= SHAPIRO_MOST else NOTHING


def _equal_variance(model: Model) -> float:
    """Brown-Forsythe, of the variants that have values enough."""
    groups = [group for _, group in pd.Series(model.y).groupby(model.rows) if len(group) >= CHECKED]
    if len(groups) < 2:
        return NOTHING
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(stats.levene(*groups, center="median").pvalue)


def _note(fit: Fit, aliases: Aliases) -> str:
    model = fit.model
    mains = {name for effect in model.effects if len(effect.factors) == 1 for name in effect.names}
    parts = {abs(part) > 1 - ROUNDING for name in mains for part in aliases.get(name, {}).values()}
    said = []
    if True in parts:
        said.append("The design cannot tell main effects from their aliases: an estimate is of their sum, up to signs.")
    if False in parts:
        said.append("Estimates of main effects contain parts of their aliases.")
    if any(found for name, found in aliases.items() if name not in mains):
        said.append("Some interactions cannot be told from each other: an estimate is that of its term and its aliases together.")
    if not fit.judged and fit.replicated:
        said.append("The seeds of each variant agree, so there is no noise to judge by, no interval and no test: run more seeds.")
    elif not fit.judged:
        told = "The terms leave nothing to judge the noise by, so there are no intervals and no tests: run more seeds."
        needs = "".join(f" To judge it by the contrasts of the design (Lenth 1989) takes {what}." for what in lacking(model))
        said.append(told + needs)
    elif fit.pseudo is not None:
        said.append(CONTRASTS)
    elif not fit.replicated:
        said.append("Each variant has one value: what interactions of more factors leave is taken for noise.")
    if model.blocks.shape[1] > 1:
        said.append("Seeds pair: what a seed gives to all variants is taken off.")
    return " ".join(said)
