"""How fast this is, against other ways to do the same: ratios measured side by side, interleaved, with the results compared."""

from collections.abc import Callable, Mapping
from typing import Any

PARTS = ("study", "honest", "augmentation", "photographs", "fixed", "scaling", "ceiling", "specs", "gpu")
LEFT_OUT = ("specs", "gpu")  # unless they are named: they need studies, or a GPU


def parts() -> Mapping[str, Callable[..., list[Any]]]:
    """Each part of the benchmark: a function of `common.Size` that gives figures."""
    from . import augmentation, costs, epochs, gpu, photographs, studies

    functions = (
        studies.against_scripts,
        studies.against_hand,
        augmentation.augmentation,
        photographs.photographs,
        costs.fixed,
        epochs.scaling,
        costs.ceiling,
        epochs.specs,
        gpu.gpu,
    )
    return dict(zip(PARTS, functions, strict=True))
