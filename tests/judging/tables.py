"""Tables of runs, for the tests of what judges them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def frame(seeds: int = 5, **others: Any) -> pd.DataFrame:
    """Two factors of two levels with five seeds: `optimizer` brings 0.01, `augment` 0.02, and the noise is 0.004."""
    rng = np.random.default_rng(0)
    rows = [
        {"optimizer": optimizer, "augment": augment, "seed": seed, "acc": _value(optimizer, augment, rng), **others}
        for optimizer in ("sgd", "adam")
        for augment in ("none", "flip")
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def _value(optimizer: str, augment: str, rng: np.random.Generator) -> float:
    return float(0.9 + 0.01 * (optimizer == "adam") + 0.02 * (augment == "flip") + rng.normal(0, 0.004))


def one_factor(values: dict[str, Iterable[Any]], **others: Any) -> pd.DataFrame:
    """A row for each value of each method, with seeds from 0."""
    rows = [{"method": name, "seed": seed, "acc": value} for name, own in values.items() for seed, value in enumerate(own)]
    return pd.DataFrame(rows).assign(**others)


def written(folder: Path, text: str, name: str = "runs.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path
