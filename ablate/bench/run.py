"""Runs parts of the benchmark at a size."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablate.contracts import Environment
from ablate.errors import SpecError, checked
from ablate.registry import default
from ablate.spec.recipe import resolve_component

from . import parts
from .common import Size

SMALLEST: Mapping[str, Any] = {
    "epochs": 1,
    "seeds": 1,
    "images": 128,
    "cells": (1, 3),
    "planned": 50,
    "slope": (1, 2),
    "at_once": (1, 2),
    "spec_seeds": 1,
}
USUAL: Mapping[str, Any] = {
    "epochs": 3,
    "seeds": 2,
    "images": 8192,
    "cells": (10, 1000),
    "planned": 10_000,
    "slope": (1, 4),
    "at_once": (1, 2),
    "spec_seeds": 10,
}
ON_GPU = {**USUAL, "slope": (1, 31), "at_once": (1, 4, 16, 64)}  # an epoch takes a second there, and starting takes ten


def measure(
    names: Sequence[str], dataset: Any, data_dir: Path, device: str, specs: Sequence[Path], repeats: int, smallest: bool
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each part with its figures, as it is done.

    Args:
        names: Which parts.
        dataset: Spec of the images.
        data_dir: Where data is.
        device: What studies are trained on.
        specs: Studies whose time is extrapolated.
        repeats: How often everything is measured.
        smallest: Whether to measure as little as possible, on digits.

    Raises:
        SpecError: The dataset's spec is wrong.
    """
    if smallest:
        dataset = {"use": "digits", "size": 16, "channels": 3, "limit": 128}
    dataset, problems = checked(resolve_component(default(), "dataset", dataset, "dataset"))
    if problems:
        raise SpecError("--dataset", problems)
    with tempfile.TemporaryDirectory(prefix="ablate-bench-") as work:
        environment = Environment(data_dir)
        much = SMALLEST if smallest else USUAL if device == "cpu" else ON_GPU
        size = Size(
            dataset=dataset,
            environment=environment,
            repeats=1 if smallest else repeats,
            specs=tuple(specs),
            device=device,
            work=Path(work),
            **much,
        )
        size.data()  # decoded before anything is timed
        for name in names:
            yield name, parts()[name](size)
