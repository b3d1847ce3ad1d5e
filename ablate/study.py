"""A study with what is known of its cells, as plain records: what conclusions and reports are made of."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .blocking import references
from .contracts import Factor

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Compare:
    """How a study compares, fixed before it runs.

    Attributes:
        metric: Name of the metric that decides.
        at: The epoch that counts: `last`, or its number from 1.
        reference: Name of the variant that the others are compared with.
        margin: Differences within ± this are of no importance, in units of the metric; None where the spec says nothing.
        alpha: Error rate of the verdicts.
        goal: Whether a larger or a smaller metric is better.
        paired: Whether cells of one seed are compared with each other, and not as independent samples.
        correction: How p-values are corrected for the number of comparisons.
        failed: What a run counts as that ended without a value: `missing`, or the `worst`.
        blocks: Factors, such as the dataset, in whose every level the others are compared; n is the number of blocks then.
    """

    metric: str
    at: str | int
    reference: str
    margin: float | None = None
    alpha: float = 0.05
    goal: Literal["maximize", "minimize"] = "maximize"
    paired: bool = False
    correction: Literal["holm", "benjamini_hochberg"] = "holm"
    failed: Literal["missing", "worst"] = "missing"
    blocks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stopping:
    """Seeds are added until every comparison is decided.

    Attributes:
        least: Seeds that every variant has before the first look.
        most: Seeds after which the study ends, decided or not.
        futility: The probability of being decided by then below which a comparison gets no more seeds; None for all up to `most`.
    """

    least: int
    most: int
    futility: float | None = None


@dataclass(frozen=True)
class VariantInfo:
    """One variant of a study.

    Attributes:
        name: As tables show it.
        levels: The level of every factor; empty for a named patch.
        changes: What differs from the reference: one line a path, such as `optimizer.lr: 0.001 → 0.002`.
    """

    name: str
    levels: dict[str, str]
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Tried:
    """A setting that a variant was tried with.

    Attributes:
        name: What its cells are called in `Tuning.cells`.
        setting: A value for every path that was searched; of the first trial, what the spec says.
        value: The metric on the validation images, mean of the seeds of the trial; None where a cell failed or has not ended.
    """

    name: str
    setting: dict[str, Any]
    value: float | None


@dataclass(frozen=True)
class TunedVariant:
    """How a variant came to its setting.

    Attributes:
        variant: Its name.
        untuned: What its cells without tuning are called in `Tuning.cells`.
        space: What was searched: paths, each with its range or choices in words.
        trials: In their order, as far as they are decided.
        chosen: Index of the trial that is best, the earliest of equal ones; None before the last has ended, and where all failed.
        ended: Whether all trials have ended.
    """

    variant: str
    untuned: str
    space: dict[str, str]
    trials: tuple[Tried, ...]
    chosen: int | None
    ended: bool


@dataclass(frozen=True)
class Input:
    """A cell whose kept weights cells of a study use.

    Attributes:
        study: Name of its study, as the spec has it.
        variant: Its variant.
        seed: Its seed.
        key: Its key.
        sha256: Of the file of its weights, which is in the keys of the cells that use them.
    """

    study: str
    variant: str
    seed: int
    key: str
    sha256: str


def _no_rows() -> "pd.DataFrame":
    import pandas as pd  # takes as long as checking a spec does

    return pd.DataFrame()


@dataclass(frozen=True)
class Tuning:
    """Settings that were searched for every variant.

    Attributes:
        tuner: The tuner's spec with every parameter.
        trials: Settings that every variant is tried with.
        seeds: Seeds of each trial.
        variants: In the order of the study.
        cells: Those of the trials, told on the validation images, and of the variants without tuning, told like the study's;
            columns as in `Study.cells`.
        epochs: Columns as in `Study.epochs`.
    """

    tuner: dict[str, Any]
    trials: int
    seeds: int
    variants: tuple[TunedVariant, ...]
    cells: "pd.DataFrame" = field(default_factory=_no_rows, compare=False)
    epochs: "pd.DataFrame" = field(default_factory=_no_rows, compare=False)

    def record(self) -> dict[str, Any]:
        """The decisions, as JSON."""
        return {
            "tuner": self.tuner,
            "trials": self.trials,
            "seeds": self.seeds,
            "variants": [asdict(variant) for variant in self.variants],
        }

    @classmethod
    def from_record(cls, record: dict[str, Any], cells: "pd.DataFrame", epochs: "pd.DataFrame") -> "Tuning":
        variants = (
            TunedVariant(**{**variant, "trials": tuple(Tried(**trial) for trial in variant["trials"])})
            for variant in record["variants"]
        )
        return cls(**{**record, "variants": tuple(variants)}, cells=cells, epochs=epochs)


@dataclass(frozen=True)
class Imported:
    """Where runs come from that were not run for the study, and how they were read.

    Attributes:
        source: Name of the source that gave them.
        place: Where it found them.
        read: How they were read, in sentences without a stop.
        left_out: Reasons for which runs do not count, each with the runs.
    """

    source: str
    place: str
    read: tuple[str, ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Evaluated:
    """What finished cells were measured by afterwards: a column of `Study.cells` that nobody planned before the run.

    Attributes:
        name: Of the column.
        images: Number of images that a cell was measured on.
        about: The metric and the dataset, as a recipe has them.
    """

    name: str
    images: int
    about: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """A study and its results so far: what is known, and nothing of what is concluded from it or how it is shown.

    Attributes:
        name: Name of the study.
        question: What it asks; may be empty.
        compare: How it compares.
        variants: All of them, the reference among them, in the order of the spec.
        cells: One row a cell: `variant`, `seed`, `key`, `status` (`done`, `failed`, `running`, `interrupted` or `missing`),
            `error` (a message, or None), `seconds`, `parameters`, `weights_sha256`, `evaluated_images` (how many the metrics
            are of; NaN where nobody counted), a column for each metric after the last epoch (NaN where there is none), and one
            for each of `evaluations`.
        epochs: One row a cell and epoch: `variant`, `seed`, `epoch` (from 1), `train_loss`, `lr`, `seconds`,
            `images_per_second`, metrics.
        published: Somebody's numbers: `source`, and for each metric a mapping of variant name to a number or to a list of one
            number an epoch.
        provenance: One record a finished cell's machine and packages, without repeats.
        factors: What varies, with the levels in the order of the spec; empty where all variants are named patches.
        design: The design's spec with every parameter; None where there are no factors.
        stopping: Where seeds were added as long as comparisons were undecided; None for a fixed number.
        tuning: Where settings were tuned; then `cells` are those of the tuned variants. None where the spec is run as it is.
        notices: What the datasets had to say: what is left out of them, and what is read in a way of its own.
        split: `by_seed` where every seed shared out all images to training and test anew; None for the dataset's own parts.
        reused: What was trained with other versions of packages, and taken because the user said so; a sentence each.
        imported: Where the runs come from, where they are not of this study: nothing of it was planned before they ran. A cell's
            key is the name of its run then, and what nobody knows of it (`seconds`, `parameters`, …) is missing.
        evaluations: What the cells were measured by after the study.
        predictions: Where the file is, if there is one, of what a cell said of each evaluated image, by the cell's key;
            `ablate.predictions.read` reads it. None where nobody keeps any.
        inputs: The cells whose kept weights cells of this study use.
        thumbnails: Where the file is, if there is one, of a small picture of an evaluated image, by the digest of all of them
            (`ablate.predictions.Predictions.images`) and its place. None where nobody keeps any.
    """

    name: str
    question: str
    compare: Compare
    variants: tuple[VariantInfo, ...]
    cells: "pd.DataFrame"
    epochs: "pd.DataFrame"
    published: dict[str, Any] = field(default_factory=dict)
    provenance: tuple[dict[str, Any], ...] = ()
    factors: tuple[Factor, ...] = ()
    design: dict[str, Any] | None = None
    stopping: Stopping | None = None
    tuning: Tuning | None = None
    notices: tuple[str, ...] = ()
    split: Literal["by_seed"] | None = None
    reused: tuple[str, ...] = ()
    imported: Imported | None = None
    evaluations: tuple[Evaluated, ...] = ()
    inputs: tuple[Input, ...] = ()
    predictions: Callable[[str], Path] | None = field(default=None, compare=False)
    thumbnails: Callable[[str, int], Path] | None = field(default=None, compare=False)

    @property
    def references(self) -> dict[str, str]:
        """The variant that each variant is compared with; empty where its block has none."""
        return references(self.variants, self.compare.blocks, self.compare.reference)

    @property
    def every_cell(self) -> "pd.DataFrame":
        """`cells`, and those of the tuning before them."""
        if self.tuning is None:
            return self.cells
        import pandas as pd

        return pd.concat([self.tuning.cells, self.cells], ignore_index=True)

    def __repr__(self) -> str:
        done = int((self.cells["status"] == "done").sum())
        return f"Study({self.name!r}: {len(self.variants)} variants, {done} of {len(self.cells)} cells done)"
