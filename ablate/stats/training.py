"""What went wrong in trainings that have a value all the same, in a line with its numbers and the variants that it is true of."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablate.study import Study

LOST = 0.2  # of what a curve has gained, from which a last epoch is far below the best
STEPS = 3.0  # times the noise of the curve, above which a loss is none
Curve = NDArray[np.float64]
_NOTHING: Curve = np.empty(0)
STILL = 0.01  # of the first epoch's loss: one that has fallen by less stays at its start value


def notes(study: Study) -> tuple[str, ...]:
    """Variants whose answers are guesses, whose step ended trainings, whose last epoch is far below their best, and whose loss
    does not fall; executors that trained nothing by ablate's own generator; cells of other versions."""
    found: dict[str, list[str]] = {}
    epochs = dict(list(study.epochs.groupby("variant")))
    values, losses = (_mean_curves(study.epochs, column) for column in (study.compare.metric, "train_loss"))
    for variant in (variant for variant in study.variants if variant.name in epochs):
        curves = values.get(variant.name, _NOTHING), losses.get(variant.name, _NOTHING)
        for note in _notes(study, epochs[variant.name], *curves):
            found.setdefault(note, []).append(variant.name)
    own = dict.fromkeys(f"{made['executor']}: results are {made['results']}." for made in study.provenance if "results" in made)
    return *own, *study.reused, *(f"{', '.join(names)}: {note}." for note, names in found.items())


def _notes(study: Study, epochs: pd.DataFrame, values: Curve, losses: Curve) -> Iterator[str]:
    metric = study.compare.metric
    yield from _at_chance(epochs)
    yield from (stopped := list(_stopped(epochs)))
    if study.compare.at == "last" and metric in epochs and not _selects(epochs) and not stopped:
        yield from _past_its_best(metric, values, 1 if study.compare.goal == "maximize" else -1)
    if study.imported is None:
        yield from _loss(losses)


def _selects(epochs: pd.DataFrame) -> bool:
    return "selected" in epochs and bool(epochs["selected"].eq(True).any())


def _at_chance(epochs: pd.DataFrame) -> Iterator[str]:
    """Of the last epoch of each seed."""
    if "at_chance" not in epochs:
        return
    last = epochs.loc[epochs.groupby("seed")["epoch"].idxmax()]
    guessing = last[last["at_chance"].notna()]
    if len(guessing):
        seeds = f"{len(guessing)} of {len(last)} seeds" if len(last) > 1 else "its seed"
        yield f"no better than guesses at the last epoch of {seeds} ({guessing['at_chance'].iloc[0]})"


def _stopped(epochs: pd.DataFrame) -> Iterator[str]:
    """How long the trainings were that their step ended."""
    if "stopped" not in epochs or not (ended := epochs[epochs["stopped"].notna()])["epoch"].size:
        return
    first, last, all_of_them = ended["epoch"].min(), ended["epoch"].max(), epochs["seed"].nunique()
    span = f"{first}" if first == last else f"{first} to {last}"
    yield f"its step ended the training after {span} epochs, with {len(ended)} of {all_of_them} seeds"


def _mean_curves(epochs: pd.DataFrame, column: str) -> dict[str, Curve]:
    """Of each variant, the mean over the seeds at each epoch that has a number."""
    if column not in epochs:
        return {}
    means = epochs[column].astype(float).groupby([epochs["variant"], epochs["epoch"]]).mean().dropna()
    names, curves = means.index.get_level_values(0).to_numpy(), means.to_numpy(np.float64)
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    return dict(zip(names[starts], np.split(curves, starts[1:]), strict=True)) if len(names) else {}


def _past_its_best(metric: str, curve: Curve, sign: int) -> Iterator[str]:
    if len(curve) < 2:
        return
    oriented = sign * curve
    best = int(oriented.argmax())
    lost = oriented[best] - oriented[-1]
    if lost > LOST * np.ptp(oriented) and lost > STEPS * _noise(oriented[:-1]):
        where = f"at the last of {len(curve)} evaluated epochs"
        yield f"{metric} is {curve[-1]:.4g} {where}, and was {curve[best]:.4g} at number {best + 1}"


def _noise(curve: Curve) -> float:
    """How far a point usually is from the middle of its neighbours; a tenth of the largest where there are too few to tell."""
    if len(curve) < 4:
        return 0.1 * float(np.abs(curve).max())
    return float(np.median(np.abs(curve[1:-1] - (curve[:-2] + curve[2:]) / 2)))


def _loss(curve: Curve) -> Iterator[str]:
    if len(curve) < 2:
        return
    first, last = curve[0], curve[-1]
    if last > first + STILL * abs(first):
        yield f"the training loss rose from {first:.4g} in the first epoch to {last:.4g} in the last"
    elif abs(first - last) <= STILL * abs(first):
        yield f"the training loss stays at its start value: {first:.4g} in the first epoch, {last:.4g} in the last"
