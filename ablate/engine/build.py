"""A resolved recipe -> the objects that train it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ablate.contracts import DataInfo, Horizon, Targets
from ablate.errors import describe
from ablate.registry import Given, Registry, build
from ablate.spec.recipe import Recipe

from .accelerators import measured_on
from .masks import UNKNOWN, knows_masks
from .pipeline import Pipeline, TransformError
from .seeding import generator, global_rng
from .steps import Training, TrainStep
from .targets import misfit

Made = TypeVar("Made")


@dataclass(frozen=True)
class Parts:
    """What a recipe builds.

    Attributes:
        model: The network, on its device.
        optimizer: Over the network's trainable parameters.
        schedule: Step -> factor of the learning rate.
        loss: (outputs, labels) -> scalar; logits `[N, K]` unless the dataset's targets are others.
        metrics: By name: (outputs, labels) -> number.
        horizon: Length of the training.
        step: The recipe's own step; None where it has none.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]
    loss: Callable[[Tensor, Tensor], Tensor]
    metrics: Mapping[str, Callable[[Tensor, Tensor], float]]
    horizon: Horizon
    step: TrainStep | None = None


class PartError(ValueError):
    """A part of a recipe cannot be built; `field` says which."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


@contextmanager
def blame(field: str) -> Iterator[None]:
    """Names the field of the recipe in whatever goes wrong inside."""
    try:
        yield
    except (PartError, TransformError):
        raise
    except Exception as error:  # factories are anybody's code
        raise PartError(field, describe(error)) from error


def pipelines(registry: Registry, recipe: Recipe, classes: int, targets: Targets = "class") -> tuple[Pipeline, Pipeline]:
    """The transforms of training and of evaluation.

    Raises:
        PartError: A factory fails, or the targets are masks and a transform does not say what becomes of them.
    """
    made = []
    for field, purpose in (("train_transforms", "train"), ("eval_transforms", "eval")):
        transforms = {}
        for name, spec in recipe[field].items():
            with blame(f"{field}.{name}"):
                transforms[name] = build(registry, "transform", spec)
                if targets == "mask" and not knows_masks(transforms[name]):
                    raise ValueError(UNKNOWN)
        made.append(Pipeline(transforms, purpose, classes, targets))
    return made[0], made[1]


def horizon_of(recipe: Recipe, images: int) -> Horizon:
    """The length of a training; a last batch or a last accumulation that is not full counts as one."""
    return Horizon(recipe["epochs"], -(-batches_of(recipe, images) // recipe["accumulate"]))


def batches_of(recipe: Recipe, images: int) -> int:
    """Batches of an epoch, the last one full or not."""
    return int(-(-images // recipe["batch_size"]))


def parts(
    registry: Registry,
    recipe: Recipe,
    info: DataInfo,
    images: int,
    seed: int,
    device: torch.device,
    samples: int | None = None,
) -> Parts:
    """Builds a recipe for training images of this form.

    Args:
        registry: What is installed.
        recipe: Resolved.
        info: Form of the images behind the transforms.
        images: How many an epoch trains on.
        seed: That of the cell.
        device: Where all parts are to be.
        samples: Number of training images, where an epoch trains on more or less than all of them.

    Raises:
        PartError: A factory fails.
    """
    horizon = horizon_of(recipe, images)
    given: Given = {"model": (info,), "scheduler": (horizon,), "metric": (info.classes,)}

    def made(kind: str, spec: Recipe, *arguments: Any) -> Any:
        return build(registry, kind, spec, *arguments, nested=given)

    model = network(registry, recipe, info, seed, given)
    with blame("initializer"), global_rng(seed, "initializer"):
        made("initializer", recipe["initializer"], model, generator(seed, "initializer"))
    model.to(device).to(memory_format=torch.channels_last)
    with blame("optimizer"), global_rng(seed, "optimizer"):
        optimizer = _expect(made("optimizer", recipe["optimizer"], model), torch.optim.Optimizer)
    with blame("scheduler"), global_rng(seed, "scheduler"):
        schedule = made("scheduler", recipe["scheduler"], horizon)
        float(schedule(0))
    with blame("loss"):
        _check_fits(registry, "loss", recipe["loss"], info)
    loss = loss_of(registry, recipe, seed, device, given)
    metrics = metrics_of(registry, recipe, info, seed, device, given)
    step = None
    if recipe.get("step"):
        count = images if samples is None else samples
        training = Training(model, optimizer, loss, horizon, count, info.classes, device, recipe["precision"])
        with blame("step"), global_rng(seed, "step/made"):
            step = _on(device, made("step", recipe["step"], training))
    return Parts(model, optimizer, schedule, loss, metrics, horizon, step)


def network(registry: Registry, recipe: Recipe, info: DataInfo, seed: int, given: Given) -> nn.Module:
    """A recipe's model as its factory gives it, on the CPU.

    Raises:
        PartError: The factory fails.
    """
    with blame("model"), global_rng(seed, "model"):
        return _expect(build(registry, "model", recipe["model"], info, nested=given), nn.Module)


def metrics_of(
    registry: Registry, recipe: Recipe, info: DataInfo, seed: int, device: torch.device, given: Given
) -> dict[str, Callable[[Tensor, Tensor], float]]:
    """A recipe's metrics by name.

    Raises:
        PartError: A factory fails, or a metric is for other targets.
    """
    metrics = {}
    for name, spec in recipe["metrics"].items():
        with blame(f"metrics.{name}"), global_rng(seed, f"metrics/{name}"):
            _check_fits(registry, "metric", spec, info)
            metrics[name] = _on(measured_on(device), build(registry, "metric", spec, info.classes, nested=given))
    return metrics


def _check_fits(registry: Registry, kind: str, spec: Recipe, info: DataInfo) -> None:
    if why := misfit(registry, kind, spec, info.targets):
        raise ValueError(why)


def loss_of(
    registry: Registry, recipe: Recipe, seed: int, device: torch.device, given: Given
) -> Callable[[Tensor, Tensor], Tensor]:
    """A recipe's loss.

    Raises:
        PartError: The factory fails.
    """
    with blame("loss"), global_rng(seed, "loss"):
        loss: Callable[[Tensor, Tensor], Tensor] = _on(device, build(registry, "loss", recipe["loss"], nested=given))
        return loss


def _on(device: torch.device, made: Any) -> Any:
    """A loss, metric or step with what it holds where the images are, as far as torch sees it: buffers, models nested in it."""
    return made.to(device) if isinstance(made, nn.Module) else made


def _expect(made: Any, kind: type[Made]) -> Made:
    if not isinstance(made, kind):
        raise TypeError(f"its factory gave a {type(made).__name__}; expected a {kind.__module__}.{kind.__name__}")
    return made


def average(model: nn.Module, decay: float | None) -> AveragedModel | None:
    """The moving average of a model's weights and buffers; None without a decay."""
    if decay is None:
        return None
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def follow(average: AveragedModel, model: nn.Module) -> None:
    """What `average.update_parameters(model)` does, without copying its count to the device each time, which nothing reads."""
    if not average.n_averaged:
        average.update_parameters(model)
        return
    groups: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    owns = chain(average.module.parameters(), average.module.buffers())
    for own, other in zip(owns, chain(model.parameters(), model.buffers()), strict=False):  # as torch has it
        mine, others = groups.setdefault(own.dtype, ([], []))
        mine.append(own.detach())
        others.append(other.detach())
    update: Any = average.multi_avg_fn
    for mine, others in groups.values():
        update(mine, others, average.n_averaged)
    average.n_averaged += 1
