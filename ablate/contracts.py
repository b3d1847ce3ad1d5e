"""The plain records that flow between the parts. Nothing here imports torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .photographs import Photographs

Json = Any  # what `json.loads` returns
Targets = Literal["class", "regression", "multilabel", "mask"]  # what a dataset's labels are, see `Split`
IGNORED = -100  # the class of a pixel that does not count, as torch's cross-entropy has it
MOST_VARIANTS = 10_000  # of a study
LOSS_NOT_FINITE = "the training loss is not finite"
CELL_COLUMNS = ("variant", "seed", "key", "status", "error", "seconds", "parameters", "weights_sha256")
EPOCH_NUMBERS = ("epoch", "train_loss", "lr", "seconds", "images_per_second")
EPOCH_NOTES = ("selected", "diverged", "missing", "at_chance", "eager_because", "stopped")
TAKEN = frozenset((*CELL_COLUMNS, *EPOCH_NUMBERS, *EPOCH_NOTES))  # names that no metric can have


@dataclass(frozen=True)
class Environment:
    """What a dataset factory is given.

    Attributes:
        data_dir: Directory for downloads and decoded caches; it may not exist yet.
        download: Whether missing data may be fetched from the network.
    """

    data_dir: Path
    download: bool = True


@dataclass(frozen=True)
class Split:
    """Images and their labels.

    Attributes:
        images: uint8 `[N, C, H, W]`; may be memory-mapped and read-only. Or images of any size, which stay encoded.
        labels: int64 `[N]`, each in `[0, classes)`. Where the dataset has other `targets`: numbers, float32 `[N]` or `[N, D]`
            (regression); 0 or 1 for each label, float32 `[N, K]` (multilabel); or the class of each pixel, int64
            `[N, H, W]`, -100 where it does not count (mask).
    """

    images: "npt.NDArray[np.uint8] | Photographs"
    labels: "npt.NDArray[Any]"


@dataclass(frozen=True)
class Data:
    """A loaded dataset.

    Attributes:
        train: What is trained on; without the held-out part where one was asked for.
        test: What is evaluated on in the end.
        validation: The held-out part of the training set, or None.
        class_names: One name a class, in the order of the labels; of regression one a number, and of multilabel one a label.
        targets: What the labels are.
    """

    train: Split
    test: Split
    validation: Split | None
    class_names: tuple[str, ...]
    targets: Targets = "class"


class Dataset(Protocol):
    """What a dataset factory returns: a handle that costs nothing until it is used.

    It may have two more methods. `training_images() -> int | None` is the number of training images, or the most that there can
    be, where it is known without loading them: `ablate check` then says where a batch is larger than that.
    `notices() -> Sequence[str]` is what a user has to know and is no error: what was left out, and how what is out of the
    ordinary was read, a sentence each, with the place and a number. It is asked after `fingerprint`, and again after `load`; what
    is only known then may be missing before.
    """

    def fingerprint(self) -> str:
        """SHA-256 (hex) of what `load` returns: pixels, labels, class names, and the split.

        Raises:
            EnvironmentProblem: The data is missing or damaged.
        """
        ...

    def load(self) -> Data:
        """The images in memory (or memory-mapped), downloading and decoding them first where needed.

        Raises:
            EnvironmentProblem: The data is missing or damaged.
        """
        ...


@dataclass(frozen=True)
class DataInfo:
    """What a model factory is given: the images as they come out of the transforms, and what it is to say of them.

    Attributes:
        channels: Of an image.
        height: In pixels.
        width: In pixels.
        classes: Outputs of the model: one a class, a label, or a number.
        targets: What the labels are. The output is `[N, classes]`; of masks it is `[N, classes, H, W]`.
    """

    channels: int
    height: int
    width: int
    classes: int
    targets: Targets = "class"

    @property
    def any_size(self) -> bool:
        """Whether each image has a height and a width of its own: they are photographs, and both are 0 here."""
        return self.height == 0

    @property
    def float32_bytes(self) -> int:
        """Of one image."""
        return 4 * self.channels * self.height * self.width


@dataclass(frozen=True)
class Horizon:
    """What a scheduler factory is given: the length of the training.

    Attributes:
        epochs: Number of epochs.
        steps_per_epoch: Number of optimizer steps in each.
    """

    epochs: int
    steps_per_epoch: int


@dataclass(frozen=True)
class Factor:
    """What a design factory is given for each factor.

    Attributes:
        name: As the spec has it.
        base: The level that leaves the base recipe as it is.
        others: The levels that change it, in the order of the spec; at least one.
    """

    name: str
    base: str
    others: tuple[str, ...]


Assignment = dict[str, str]  # a level for every factor, in the order of the spec


@dataclass(frozen=True)
class Range:
    """A setting that a tuner takes from an interval. Both ends are `int` where the setting is a whole number, else `float`.

    Attributes:
        low: The smallest value.
        high: The largest value.
        log: Whether ratios matter, and not differences.
        step: Between two values, counted from `low`; None for any value, 1 unless given for whole numbers.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int)


