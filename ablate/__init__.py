"""Ablation studies: of image classification with PyTorch, of training code of your own, and of runs that exist."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .version import __version__

if TYPE_CHECKING:
    from torch import nn

    from .results import Results
__all__ = ["__version__", "judge", "load_model", "load_study", "run"]


def run(
    spec: "str | Path | Mapping[str, Any]",
    *,
    overrides: Sequence[str] = (),
    store: "Path | str | None" = None,
    data_dir: "Path | str | None" = None,
    jobs: int | None = None,
    device: str = "auto",
    executor: "str | Mapping[str, Any]" = "local",
    keep: str | None = None,
    extend: bool = False,
    retrain: bool = False,
    reuse: Sequence[str] = (),
    remote: str | None = None,
    memory: str | None = None,
    progress: bool = True,
) -> "Results":
    """Runs a study and returns it with its results, as `ablate run` does.

    Args:
        spec: Path of a JSON file, or the document itself.
        overrides: `PATH=JSON` each, such as `base.epochs=2`.
        store: Directory of the run store; `ABLATE_STORE` or `ablate-store` unless given.
        data_dir: Directory of datasets; `ABLATE_DATA_DIR` or the user's cache unless given.
        jobs: Cells at once; one for each core, or 16 on each GPU, unless given.
        device: `auto`, `cpu`, `cuda` for all GPUs, or those that `cuda:0,2` names.
        executor: Name of the executor, or its component with parameters.
        keep: `weights` or `state`, or either with the room for those of the whole store, such as `weights:20`; what the spec says
            unless given.
        extend: Whether cells go on from the kept states of finished ones that have fewer epochs.
        retrain: Whether finished cells are trained again whose weights were not kept; their results stay.
        reuse: Packages, such as `torch`, of which cells are taken that were trained with another version; the report says so.
        remote: Where finished cells are taken from and given to: a folder, or a URL such as `s3://lab/ablate`.
        memory: What the run takes of each GPU at most, such as `6GB`; all unless given.
        progress: Whether to show how far it is, in a notebook or on standard error.

    Returns:
        The study; `study.cells` and `study.epochs` are pandas frames. A cell that failed has the status `failed` there.

    Raises:
        AblateError: The spec is wrong, or something that it needs is missing.
        KeyboardInterrupt: It was interrupted. What is trained is stored, and the same call goes on.
    """
    from ablate.report.progress import display
    from ablate.runner.driver import run_study
    from ablate.runner.job import Options

    from .results import Results

    options = Options(
        store,
        data_dir,
        jobs,
        device,
        executor,
        keep=keep,
        extend=extend,
        retrain=retrain,
        reuse=reuse,
        remote=remote,
        memory=memory,
    )
    with display() if progress else nullcontext() as shown:
        study, stopped = run_study(spec, overrides, options, {"progress": shown} if shown else {}, warnings.warn)
    if stopped:
        raise KeyboardInterrupt
    return Results.of(study)


def load_study(name: str, *, store: "Path | str | None" = None) -> "Results":
    """A study of a store with what is known of its cells; nothing is trained.

    Raises:
        AblateError: There is no such store, or no such study in it.
    """
    from .places import store_dir
    from .results import Results
    from .store import Store

    with Store(store_dir(store), create=False) as opened:
        return Results.of(opened.study(name))


def load_model(study: str, variant: str, seed: int, *, store: "Path | str | None" = None, device: str = "cpu") -> "nn.Module":
    """The trained model of a cell whose weights were kept, in evaluation mode.

    Its weights are those that the cell's metrics are of: the moving average where the recipe has `ema`, and the selected epoch's
    where it has `select`. It takes images as the recipe's `eval_transforms` give them, float32 `[N, C, H, W]`, and gives logits
    `[N, K]`.

    Args:
        study: Name of a study of the store.
        variant: Name of one of its variants.
        seed: One of its seeds.
        store: Directory of the run store; `ABLATE_STORE` or `ablate-store` unless given.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        UsageError: There is no such cell, it is not finished, or its weights were not kept.
        EnvironmentProblem: The weights are damaged, or not those of the model that is installed now.
    """
    from ablate.runner.trained import cell_of, restore

    from .places import device_of, store_dir
    from .store import Store

    with Store(store_dir(store), create=False) as opened:
        return restore(opened, cell_of(opened, study, variant, seed), device_of(device), warnings.warn).model


def judge(
    runs: Any,
    *,
    metric: str | None = None,
    factors: Sequence[str] = (),
    blocks: Sequence[str] = (),
    seed: str | None = None,
    goal: Literal["maximize", "minimize"] | None = None,
    at: Literal["last"] | int | None = None,
    reference: str | None = None,
    ignore: Sequence[str] = (),
    where: Sequence[str] = (),
    repetitions: bool = False,
    margin: float | None = None,
    alpha: float = 0.05,
    paired: bool = False,
    correction: Literal["holm", "benjamini_hochberg"] = "holm",
    source: "str | Mapping[str, Any] | None" = None,
    name: str | None = None,
    question: str = "",
) -> "Results":
    """Judges runs that exist already, as `ablate judge` does: a study that was not planned before its runs, and says so.

    Args:
        runs: A pandas frame, or a path or an address that a source reads.
        metric: What is judged; the only one unless given.
        factors: Settings that are compared; those that differ unless given.
        blocks: Settings, such as the dataset, in whose every value the factors are compared.
        seed: The setting that has the seed; one that is named like it unless given.
        goal: Which way the metric is better; by its name unless given.
        at: The step that counts, or `last` for each run's own; the last, where all runs have the same, unless given.
        reference: The variant that the others are compared with.
        ignore: Settings that do not matter, or belong to a level, with `*` for any part of a name.
        where: `NAME=VALUE` or `NAME!=VALUE` each, of the runs that are judged; several values of one name are alternatives.
        repetitions: Whether runs of a variant are independent repetitions, where no setting has the seed.
        margin: Differences within ± this are of no importance, in units of the metric.
        alpha: Error rate of the verdicts.
        paired: Whether runs of one seed are compared with each other.
        correction: How p-values are corrected for the number of comparisons.
        source: Name or component of what reads the runs; what recognises them unless given.
        name: What the study is called.
        question: What it asks.

    Raises:
        AblateError: The runs cannot be read, or cannot be compared; the message says what to do.
    """
    from .judging import Judgement, Wanted, read, study_of
    from .results import Results

    wanted = Wanted(
        metric=metric,
        factors=tuple(factors),
        seed=seed,
        goal=goal,
        at=at,
        reference=reference,
        ignore=tuple(ignore),
        where=tuple(where),
        repetitions=repetitions,
        blocks=tuple(blocks),
    )
    return Results.of(study_of(read(runs, wanted, source), name, question, Judgement(margin, alpha, paired, correction)))
