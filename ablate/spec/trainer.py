"""How a recipe is trained. A trainer is a component, and the recipe is its spec: the keyword-only parameters of its factory are
the fields that `base` may have.

The factory gets the registry and a resolved recipe, in which components are specs and not yet built, because what they are given
is known only when training begins. It returns a `Trainer`: plain values for what is known of the recipe before anything is
trained, and functions for the rest. Nothing here imports torch.
"""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.contracts import Cell, Environment, Json, Result
from ablate.errors import Problem
from ablate.registry import Registry
from ablate.spec.recipe import Recipe, trainer_component

if TYPE_CHECKING:
    from ablate.study import Compare

Record = dict[str, Json]
Steps = Generator[Record | None, None, Result]


class Interrupted(Exception):
    """Training was asked to stop, and what it needs to go on is saved."""


@dataclass(frozen=True)
class Extension:
    """A finished cell that differs in nothing but that it has fewer epochs, from whose end another one goes on.

    Attributes:
        state: File of its whole state.
        key: Its key.
        sha256: Of the file.
        epochs: How many it has.
    """

    state: Path
    key: str
    sha256: str
    epochs: int

    def to_json(self) -> Json:
        return {**asdict(self), "state": str(self.state)}

    @classmethod
    def from_json(cls, record: Json) -> "Extension":
        return cls(**{**record, "state": Path(record["state"])})


@dataclass(frozen=True)
class Controls:
    """How a training talks to what runs it.

    Attributes:
        checkpoint: File of its state.
        checkpoint_seconds: Time between two savings.
        should_stop: Asked after each batch.
        check: Called before a state is saved; raises where what trains is not what was planned.
        weights: File to keep the trained weights in, by a trainer that `keeps`; None for none.
        state: File to keep the whole state at the end in, beside `weights`; None for none.
        extends: What a cell without a state of its own begins with, by a trainer that can; None for nothing.
        progress: Told after a batch how many epochs are done, with the part of the one that runs; of trainers that know it.
    """

    checkpoint: Path
    checkpoint_seconds: float = 60.0
    should_stop: Callable[[], bool] = lambda: False
    check: Callable[[], object] = lambda: None
    weights: Path | None = None
    state: Path | None = None
    extends: Extension | None = None
    progress: Callable[[float], object] = lambda epochs: None

    @property
    def folder(self) -> Path:
        """In place of the file, a folder for a training whose state is more than one file."""
        return self.checkpoint.with_suffix("")


@dataclass(frozen=True)
class Tunable:
    """What `tune` has to know of a recipe.

    Attributes:
        recipe: The same, told on data that neither trains nor tells the results of the study.
        judges: Fields by which settings are judged, so that they cannot be tuned.
        lengths: Fields that say how long it is; they cannot be tuned where the study compares at one epoch.
        problems: Why settings of this recipe cannot be judged; told for all variants together.
    """

    recipe: Recipe
    judges: Sequence[str]
    lengths: Sequence[str]
    problems: Sequence[Problem] = ()


@dataclass(frozen=True)
class Facts:
    """What is known of a recipe's data before anything is trained.

    Attributes:
        notices: What its user has to know.
        images: Number of training images; None where it is not known.
    """

    notices: Sequence[str] = ()
    images: int | None = None


@dataclass(frozen=True)
class Pace:
    """How long a whole training takes, as a part of it tells; seconds.

    Attributes:
        seconds: From its first batch to its result, with what comes before the batch once the data is there.
        low: The same, where all of it goes as fast as the fastest piece that was measured.
        high: As slow as the slowest.
        once: What is done once for all trainings of a process: data and what every epoch would do to it alike.
        spent: What the measuring took.
        measured: What was measured, in words.
    """

    seconds: float
    low: float
    high: float
    once: float
    spent: float
    measured: str


def _nothing(*_: object) -> Sequence[Any]:
    return ()


