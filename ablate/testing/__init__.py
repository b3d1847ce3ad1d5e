"""What a component has to keep, as test classes that pytest runs.

    from ablate.testing import OptimizerContract

    class TestLion(OptimizerContract):
        component = {"use": "lion", "lr": 0.001}

There is one class for each kind. `component` is what a spec would say; the other attributes of a class say with what it is tried.
A test that fails says what to change. Running them needs pytest, and the component's package installed.
"""

from collections.abc import Mapping

from .component import ComponentContract
from .datasets import DatasetContract
from .designs import DesignContract
from .executors import ExecutorContract
from .initializers import InitializerContract
from .losses import LossContract
from .metrics import MetricContract
from .models import ModelContract
from .optimizers import OptimizerContract
from .samplers import SamplerContract
from .schedulers import SchedulerContract
from .sources import SourceContract
from .steps import StepContract
from .trainers import TrainerContract
from .transforms import TransformContract
from .tuners import TunerContract

CONTRACTS: Mapping[str, type[ComponentContract]] = {
    contract.kind: contract
    for contract in (
        TrainerContract,
        DatasetContract,
        ModelContract,
        InitializerContract,
        OptimizerContract,
        SchedulerContract,
        TransformContract,
        LossContract,
        MetricContract,
        StepContract,
        SamplerContract,
        DesignContract,
        TunerContract,
        ExecutorContract,
        SourceContract,
    )
}

__all__ = [
    "CONTRACTS",
    "ComponentContract",
    "DatasetContract",
    "DesignContract",
    "ExecutorContract",
    "InitializerContract",
    "LossContract",
    "MetricContract",
    "ModelContract",
    "OptimizerContract",
    "SamplerContract",
    "SchedulerContract",
    "SourceContract",
    "StepContract",
    "TrainerContract",
    "TransformContract",
    "TunerContract",
]
