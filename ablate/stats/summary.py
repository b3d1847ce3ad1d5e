"""A study's cells -> one row a variant."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablate.study import Study


def values(study: Study, metric: str | None = None) -> pd.DataFrame:
    """The number that counts of every cell that is done: `variant`, `seed`, `value`, which is NaN where it has none.

    Args:
        study: The study.
        metric: A metric, or `train_loss`; what the study compares unless given.
    """
    metric = metric or study.compare.metric
    done = study.cells[study.cells["status"] == "done"]
    if study.compare.at != "last" or metric not in done:
        last = study.epochs.groupby(["variant", "seed"])["epoch"].transform("max")
        counted = study.epochs[study.epochs["epoch"] == (last if study.compare.at == "last" else study.compare.at)]
        done = done[["variant", "seed"]].merge(counted[["variant", "seed", metric]], on=["variant", "seed"], how="left")
    return done[["variant", "seed", metric]].rename(columns={metric: "value"})


def ended(study: Study) -> set[tuple[str, int]]:
    """Variant and seed of each cell that has ended, with a value or without."""
    cells = study.cells[study.cells["status"].isin(["done", "failed"])]
    return set(zip(cells["variant"], cells["seed"], strict=True))


def diverged(study: Study) -> pd.DataFrame:
    """The cells that diverged: `variant`, `seed`, `epoch`, the first one whose loss or logits are not finite, and `why`.

    One that recovered, or that selects an epoch before, may have a value all the same.
    """
    epochs = study.epochs
    why = epochs["diverged"] if "diverged" in epochs else pd.Series(index=epochs.index, dtype=object)
    why = why.astype(object)
    found = epochs[["variant", "seed", "epoch"]].assign(why=why)[why.notna()]
    return found.sort_values("epoch").drop_duplicates(["variant", "seed"]).sort_index().reset_index(drop=True)


def missing(study: Study) -> pd.DataFrame:
    """The cells that are done and have no value of the study's metric: `variant`, `seed`, `epoch`, and `why`.

    `epoch` is that in which the cell diverged; NaN where something else is the reason.
    """
    numbers, metric = values(study), study.compare.metric
    gaps = numbers.loc[~np.isfinite(numbers["value"].astype(float)), ["variant", "seed"]]
    if gaps.empty or study.epochs.empty:
        return gaps.assign(epoch=np.nan, why=f"{metric} has no value: nothing was recorded of it")
    found = gaps.merge(diverged(study), on=["variant", "seed"], how="left")
    last = study.epochs.groupby(["variant", "seed"])["epoch"].max()
    reasons = {cell: f"it ended after epoch {epoch}" for cell, epoch in last.items() if study.compare.at not in ("last", epoch)}
    if "missing" in study.epochs:
        for row in study.epochs[study.epochs["missing"].notna()].to_dict("records"):
            if study.compare.at in ("last", row["epoch"]):
                reasons[row["variant"], row["seed"]] = row["missing"].get(metric)  # of the last such epoch, which is what counts
    for index, row in enumerate(found.to_dict("records")):
        if pd.isna(row["why"]):
            reason = reasons.get((row["variant"], row["seed"])) or "nothing was recorded of it"
            found.loc[index, "why"] = f"{metric} has no value: {reason}"
    return found


def in_words(missing: pd.DataFrame) -> dict[str, list[str]]:
    """What `missing` gives in words: each reason with the cells that it holds for, such as `huge, seeds 0, 1`."""
    seeds: dict[tuple[str, str], list[str]] = {}
    for row in missing.to_dict("records"):
        reason = row["why"] if pd.isna(row["epoch"]) else f"diverged in epoch {int(row['epoch'])}: {row['why']}"
        seeds.setdefault((reason, row["variant"]), []).append(str(row["seed"]))
    found: dict[str, list[str]] = {}
    for (reason, variant), own in seeds.items():
        found.setdefault(reason, []).append(f"{variant}, seed{'s' * (len(own) > 1)} {', '.join(own)}")
    return found


def table(numbers: pd.DataFrame, variants: Sequence[str], seeds: Sequence[int] | None = None) -> NDArray[np.float64]:
    """What `values` gives as an array `[variants, seeds]`, NaN where a cell has no finite value.

    Args:
        numbers: `variant`, `seed`, `value`.
        variants: The rows.
        seeds: The columns; all that are there, in order of size, unless given.
    """
    wide = numbers.pivot(index="variant", columns="seed", values="value").reindex(list(variants))
    wide = wide if seeds is None else wide.reindex(columns=list(seeds))
    found = wide.to_numpy(float)
    return np.where(np.isfinite(found), found, np.nan)


def summarise(study: Study) -> pd.DataFrame:
    """One row a variant, in the order of the spec.

    Columns: `variant`; `n`, cells with a value; `failed`, `diverged` and `missing`, cells without one; `mean`; `sd`, the sample
    standard deviation, NaN for fewer than two cells; `difference` of the mean from the reference's (of its block); `published`,
    NaN where nobody published a number; `seconds`, mean time of a cell; `parameters`, trainable ones.
    """
    numbers, gaps = values(study), missing(study)
    lost = gaps.loc[gaps["epoch"].notna(), "variant"].value_counts()
    published = study.published.get(study.compare.metric, {})
    own = dict(list(numbers.groupby("variant")["value"]))
    cells = study.cells["variant"].value_counts()
    failed = study.cells.loc[study.cells["status"] == "failed", "variant"].value_counts()
    done = study.cells[study.cells["status"] == "done"].groupby("variant")
    seconds, parameters = dict(list(done["seconds"])), dict(list(done["parameters"]))
    rows = []
    for name in (variant.name for variant in study.variants):
        valued, diverged = own.get(name, numbers["value"].iloc[:0]).dropna(), int(lost.get(name, 0))
        rows.append(
            {
                "variant": name,
                "n": len(valued),
                "failed": int(failed.get(name, 0)),
                "diverged": diverged,
                "missing": int(cells.get(name, 0) - failed.get(name, 0)) - diverged - len(valued),
                "mean": valued.mean() if len(valued) else np.nan,
                "sd": valued.std(ddof=1) if len(valued) > 1 else np.nan,
                "published": last_published(published.get(name)),
                "seconds": seconds[name].mean() if name in seconds else np.nan,
                "parameters": parameters[name].iloc[0] if name in parameters else None,
            }
        )
    table = pd.DataFrame(rows)
    means = dict(zip(table["variant"], table["mean"], strict=True))
    references = study.references
    table.insert(7, "difference", table["mean"] - [means.get(references[name], np.nan) for name in table["variant"]])
    return table


def reproduction(study: Study) -> pd.DataFrame:
    """Every published number beside the measured mean: `metric`, `variant`, `n`, `measured`, `sd`, `published`, `difference`."""
    rows = []
    for metric, published in study.published.items():
        if metric == "source":
            continue
        numbers = values(study, metric)
        for variant, value in published.items():
            own = numbers.loc[numbers["variant"] == variant, "value"].dropna()
            row = {"metric": metric, "variant": variant, "n": len(own), "measured": own.mean() if len(own) else np.nan}
            rows.append({**row, "sd": own.std(ddof=1) if len(own) > 1 else np.nan, "published": last_published(value)})
    table = pd.DataFrame(rows, columns=["metric", "variant", "n", "measured", "sd", "published"])
    table["difference"] = table["measured"] - table["published"]
    return table


def last_published(value: Any) -> float:
    """A published number, the last of a list of one an epoch; NaN where there is none."""
    if value is None:
        return float("nan")
    return float(value[-1] if isinstance(value, list) else value)


def by_epoch(study: Study, metric: str | None = None) -> pd.DataFrame:
    """A metric's mean at each epoch, a column a variant; with a column `<variant> (published)` where there is one a epoch."""
    metric = metric or study.compare.metric
    epochs = study.epochs
    if metric not in epochs or epochs.empty:
        return pd.DataFrame()
    table = epochs.pivot_table(index="epoch", columns="variant", values=metric, aggfunc="mean")
    columns = {}
    for variant in study.variants:
        if variant.name in table:
            columns[variant.name] = table[variant.name]
        curve = study.published.get(metric, {}).get(variant.name)
        if isinstance(curve, list):
            columns[f"{variant.name} (published)"] = pd.Series(curve, index=range(1, len(curve) + 1))
    result = pd.DataFrame(columns)
    result.index.name = "epoch"
    return result
