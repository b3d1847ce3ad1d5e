"""How fast this is, against other ways to do the same: ratios measured side by side, interleaved, with the results compared."""

from collections.abc import Callable, Mapping
from typing import Any

PARTS = ("study", "honest", "augmentation", "fixed", "scaling", "ceiling")


def parts() -> Mapping[str, Callable[..., list[Any]]]:
    """Each part of the benchmark: a function of `common.Size` that gives figures."""
    from . import augmentation, costs, studies

    functions = (
        studies.against_scripts,
        studies.against_hand,
        augmentation.augmentation,
        costs.fixed,
        studies.scaling,
        costs.ceiling,
    )
    return dict(zip(PARTS, functions, strict=True))