@dataclass(frozen=True)
class Trainer:
    """A recipe as its trainer knows it.

    Attributes:
        metrics: Names of what is measured; for each whether less of it is better, or None where nobody says.
        train: Trains a cell on a device (`cpu`, `cuda` or `cuda:N`; `cuda:0,2` where it takes two), from its checkpoint where it
            has one: a generator that yields None where it may be interrupted, and a record of each epoch; and returns the
            result. It asks `controls.should_stop` then, and raises `Interrupted` when it has saved its state. A record is a JSON
            object with `epoch` (from 1) and metrics; also `train_loss`, `lr`, `seconds` and `images_per_second` where there are
            such.
        epochs: How many records it gives, or None where that is not known before.
        threads: Threads that it computes with, on each device.
        devices: Devices that it trains a cell on.
        imports: Modules that it trains with and that take long to import: a worker process does so before its first cell begins.
        repeats: Whether the same cell gives the same numbers each time.
        shares: Whether several cells can take turns in one process on a GPU.
        keeps: Whether it can keep the trained weights for `load_model`, `predict` and `evaluate`.
        settings: What a spec declares for the study to vary, beside the fields themselves: levels may change the values, and no
            names and types.
        selects: The metric that selects the epoch that counts; None for the last.
        data: What names the data, as JSON, so that variants with the same data are looked at once.
        fingerprint: SHA-256 (hex) of that data, or any text that changes with it.
        identity: What else a cell depends on, by device type, beside the recipe, the data and the packages of its components:
            `packages` has versions by name, any other entry is JSON.
        problems: What is wrong with the recipe as such, as far as its fields tell.
        device_problems: What a device (its type) cannot compute.
        not_told_at: Why there are no metrics at an epoch; empty where there are. It need not speak of those beyond `epochs`.
        facts: What is known of the data; once for all variants with the same data.
        remarks: What does not do what it says, with these facts and on this type of device.
        preflight: Tries the recipe on a device before anything is trained, and gives what is wrong with it; notices are appended
            to the list. It gets how the study compares, or None where it is not told on the data that decides.
        tunable: What `tune` has to know; None where settings of this recipe cannot be judged.
        extendable: Why a cell's training does not begin, on a device, as the same one with so many epochs does, so that it cannot
            go on from the end of that. None where the trainer goes on from no other cell.
        pace: Trains a cell for about so many seconds and says how long all of it takes, a generator that yields where others may
            have a turn; None where that is not known before.
        fetch: Downloads and prepares the data, and says in a line what there is; None where there is nothing to fetch.
        reached: How far a cell's saved state is, as epochs and batches of the next one; None where there is none.
    """

    metrics: Mapping[str, bool | None]
    train: Callable[[Cell, Environment, str, Controls], Steps]
    epochs: int | None = None
    threads: int = 1
    devices: int = 1
    imports: Sequence[str] = ()
    repeats: bool = True
    shares: bool = False
    keeps: bool = False
    settings: Json = None
    selects: str | None = None
    data: Json = None
    fingerprint: Callable[[Environment], str] = lambda environment: ""
    identity: Callable[[str], Record] = lambda device: {}
    problems: Callable[[], Iterable[Problem]] = _nothing
    device_problems: Callable[[str], Iterable[Problem]] = _nothing
    not_told_at: Callable[[int], str] = lambda epoch: ""
    facts: Callable[[Environment], Facts] = lambda environment: Facts()
    remarks: Callable[[Facts, str], Iterable[Problem]] = _nothing
    preflight: Callable[[Environment, str, "Compare | None", list[Problem]], Iterable[Problem]] = _nothing
    tunable: Tunable | None = None
    extendable: Callable[[Cell, Environment, str, int], Iterable[Problem]] | None = None
    pace: Callable[[Cell, Environment, str, float], Generator[None, None, Pace]] | None = None
    fetch: Callable[[Environment], str] | None = None
    reached: Callable[[Controls, str], tuple[int, int] | None] = lambda controls, key: None


def trainer_of(registry: Registry, recipe: Recipe) -> Trainer:
    """What the trainer of a resolved recipe says of it."""
    loaded = trainer_component(registry, recipe)
    made: Trainer = loaded.factory(registry, **{name: value for name, value in recipe.items() if name != "use"})
    return made
