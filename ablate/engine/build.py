"""A resolved recipe -> the objects that train it; and a trial of all of them before anything is trained."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ablate.errors import DiskProblem, Problem, describe
from ablate.recipe import Recipe
from ablate.records import DataInfo, Environment, Horizon
from ablate.registry import Registry, build

from . import data
from .pipeline import Pipeline, TransformError
from .seeding import generator, global_rng

if TYPE_CHECKING:  # it brings pandas, which workers do without
    from ablate.study import Compare

TRIAL = 2  # images that a recipe is tried with
COUNTED = ("ablate-core:accuracy", "ablate-core:top5_accuracy")  # metrics that are parts of the images; of others, values tell
Made = TypeVar("Made")


@dataclass(frozen=True)
class Parts:
    """What a recipe builds.

    Attributes:
        model: The network, on its device.
        optimizer: Over the network's trainable parameters.
        schedule: Step -> factor of the learning rate.
        loss: (logits `[N, K]`, labels) -> scalar.
        metrics: By name: (logits `[N, K]`, labels `[N]`) -> number.
        horizon: Length of the training.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]
    loss: Callable[[Tensor, Tensor], Tensor]
    metrics: Mapping[str, Callable[[Tensor, Tensor], float]]
    horizon: Horizon


class PartError(ValueError):
    """A part of a recipe cannot be built; `field` says which."""

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field


@contextmanager
def _blame(field: str) -> Iterator[None]:
    """Names the field of the recipe in whatever goes wrong inside."""
    try:
        yield
    except (PartError, TransformError):
        raise
    except Exception as error:  # factories are anybody's code
        raise PartError(field, describe(error)) from error


def pipelines(registry: Registry, recipe: Recipe, classes: int) -> tuple[Pipeline, Pipeline]:
    """The transforms of training and of evaluation."""
    made = []
    for field, purpose in (("train_transforms", "train"), ("eval_transforms", "eval")):
        transforms = {}
        for name, spec in recipe[field].items():
            with _blame(f"{field}.{name}"):
                transforms[name] = build(registry, "transform", spec)
        made.append(Pipeline(transforms, purpose, classes))
    return made[0], made[1]


