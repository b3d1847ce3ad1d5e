"""What the tests of the statistics share."""

import pandas as pd
import pytest

from ablate.results import Results
from ablate.study import Compare, VariantInfo


@pytest.fixture
def make_study():
    """Makes a study from the values of each variant, the reference first, by seed; None is a cell that failed."""

    def make(values, stopping=None, **compare):
        cells = [
            {
                "variant": variant,
                "seed": seed,
                "key": f"{variant} {seed}",
                "status": "failed" if value is None else "done",
                "error": "out of memory" if value is None else None,
                "seconds": 1.0,
                "parameters": 10,
                "weights_sha256": "",
                "accuracy": float("nan") if value is None else value,
            }
            for variant, numbers in values.items()
            for seed, value in enumerate(numbers)
        ]
        variants = tuple(VariantInfo(name, {}, ()) for name in values)
        settings = Compare("accuracy", "last", next(iter(values)), **compare)
        return Results("test", "", settings, variants, pd.DataFrame(cells), pd.DataFrame(), stopping=stopping)

    return make
