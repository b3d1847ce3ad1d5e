"""What a reader has to know of the runs behind a comparison: those without a value, and those that a t-test was not made for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ablate.contracts import TAKEN
from ablate.study import Study

from . import summary
from .comparison import FLAT, Array
from .verdicts import Verdict

Place = tuple[str, int]  # a variant and a seed
RATIO = 3.0  # of standard deviations, above which Welch's test errs more often than it says
ODD = 0.01  # level of the tests for outlying runs and for skew: a caution is to be rare where nothing is wrong
FEWEST_FOR_SKEW = 8  # seeds; D'Agostino's test needs as many


@dataclass(frozen=True)
class Lost:
    """Runs of a variant that have ended, and those of them without a value.

    Attributes:
        runs: That have ended.
        diverged: Done, without a finite value.
        failed: Ended by an error, or by their time limit.
        word: What is said of those that are done without a finite value: not of all is it known that they diverged.
    """

    runs: int
    diverged: int
    failed: int
    word: str = "diverged"

    def __str__(self) -> str:
        counts = [(self.diverged, self.word), (self.failed, "failed")]
        return ", ".join(f"{count} of {self.runs} runs {what}" for count, what in counts if count)


def lost(study: Study) -> dict[str, Lost]:
    """What became of the runs of each variant."""
    numbers, gaps = summary.values(study), summary.missing(study)
    valued = numbers.loc[np.isfinite(numbers["value"].astype(float)), "variant"].value_counts()
    unexplained = {*gaps.loc[gaps["epoch"].isna(), "variant"]}
    done, failed = (study.cells.loc[study.cells["status"] == status, "variant"].value_counts() for status in ("done", "failed"))
    found = {}
    for variant in (variant.name for variant in study.variants):
        ended, gone = int(done.get(variant, 0)), int(failed.get(variant, 0))
        word = "without a value" if variant in unexplained else "diverged"
        found[variant] = Lost(ended + gone, ended - int(valued.get(variant, 0)), gone, word)
    return found


def unreached(study: Study) -> dict[str, str]:
    """The variants whose change did not reach the run, by name, with what shows it.

    Every number that the runs recorded, but times, is that of the reference's run with the same seed, and so are the final
    weights where they are known: of runs that are not the same, two such streams of numbers are not. Runs that diverged are no
    sign of it, because all weights that are NaN are the same.
    """
    if study.epochs.empty:
        return {}
    columns = ["train_loss", *(name for name in study.cells if name not in TAKEN and name != "evaluated_images")]
    epochs = study.epochs[["epoch", *(name for name in columns if name in study.epochs)]]
    done = study.cells[study.cells["status"] == "done"]
    weights = dict(zip(zip(done["variant"], done["seed"], strict=True), done["weights_sha256"], strict=True))
    references = study.references
    lost = summary.diverged(study)
    gone = set(zip(lost["variant"], lost["seed"], strict=True))

    @cache
    def rows_of() -> Mapping[Any, pd.Index]:  # which takes a while for many cells, and is seldom asked for
        return study.epochs.groupby(["variant", "seed"]).groups

    def same(own: Place) -> bool:
        other = (references[own[0]], own[1])
        if other not in weights or weights[own] != weights[other]:
            return False
        rows = rows_of()
        if own not in rows or other not in rows:
            return False
        ours, theirs = (epochs.loc[rows[place]].reset_index(drop=True) for place in (own, other))
        return ours.equals(theirs)

    runs: dict[str, list[Place]] = {}
    for place in weights:
        runs.setdefault(place[0], []).append(place)
    found = {}
    for variant, own in runs.items():
        if variant != references[variant] and all(map(same, own)) and not gone.issuperset(own):
            known = all(weights[place] is not None for place in own)
            found[variant] = "same weights" if known else "same numbers"
    return found


def withheld(verdict: Verdict, survivors: bool, survivors_of_reference: bool) -> bool:
    """Whether a verdict over the runs that trained flatters a side that lost runs of its own accord.

    Args:
        verdict: What the runs that trained support.
        survivors: Whether runs of the variant diverged.
        survivors_of_reference: Whether runs of the reference did.
    """
    if verdict == "better":
        return survivors
    if verdict == "worse":
        return survivors_of_reference
    return verdict == "no meaningful difference" and (survivors or survivors_of_reference)


def cautions(variant: Array, reference: Array, paired: bool, step: float = 0.0) -> tuple[str, ...]:
    """Signs that a t-test may err more often than it says, in a few words each.

    Args:
        variant: Its values, NaN for what there is not.
        reference: Those of the reference.
        paired: Whether seeds pair.
        step: Between two values that there can be, such as one image as a part of all; 0 where none is known.
    """
    x, y = (sample[np.isfinite(sample)] for sample in (variant, reference))
    if paired:
        gaps = variant - reference
        return tuple(_of_sample(gaps[np.isfinite(gaps)], "differences", step))
    return (*_ratio(x, y), *_of_sample(x, "runs", step), *_of_sample(y, "runs of the reference", step))


def _ratio(x: Array, y: Array) -> Iterator[str]:
    if min(len(x), len(y)) < 2:
        return
    small, large = sorted((float(x.std(ddof=1)), float(y.std(ddof=1))))
    size = max(np.abs(x).max(), np.abs(y).max())
    if large <= FLAT * size:
        return
    if small <= FLAT * size:
        yield "no noise on one side"
    elif large / small > RATIO:
        yield f"sd ratio {large / small:.1f}"


def _of_sample(x: Array, what: str, step: float) -> Iterator[str]:
    if odd := _odd(x.tobytes(), step):
        yield f"{odd} {what}"


@lru_cache(maxsize=64)  # the reference is beside every variant
def _odd(values: bytes, step: float) -> str:
    x = np.frombuffer(values)
    if len(x) < 3 or np.ptp(x) <= FLAT * np.abs(x).max():
        return ""
    if outlying(x, step):
        return "outlying"
    return "skewed" if len(x) >= FEWEST_FOR_SKEW and stats.skewtest(x).pvalue < ODD else ""


def outlying(x: Array, step: float = 0.0) -> bool:
    """Whether Grubbs' test (1969) finds, at level `ODD`, a value or a group of values that lie away from the rest.

    For a group, the test is repeated without the farthest value, for up to a third of them (the generalised test of Rosner 1983),
    because outlying values hide each other. It is for values that differ: of three accuracies of which two are equal, the third
    would always be outlying. So the spread is that of values which are a `step` apart where they are equal; where none is known,
    it is the smallest difference between those that are not.
    """
    values, flat = np.sort(x), FLAT * np.abs(x).max()
    gaps = np.diff(values)
    if not step and (gaps <= flat).any():
        step = gaps[gaps > flat].min(initial=np.inf)
    for limit in _farthest(len(x)):
        middle, spread = values.mean(), np.hypot(values.std(ddof=1), step / 2)
        if spread <= flat:
            return False
        below, above = middle - values[0], values[-1] - middle
        if max(below, above) > limit * spread:
            return True
        values = values[1:] if below > above else values[:-1]
    return False


@lru_cache
def _farthest(n: int) -> Array:
    """Standard deviations from the mean, beyond which one of n values lies away from the rest; then of n - 1, to two thirds."""
    most = max(1, n // 3)
    left = n - np.arange(most)
    t = stats.t.isf(ODD / most / (2 * left), left - 2)
    return np.asarray((left - 1) / np.sqrt(left) * np.sqrt(t**2 / (left - 2 + t**2)))
