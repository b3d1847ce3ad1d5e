"""What tuning brought each variant, and what it cost."""

from dataclasses import replace

import numpy as np
import pandas as pd

from ablate.study import Study, TunedVariant, Tuning

from . import comparison, summary
from .comparison import Array
from .records import Tuned


def tuned(study: Study) -> tuple[Tuned, ...]:
    """Every variant with and without tuning, in the order of the spec; nothing where nothing was tuned."""
    tuning = study.tuning
    if tuning is None:
        return ()
    after, before = _values(study, tuning)
    e = comparison.estimate(after, before, study.compare.paired)
    low, high = comparison.interval(e, study.compare.alpha)
    spent = [_seconds(tuning.cells[tuning.cells["variant"].isin([t.name for t in told.trials])]) for told in tuning.variants]
    total = _seconds(study.every_cell)
    return tuple(
        Tuned(
            variant=told.variant,
            setting=None if told.chosen is None else told.trials[told.chosen].setting,
            chosen=None if told.chosen is None else told.chosen + 1,
            **_counts(tuning, told),
            n_untuned=int(np.sum(~np.isnan(before[i]))),
            untuned=_mean(before[i]),
            untuned_sd=_sd(before[i]),
            n_tuned=int(np.sum(~np.isnan(after[i]))),
            tuned=_mean(after[i]),
            tuned_sd=_sd(after[i]),
            difference=float(e.difference[i]),
            low=float("nan") if told.chosen == 0 else float(low[i]),  # the same cells have no noise between them
            high=float("nan") if told.chosen == 0 else float(high[i]),
            seconds=spent[i],
            share=spent[i] / total if total else float("nan"),
        )
        for i, told in enumerate(tuning.variants)
    )


def _values(study: Study, tuning: Tuning) -> tuple[Array, Array]:
    """The values `[variants, seeds]` with tuning and without, of the same seeds."""
    names, untuned = [told.variant for told in tuning.variants], [told.untuned for told in tuning.variants]
    without = summary.values(replace(study, cells=tuning.cells, epochs=tuning.epochs))
    numbers = pd.concat([summary.values(study), without[without["variant"].isin(untuned)]])
    both = summary.table(numbers, [*names, *untuned])
    return both[: len(names)], both[len(names) :]


def _mean(values: Array) -> float:
    own = values[~np.isnan(values)]
    return float(own.mean()) if len(own) else float("nan")


def _sd(values: Array) -> float:
    own = values[~np.isnan(values)]
    return float(own.std(ddof=1)) if len(own) > 1 else float("nan")


def _counts(tuning: Tuning, told: TunedVariant) -> dict[str, int]:
    """Trials whose cells have all ended, and those of them that have no value."""
    names = [trial.name for trial in told.trials]
    cells = tuning.cells[tuning.cells["variant"].isin(names)]
    open_ = set(cells.loc[~cells["status"].isin(["done", "failed"]), "variant"])
    ended = [trial for trial in told.trials if trial.name not in open_]
    return {"trials": len(ended), "failed": sum(trial.value is None for trial in ended) if told.ended else 0}


def _seconds(cells: pd.DataFrame) -> float:
    """Time of the cells that are done; one that has two names is counted once."""
    done = cells[cells["status"] == "done"].drop_duplicates("key")
    return float(done["seconds"].sum())
