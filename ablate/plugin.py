"""What a plugin imports from ablate: the one page for authors. Their tests import from `ablate.testing`.

What needs torch is imported when it is asked for, so that a listener or a source stays light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ablate import executors
from ablate.contracts import (
    Assignment,
    Cell,
    Choice,
    Data,
    DataInfo,
    Dataset,
    Environment,
    Factor,
    Horizon,
    Range,
    Result,
    Setting,
    Space,
    Split,
    Trial,
    Tuner,
)
from ablate.errors import AblateError, EnvironmentProblem, Problem, UsageError, did_you_mean
from ablate.judging import runs
from ablate.registry import Registry, build, default
from ablate.registry.hooks import CellInfo, hookimpl
from ablate.registry.params import (
    Bound,
    Choices,
    DataPath,
    FilePath,
    FolderPath,
    Fraction,
    Nested,
    NonNegative,
    NonNegativeInt,
    Positive,
    PositiveInt,
    Unit,
)
from ablate.spec.trainer import Controls, Facts, Interrupted, Record, Steps, Trainer, Tunable
from ablate.study import Compare, Study, VariantInfo

if TYPE_CHECKING:
    from ablate.components.fingerprints import fingerprint
    from ablate.components.optimizers import trainable
    from ablate.components.splits import arrange
    from ablate.components.transforms import Transform, deterministic, fixes_size, moves_masks, photometric
    from ablate.engine.evaluation import Evaluation
    from ablate.engine.sampling import Sampler, Samples
    from ablate.engine.seeding import derive
    from ablate.engine.steps import Batch, Training, TrainStep

_WITH_TORCH = {
    "arrange": "ablate.components.splits",
    "fingerprint": "ablate.components.fingerprints",
    "trainable": "ablate.components.optimizers",
    "Transform": "ablate.components.transforms",
    "deterministic": "ablate.components.transforms",
    "fixes_size": "ablate.components.transforms",
    "moves_masks": "ablate.components.transforms",
    "photometric": "ablate.components.transforms",
    "Evaluation": "ablate.engine.evaluation",
    "Sampler": "ablate.engine.sampling",
    "Samples": "ablate.engine.sampling",
    "derive": "ablate.engine.seeding",
    "Batch": "ablate.engine.steps",
    "Training": "ablate.engine.steps",
    "TrainStep": "ablate.engine.steps",
}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TORCH[name]), name)


__all__ = [
    "AblateError",
    "Assignment",
    "Batch",
    "Bound",
    "Cell",
    "CellInfo",
    "Choice",
    "Choices",
    "Compare",
    "Controls",
    "Data",
    "DataInfo",
    "DataPath",
    "Dataset",
    "Environment",
    "EnvironmentProblem",
    "Evaluation",
    "Factor",
    "Facts",
    "FilePath",
    "FolderPath",
    "Fraction",
    "Horizon",
    "Interrupted",
    "Nested",
    "NonNegative",
    "NonNegativeInt",
    "Positive",
    "PositiveInt",
    "Problem",
    "Range",
    "Record",
    "Registry",
    "Result",
    "Sampler",
    "Samples",
    "Setting",
    "Space",
    "Split",
    "Steps",
    "Study",
    "TrainStep",
    "Trainer",
    "Training",
    "Transform",
    "Trial",
    "Tunable",
    "Tuner",
    "Unit",
    "UsageError",
    "VariantInfo",
    "arrange",
    "build",
    "default",
    "derive",
    "deterministic",
    "did_you_mean",
    "executors",
    "fingerprint",
    "fixes_size",
    "hookimpl",
    "moves_masks",
    "photometric",
    "runs",
    "trainable",
]
