"""Runs parts of the benchmark at a size."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ablate.errors import Problem, SpecError
from ablate.recipe import resolve_component
from ablate.records import Environment
from ablate.registry import default

from . import parts
from .common import Size


def measure(
    names: Sequence[str], dataset: Any, data_dir: Path, repeats: int, smallest: bool
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Each part with its figures, as it is done.

    Args:
        names: Which parts.
        dataset: Spec of the images.
        data_dir: Where data is.
        repeats: How often everything is measured.
        smallest: Whether to measure as little as possible, on digits.

    Raises:
        SpecError: The dataset's spec is wrong.
    """
    if smallest:
        dataset = {"use": "digits", "size": 16, "channels": 3, "limit": 128}
    problems: list[Problem] = []
    dataset = resolve_component(default(), "dataset", dataset, "dataset", problems)
    if problems:
        raise SpecError("--dataset", problems)
    with tempfile.TemporaryDirectory(prefix="ablate-bench-") as work:
        environment = Environment(data_dir)
        if smallest:
            size = Size(dataset, environment, 1, 1, 1, 128, (1, 3), 50, Path(work))
        else:
            size = Size(dataset, environment, 3, 2, repeats, 8192, (10, 1000), 10_000, Path(work))
        size.data()  # decoded before anything is timed
        for name in names:
            yield name, parts()[name](size)
