"""Studies over blocks, for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablate.contracts import Factor
from ablate.results import Results
from ablate.study import Compare, VariantInfo

# Table 6 of Demšar (JMLR 2006): areas under the curve of four ways to fit C4.5. He prints 0.975 twice for `voting`, and ranks
# what he had before rounding.
METHODS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AREAS = {
    "adult (sample)": (0.763, 0.768, 0.771, 0.798),
    "breast cancer": (0.599, 0.591, 0.590, 0.569),
    "breast cancer wisconsin": (0.954, 0.971, 0.968, 0.967),
    "cmc": (0.628, 0.661, 0.654, 0.657),
    "ionosphere": (0.882, 0.888, 0.886, 0.898),
    "iris": (0.936, 0.931, 0.916, 0.931),
    "liver disorders": (0.661, 0.668, 0.609, 0.685),
    "lung cancer": (0.583, 0.583, 0.563, 0.625),
    "lymphography": (0.775, 0.838, 0.866, 0.875),
    "mushroom": (1.000, 1.000, 1.000, 1.000),
    "primary tumor": (0.940, 0.962, 0.965, 0.962),
    "rheum": (0.619, 0.666, 0.614, 0.669),
    "voting": (0.972, 0.981, 0.9751, 0.975),
    "wine": (0.957, 0.978, 0.946, 0.970),
}
RANDOM = (  # normal numbers to two decimals, five variants in nine blocks
    (0.0, 0.9, 0.93, 0.91, 1.95),
    (-0.99, 0.66, 2.54, 1.31, 1.78),
    (0.49, 0.96, 1.31, 0.87, 2.37),
    (0.7, -0.74, 0.74, -0.1, 1.11),
    (-1.84, 0.36, -0.07, 2.07, 2.56),
    (-0.19, -1.92, 0.66, 1.75, 2.51),
    (-1.53, 0.12, 0.22, 0.99, 3.46),
    (-0.81, 0.57, 2.08, 1.22, 2.29),
    (0.11, 0.66, -0.03, 1.88, 3.76),
)


def over_blocks(rows: Mapping[str, Sequence[Any]], names: Sequence[str] = METHODS, **compare: Any) -> Results:
    """A study of methods in datasets: for each dataset a value for each method, or its seeds. NaN diverged, None failed."""
    infos, cells = [], []
    for index, method in enumerate(names):
        for dataset, values in rows.items():
            own = values[index]
            if isinstance(own, tuple) and not own:  # that method was never run there
                continue
            infos.append(VariantInfo(f"method={method},dataset={dataset}", {"method": method, "dataset": dataset}, ()))
            for seed, value in enumerate(own if isinstance(own, (list, tuple, np.ndarray)) else [own]):
                status = "failed" if value is None else "done"
                cells.append([infos[-1].name, seed, f"{len(cells)}", status, "no" if value is None else None, 1.0, 10, "", value])
    columns = ["variant", "seed", "key", "status", "error", "seconds", "parameters", "weights_sha256", "auc"]
    factors = Factor("method", names[0], tuple(names[1:])), Factor("dataset", next(iter(rows)), tuple(rows)[1:])
    epochs = ["variant", "seed", "epoch", "train_loss", "lr", "seconds", "images_per_second", "auc"]
    settings = Compare("auc", "last", infos[0].name, **{"blocks": ("dataset",), **compare})
    frame = pd.DataFrame(cells, columns=columns).astype({"auc": float})
    return Results("over", "", settings, tuple(infos), frame, pd.DataFrame(columns=epochs), factors=factors)


def numbered(rows: Sequence[Sequence[Any]]) -> dict[str, Sequence[Any]]:
    return {f"d{index}": row for index, row in enumerate(rows)}