@dataclass(frozen=True)
class Choice:
    """A setting that a tuner chooses.

    Attributes:
        values: At least two, of any JSON type.
    """

    values: tuple[Json, ...]


Space = dict[str, Range | Choice]  # what a tuner factory is given: what is searched, by its path in the recipe
Setting = dict[str, Json]  # a value for every path of a space


@dataclass(frozen=True)
class Trial:
    """A setting that was tried, or is about to be.

    Attributes:
        setting: That of the first trial is what the spec says, which may lie outside the space.
        value: What came of it: the larger, the better; NaN where it failed, None where that is not known yet.
    """

    setting: Setting
    value: float | None = None


class Tuner(Protocol):
    """What a tuner factory returns: a function of the trials so far, and of nothing else."""

    def __call__(self, trials: Sequence[Trial], /) -> Setting | None:
        """The setting of the next trial; None to wait until the values of all trials are known.

        An interrupted study asks again for every trial from the first one on, and has to get the same answers.
        """
        ...


@dataclass(frozen=True)
class Cell:
    """One variant with one seed: the unit that is trained, stored, cached, resumed and retried.

    Attributes:
        key: SHA-256 (hex) of everything that the result depends on.
        recipe: The resolved recipe with every default filled in.
        seed: Counter from which all randomness of the cell is derived.
        device: `cpu` or `cuda`.
        identity: What the key was computed from, beside recipe and seed: data fingerprint, package versions, device type.
    """

    key: str
    recipe: dict[str, Json]
    seed: int
    device: str
    identity: dict[str, Json] = field(default_factory=dict)

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Json]) -> "Cell":
        return cls(**record)


@dataclass(frozen=True)
class Result:
    """What training a cell gave.

    Attributes:
        epochs: One record an epoch: `epoch` (from 1); `train_loss`, `lr`, `seconds`, `images_per_second` where the trainer tells
            them; each metric of the recipe where the epoch was evaluated, None where it has no value; `selected` where the recipe
            selected this epoch; and in words where it applies `diverged`, why the epoch has no value in any metric; `missing`,
            for each other metric without a value why; `at_chance`, why the answers are no better than guesses; and on a GPU
            `eager_because`, why steps were not replayed as a graph; `stopped`, who ended the training with this epoch.
        metrics: The metrics after the last epoch; where the recipe selects an epoch, those of that one on the test images.
        weights_sha256: Digest of the final weights, to compare two runs bit for bit; None where the trainer does not see them.
        seconds: Wall-clock time of training and evaluation, over all sittings.
        parameters: Number of trainable parameters; None where the trainer does not know it.
        trained: The cell's identity as `ablate.executors.training` found it in the process that trained: packages as imported,
            data as loaded. None where something else made the result.
        evaluated_images: Number of images that `metrics` are of; None where nobody counted.
        state_sha256: Digest of the file of the whole state at the end, where it was written; None where it was not.
        predictions: What was said of each of these images, as `ablate.predictions.packed` has it; None where a metric has no
            value because of outputs that are not finite, and of trainers that do not tell it.
        kept_sha256: Digest of the weights that `metrics` are of, where they were written to a file; None where they were not.
        machine: What the process that trained it ran on, as `ablate.machine.machine` has it; None where it did not tell.
    """

    epochs: list[dict[str, Json]]
    metrics: dict[str, float | None]
    weights_sha256: str | None
    seconds: float
    parameters: int | None
    trained: dict[str, Json] | None = None
    evaluated_images: int | None = None
    kept_sha256: str | None = None
    predictions: str | None = None
    machine: dict[str, Json] | None = None
    state_sha256: str | None = None

    def to_json(self) -> dict[str, Json]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Json]) -> "Result":
        return cls(**record)


@dataclass(frozen=True)
class Estimate:
    """How long a run takes from its start to its last result.

    Attributes:
        cells: How many are to be trained; where seeds are added until it is decided, and where settings are tuned, at most.
        jobs: How many run at once.
        seconds: What is expected; None where it is not known, and where it depends on how many seeds are added.
        low: The least; None where nothing is known.
        high: The most.
        sources: What it is told by, in words.
        unknown: Why it is not known, in words.
    """

    cells: int
    jobs: int
    seconds: float | None = None
    low: float | None = None
    high: float | None = None
    sources: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def believed(epochs: list[dict[str, Json]], metrics: dict[str, Json]) -> tuple[list[dict[str, Json]], dict[str, Json]]:
    """A cell's epochs and metrics as they were stored, without the metrics of a network whose training loss was not finite.

    The engine gives it none, and says why; earlier versions gave it those of the first class, which is what `argmax` makes of
    NaN.
    """
    records = [
        epoch | {name: None for name in metrics if name in epoch} | {"diverged": epoch.get("diverged", LOSS_NOT_FINITE)}
        if epoch.get("train_loss", 0.0) is None
        else epoch
        for epoch in epochs
    ]
    counted = next((epoch for epoch in epochs if epoch.get("selected")), epochs[-1] if epochs else {})
    return records, dict.fromkeys(metrics) if counted.get("train_loss", 0.0) is None else metrics
