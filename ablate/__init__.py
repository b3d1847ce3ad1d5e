"""Ablation studies for PyTorch image classification."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .study import Study

__version__ = "0.1.0"
__all__ = ["__version__", "load_study", "run"]


def run(
    spec: "str | Path | Mapping[str, Any]",
    *,
    overrides: Sequence[str] = (),
    store: "Path | str | None" = None,
    data_dir: "Path | str | None" = None,
    jobs: int | None = None,
    device: str = "auto",
    executor: "str | Mapping[str, Any]" = "local",
    progress: bool = True,
) -> "Study":
    """Runs a study and returns it with its results, as `ablate run` does.

    Args:
        spec: Path of a JSON file, or the document itself.
        overrides: `PATH=JSON` each, such as `base.epochs=2`.
        store: Directory of the run store; `ABLATE_STORE` or `ablate-store` unless given.
        data_dir: Directory of datasets; `ABLATE_DATA_DIR` or the user's cache unless given.
        jobs: Cells at once; one for each core, or 16 on a GPU, unless given.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        executor: Name of the executor, or its component with parameters.
        progress: Whether to show how far it is, in a notebook or on standard error.

    Returns:
        The study; `study.cells` and `study.epochs` are pandas frames. A cell that failed has the status `failed` there.

    Raises:
        AblateError: The spec is wrong, or something that it needs is missing.
        KeyboardInterrupt: It was interrupted. What is trained is stored, and the same call goes on.
    """
    from .driver import run_study
    from .job import Options
    from .progress import display

    options = Options(store, data_dir, jobs, device, executor)
    with display() if progress else nullcontext() as shown:
        study, stopped = run_study(spec, overrides, options, {"progress": shown} if shown else {}, warnings.warn)
    if stopped:
        raise KeyboardInterrupt
    return study


def load_study(name: str, *, store: "Path | str | None" = None) -> "Study":
    """A study of a store with what is known of its cells; nothing is trained.

    Raises:
        AblateError: There is no such store, or no such study in it.
    """
    from .places import store_dir
    from .store import Store

    with Store(store_dir(store), create=False) as opened:
        return opened.study(name)