def horizon_of(recipe: Recipe, images: int) -> Horizon:
    """The length of a training; a last batch or a last accumulation that is not full counts as one."""
    return Horizon(recipe["epochs"], -(-batches_of(recipe, images) // recipe["accumulate"]))


def batches_of(recipe: Recipe, images: int) -> int:
    """Batches of an epoch, the last one full or not."""
    return int(-(-images // recipe["batch_size"]))


def parts(registry: Registry, recipe: Recipe, info: DataInfo, images: int, seed: int, device: torch.device) -> Parts:
    """Builds a recipe for training images of this form and number.

    Raises:
        PartError: A factory fails.
    """
    horizon = horizon_of(recipe, images)
    given: dict[str, tuple[Any, ...]] = {"model": (info,), "scheduler": (horizon,), "metric": (info.classes,)}

    def made(kind: str, spec: Recipe, *arguments: Any) -> Any:
        return build(registry, kind, spec, *arguments, nested=given)

    with _blame("model"), global_rng(seed, "model"):
        model: nn.Module = _expect(made("model", recipe["model"], info), nn.Module)
    with _blame("initializer"), global_rng(seed, "initializer"):
        made("initializer", recipe["initializer"], model, generator(seed, "initializer"))
    model.to(device).to(memory_format=torch.channels_last)
    with _blame("optimizer"), global_rng(seed, "optimizer"):
        optimizer = _expect(made("optimizer", recipe["optimizer"], model), torch.optim.Optimizer)
    with _blame("scheduler"), global_rng(seed, "scheduler"):
        schedule = made("scheduler", recipe["scheduler"], horizon)
        float(schedule(0))
    with _blame("loss"), global_rng(seed, "loss"):
        loss = _on(device, made("loss", recipe["loss"]))
    metrics = {}
    for name, spec in recipe["metrics"].items():
        with _blame(f"metrics.{name}"), global_rng(seed, f"metrics/{name}"):
            metrics[name] = _on(device, made("metric", spec, info.classes))
    return Parts(model, optimizer, schedule, loss, metrics, horizon)


def _on(device: torch.device, made: Any) -> Any:
    """A loss or metric with what it holds where the images are, as far as torch can see it: buffers, and models nested in it."""
    return made.to(device) if isinstance(made, nn.Module) else made


def _expect(made: Any, kind: type[Made]) -> Made:
    if not isinstance(made, kind):
        raise TypeError(f"its factory gave a {type(made).__name__}; expected a {kind.__module__}.{kind.__name__}")
    return made


def preflight(
    registry: Registry, recipe: Recipe, environment: Environment, device: torch.device, compare: "Compare | None" = None
) -> list[Problem]:
    """Tries a recipe with two images, so that what cannot work is known before hours of training.

    So is a margin that is smaller than one image, where it is known how the study compares.

    Returns:
        The first problem in each of: the data, the training transforms, the evaluation transforms, the rest.
    """
    try:
        tensors = data.load(registry, recipe, environment, device)
    except DiskProblem:
        raise
    except Exception as error:  # factories are anybody's code
        return [Problem("dataset", describe(error))]
    found = _try(registry, recipe, tensors, device)
    if compare is not None and not found:
        return list(_margin_problems(recipe, len(tensors.evaluation.labels), compare))
    return found and _with_hints(registry, recipe, tensors, device, found)


def _margin_problems(recipe: Recipe, images: int, compare: "Compare") -> Iterator[Problem]:
    """A part of the images moves in steps of one image, and within less than a step nothing can be shown to be equivalent."""
    counted = recipe["metrics"].get(compare.metric, {}).get("use") in COUNTED
    if counted and compare.margin is not None and compare.margin < (1 - 1e-9) / images:
        message = f"{compare.margin:g} is less than one of the {images:,} images that {compare.metric!r} is a part of"
        yield Problem("compare.margin", message, f"Give at least {1 / images:.3g}, or evaluate more images.")


def _with_hints(
    registry: Registry, recipe: Recipe, tensors: data.Tensors, device: torch.device, found: list[Problem]
) -> list[Problem]:
    """The problems, with a remedy for those that are not there with grey images instead of RGB ones, or the other way round."""
    channels = tensors.info.channels
    other = {1: 3, 3: 1}.get(channels)
    if other is None:
        return found
    left = {problem.path for problem in _try(registry, recipe, _with_channels(tensors, other), device)}
    if "channels" in registry.load("dataset", recipe["dataset"]["use"]).signature.parameters:
        remedy = f'Give the dataset "channels": {other}.'
    else:
        remedy = f'Put {{"use": "grayscale", "channels": {other}}} first into the transforms of training and of evaluation.'
    hint = f"The images have {channels} channel{'s' * (channels > 1)}, and with {other} it works. {remedy}"
    return [problem if problem.path in left else replace(problem, hint=hint) for problem in found]


def _with_channels(tensors: data.Tensors, channels: int) -> data.Tensors:
    """As many images as a trial needs, with the first channel for all of so many."""

    def part(of: data.Part) -> data.Part:
        return replace(of, images=of.images[:TRIAL, :1].expand(-1, channels, -1, -1))

    info = replace(tensors.info, channels=channels)
    return replace(tensors, train=part(tensors.train), evaluation=part(tensors.evaluation), info=info)


def _try(registry: Registry, recipe: Recipe, tensors: data.Tensors, device: torch.device) -> list[Problem]:
    try:
        train, evaluation = pipelines(registry, recipe, tensors.info.classes)
    except PartError as error:
        return [Problem(error.field, str(error))]
    problems = []
    batches = []
    sides = (("train_transforms", train, tensors.train), ("eval_transforms", evaluation, tensors.evaluation))
    for field, pipeline, part in sides:
        try:
            images, labels = pipeline.on_chunk(part.images[:TRIAL], part.labels[:TRIAL], 0, 0, 0)
            batches.append((pipeline.on_batch(images), labels))
        except TransformError as error:
            problems.append(Problem(f"{field}.{error.name}".rstrip("."), str(error)))
    if problems:
        return problems
    try:
        channels, height, width = batches[0][0].shape[1:]
        info = DataInfo(channels, height, width, tensors.info.classes)
        built = parts(registry, recipe, info, len(tensors.train.labels), 0, device)
        _try_model(built, recipe, batches[0], batches[1], info.classes, len(tensors.train.labels))
    except PartError as error:
        return [Problem(error.field, str(error))]
    return []


def _try_model(
    built: Parts,
    recipe: Recipe,
    train: tuple[Tensor, Tensor],
    evaluation: tuple[Tensor, Tensor],
    classes: int,
    images: int,
) -> None:
    """Runs a batch in training, an evaluation batch, the loss and the metrics."""
    with _blame("model"), global_rng(0, "trial"):
        logits = built.model.train()(train[0])
        _check_logits(logits, len(train[0]), classes)
    if images % recipe["batch_size"] == 1 or recipe["batch_size"] == 1:
        with _blame("batch_size"), global_rng(0, "trial"), torch.no_grad():
            built.model(train[0][:1])
    with _blame("loss"):
        loss = built.loss(logits, train[1])
        if loss.ndim or not loss.requires_grad:
            raise ValueError(f"gave {tuple(loss.shape)}; expected one number that depends on the model's parameters")
    with _blame("model"), torch.no_grad():
        logits = built.model.eval()(evaluation[0])
        _check_logits(logits, len(evaluation[0]), classes)
    for name, metric in built.metrics.items():
        with _blame(f"metrics.{name}"):
            float(metric(logits, evaluation[1]))


def _check_logits(logits: Any, count: int, classes: int) -> None:
    if not isinstance(logits, Tensor):
        raise TypeError(f"its output is a {type(logits).__name__}; expected a tensor [{count}, {classes}]")
    if tuple(logits.shape) != (count, classes):
        raise ValueError(
            f"its output is {list(logits.shape)} for {count} images of {classes} classes; expected [{count}, {classes}]"
        )
