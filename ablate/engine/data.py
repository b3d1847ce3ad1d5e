"""A recipe's images as tensors, loaded once a process for all cells that use them."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from ablate.errors import EnvironmentProblem
from ablate.identity import canonical_json
from ablate.recipe import Recipe
from ablate.records import Data, DataInfo, Environment, Split
from ablate.registry import Registry, build


@dataclass(frozen=True)
class Part:
    """Images uint8 `[N, C, H, W]` and labels int64 `[N]`, on the device where they are used."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Tensors:
    """What a cell trains and evaluates on.

    Attributes:
        train: Training images.
        evaluation: The images of the recipe's `eval_split`.
        test: The test images.
        info: Their channels, size and number of classes, before any transform.
    """

    train: Part
    evaluation: Part
    test: Part
    info: DataInfo


def load(registry: Registry, recipe: Recipe, environment: Environment, device: torch.device) -> Tensors:
    """The images of a recipe.

    Raises:
        EnvironmentProblem: The data is missing or damaged, or has no validation part and the recipe evaluates on it.
    """
    loaded = _load(_Spec(registry, recipe["dataset"], canonical_json(recipe["dataset"])), environment, device)
    evaluation = loaded.validation if recipe["eval_split"] == "validation" else loaded.test
    if evaluation is None:
        raise EnvironmentProblem(
            "eval_split is 'validation', and the dataset holds out no images for it. "
            "Give the dataset a `validation` part, such as 0.1."
        )
    return Tensors(loaded.train, evaluation, loaded.test, loaded.info)


class _Spec:
    """A dataset's spec, compared by its canonical text, so that a loaded one can be found again."""

    def __init__(self, registry: Registry, spec: Recipe, text: str):
        self.registry, self.spec, self.text = registry, spec, text

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Spec) and self.text == other.text


@dataclass(frozen=True)
class _Loaded:
    """A dataset on a device."""

    train: Part
    validation: Part | None
    test: Part
    info: DataInfo


@lru_cache(maxsize=2)
def _load(dataset: _Spec, environment: Environment, device: torch.device) -> _Loaded:
    data: Data = build(dataset.registry, "dataset", dataset.spec, environment).load()
    for name, split in (("training", data.train), ("test", data.test)):
        if not len(split.labels):
            raise EnvironmentProblem(f"dataset {dataset.spec['use']!r} has no {name} images")
    channels, height, width = data.train.images.shape[1:]
    info = DataInfo(channels, height, width, len(data.class_names))
    validation = None if data.validation is None else _part(data.validation, device)
    return _Loaded(_part(data.train, device), validation, _part(data.test, device), info)


def _part(split: Split, device: torch.device) -> Part:
    return Part(torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device))
