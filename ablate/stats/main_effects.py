"""The gain of a screening study, divided by its main effects: from far fewer variants than orders of adding lead through."""

import math

import numpy as np

from ablate.names import levels_as_name
from ablate.study import Study

from .factor_records import Attribution, Share
from .factorial import Fit, fitted
from .orthogonal import aliases_of, model_of

Interval = tuple[float, float, float]  # a value, and the ends of its interval


def by_main_effects(study: Study) -> Attribution | None:
    """Divides the gain between two ends by what each factor changes on average; None where the variants cannot tell that.

    Written with levels -1 and 1, any result of k switches is a sum of main effects and interactions. The Shapley value of a
    factor is its main effect, and a third of each interaction of three factors, a fifth of each of five … that it is in, each as
    what it adds to the difference of the ends: those of an even number are the same at both ends. So where no three factors
    interact, main effects are Shapley values, however much two do.

    Every factor needs two levels, and every main effect has to be free of interactions of two factors (resolution 4). The ends
    themselves need not be among the variants.
    """
    model = model_of(study) if all(len(factor.others) == 1 for factor in study.factors) else None
    if model is None:
        return None
    mains = [effect for effect in model.effects if len(effect.factors) == 1]
    aliases = aliases_of(model)
    if any(aliases.get(effect.names[0]) for effect in mains):
        return None
    fit, sign = fitted(model), -1 if (study.design or {}).get("base") == "full" else 1
    contrasts = np.zeros((len(mains), len(fit.coefficients)))
    for row, effect, place in zip(contrasts, model.effects, model.places(), strict=False):
        row[place] = sign * effect.scale[0]
    gain, low, high = _interval(fit, contrasts.sum(axis=0), study.compare.alpha)
    shares = []
    for effect, contrast in zip(mains, contrasts, strict=True):
        value = _interval(fit, contrast, study.compare.alpha)
        shares.append(Share(effect.factors[0], *value, 100 * value[0] / gain if low > 0 or high < 0 else math.nan))
    plain, full = [_end(study, changed) for changed in (False, True)][::sign]
    return Attribution("main effects", plain, full, gain, low, high, tuple(shares), 0, fit.judged_by)


def _end(study: Study, changed: bool) -> str:
    """The variant with every factor at its base, or at its other level; its levels where it was not run."""
    levels = {factor.name: factor.others[0] if changed else factor.base for factor in study.factors}
    return next((variant.name for variant in study.variants if variant.levels == levels), levels_as_name(levels))


def _interval(fit: Fit, contrast: np.ndarray, alpha: float) -> Interval:
    """A sum of coefficients with its interval at level 1 - alpha; NaN where there is no noise to judge it by.

    The errors of orthogonal contrasts are independent: that of a sum of k is √k times that of one.
    """
    value = float(contrast @ fit.coefficients)
    if not fit.judged:
        return value, math.nan, math.nan
    spread = float(np.sqrt(((np.linalg.pinv(fit.model.matrix()).T @ contrast) ** 2).sum())) * fit.sd
    half = fit.critical(alpha) * spread
    return value, value - half, value + half
