"""Each recipe is tried before anything is trained: what cannot work is known after a few images, and not after hours."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from ablate.contracts import DataInfo, Environment
from ablate.errors import Checking, DiskProblem, Problem, checked, problem_of
from ablate.photographs import Photographs
from ablate.registry import Registry
from ablate.spec.recipe import Recipe

from . import data
from .ahead import photograph
from .batches import chunks
from .branches import notes_of_random_evaluation, try_transforms
from .build import PartError, horizon_of, parts, pipelines
from .epochs import tell_transforms, try_epochs
from .pipeline import Pipeline, TransformError
from .preflight_parts import Batch, try_metrics, try_model, try_schedule, try_steps
from .preflight_step import try_own_step
from .prepared import Prepared, as_they_come, form_of, made_once
from .sampling import Order
from .sizes import size_notes
from .targets import WORDS, mask_notes, misfits

if TYPE_CHECKING:  # it brings pandas, which workers do without
    from ablate.study import Compare

FEW = 2  # images that a recipe is tried with
ALONE = (
    "With this batch_size an image goes through the model alone, in the last batch of an epoch or on a device. Choose another."
)
COUNTED = ("ablate-core:accuracy", "ablate-core:top5_accuracy")  # metrics that are parts of the images; of others, values tell


def preflight(
    registry: Registry,
    recipe: Recipe,
    environment: Environment,
    device: torch.device,
    compare: "Compare | None" = None,
) -> Checking[list[Problem]]:
    """Tries a recipe with two images, so that what cannot work is known before hours of training.

    So is a margin that is smaller than one image, where it is known how the study compares.

    Args:
        registry: What is installed.
        recipe: Resolved.
        environment: Where the data is.
        device: Where it is tried.
        compare: How the study compares.

    Yields:
        All parts that are for other targets than the data has; else the first problem in each of: the data, the training
        transforms, the evaluation transforms, the rest.

    Returns:
        What works and is probably not meant.
    """
    tensors = yield from _loaded(registry, recipe, environment)
    if tensors is None:
        return []
    notices, found = checked(_try(registry, recipe, tensors, device))
    if found:
        yield from _with_hints(registry, recipe, tensors, device, found)
        return []
    if recipe.get("split"):
        notices += _notes_of_copies(data.copies(registry, recipe, environment))
    if compare is not None:
        told = tensors.evaluation if recipe["select"] is None else tensors.test  # the selected epoch is told on other images
        yield from _margin_problems(recipe, len(told.labels), compare)
    return notices


def _loaded(registry: Registry, recipe: Recipe, environment: Environment) -> Checking[data.Tensors | None]:
    """The images; None where parts of the recipe are for other targets than they have."""
    try:
        own = data.load(registry, {**recipe, "split": None}, 0, environment, torch.device("cpu"))
        unfit = list(misfits(registry, recipe, own.info.targets))
        if not unfit:
            return data.load(registry, recipe, 0, environment, torch.device("cpu"))
    except DiskProblem:
        raise
    except Exception as error:  # factories are anybody's code
        unfit = [problem_of("dataset", error)]
    yield from unfit
    return None


def _notes_of_copies(count: int) -> Iterator[Problem]:
    if count:
        message = f"{count:,} images are there more than once, and every seed may train on one copy and test another"
        yield Problem("split", message)


def _margin_problems(recipe: Recipe, images: int, compare: "Compare") -> Iterator[Problem]:
    """A part of the images moves in steps of one image, and within less than a step nothing can be shown to be equivalent."""
    counted = recipe["metrics"].get(compare.metric, {}).get("use") in COUNTED
    if counted and compare.margin is not None and compare.margin < (1 - 1e-9) / images:
        message = f"{compare.margin:g} is less than one of the {images:,} images that {compare.metric!r} is a part of"
        yield Problem("compare.margin", message, f"Give at least {1 / images:.3g}, or evaluate more images.")


def _with_hints(
    registry: Registry, recipe: Recipe, tensors: data.Tensors, device: torch.device, found: Sequence[Problem]
) -> Iterator[Problem]:
    """The problems, with a remedy for those that are not there with grey images instead of RGB ones, or the other way round."""
    channels = tensors.info.channels
    others: dict[int, Literal[1, 3]] = {1: 3, 3: 1}
    other = others.get(channels)
    if other is None:
        yield from found
        return
    left = {problem.path for problem in _try(registry, recipe, _with_channels(tensors, other), device)}
    if not left < {problem.path for problem in found}:  # nothing is better, or what comes before fails in its place
        yield from found
        return
    if "channels" in registry.load("dataset", recipe["dataset"]["use"]).signature.parameters:
        remedy = f'Give the dataset "channels": {other}.'
    else:
        remedy = f'Put {{"use": "grayscale", "channels": {other}}} first into the transforms of training and of evaluation.'
    hint = f"The images have {channels} channel{'s' * (channels > 1)}, and with {other} it works. {remedy}"
    yield from (problem if problem.path in left else replace(problem, hint=hint) for problem in found)


def _with_channels(tensors: data.Tensors, channels: Literal[1, 3]) -> data.Tensors:
    """As many images as a recipe is tried with, with the first channel for all of so many."""

    def part(of: data.Part) -> data.Part:
        if isinstance(of.images, Photographs):
            return replace(of, images=of.images.with_channels(channels))
        return replace(of, images=of.images[:FEW, :1].expand(-1, channels, -1, -1))

    info = replace(tensors.info, channels=channels)
    return replace(tensors, train=part(tensors.train), evaluation=part(tensors.evaluation), info=info)


def _try(registry: Registry, recipe: Recipe, tensors: data.Tensors, device: torch.device) -> Checking[list[Problem]]:
    try:
        train, evaluation = pipelines(registry, recipe, tensors.info.classes, tensors.info.targets)
    except PartError as error:
        yield Problem(error.field, str(error))
        return []
    batches, tried = [], []
    for field, pipeline, images_of in (
        ("train_transforms", train, tensors.train),
        ("eval_transforms", evaluation, tensors.evaluation),
    ):
        try:
            for images, labels in _samples(images_of, device):
                try_transforms(registry, recipe[field], field, pipeline, images, labels)
            tried.append(_few(images_of, pipeline, device))
            batches.append(_batch(tried[-1]))
        except PartError as error:
            yield Problem(error.field, str(error))
        except TransformError as error:
            yield Problem(f"{field}.{error.name}".rstrip("."), str(error))
    if len(batches) < 2:
        return []
    try:
        order = Order(registry, recipe, tensors.train.labels, tensors.info.classes, 0)
        count, last = order.first, recipe["epochs"] - 1
        for epoch in (last // 2, last) if order.sampler else ():
            order(epoch)
        tell_transforms(last, horizon_of(recipe, count), train.transforms, "train_transforms")
        info = form_of(tried[0], tensors.info)
        built = parts(registry, recipe, info, count, 0, device, len(tensors.train.labels))
        try_epochs(built, train.transforms, tried[0])
        logits = try_model(built, recipe, batches[0], batches[1], info, count)
        try_metrics(built, tried[1], logits, batches[1][1], _kept(tensors.evaluation, evaluation))
        try_schedule(built)
        if built.step is None:
            try_steps(built, recipe, batches[0], device)
        else:
            chunk = next(chunks(tried[0], torch.arange(len(tried[0].labels)), 0, 0, FEW, FEW, lambda: None))
            try_own_step(registry, recipe, built, chunk, device)
    except PartError as error:
        yield Problem(error.field, str(error), ALONE if error.field == "batch_size" else _hint(tensors.info))
        return []
    except TransformError as error:  # of one that changes with the epoch
        yield Problem(f"train_transforms.{error.name}", str(error))
        return []
    random = notes_of_random_evaluation(evaluation, _samples(tensors.evaluation, device)[0][0])
    notices = [*random, *size_notes(recipe, count), *_notes_of_devices(recipe, built.model)]
    if info.targets == "mask":
        notices += mask_notes({"training": tensors.train.labels, "evaluation": tensors.evaluation.labels})
    return notices


def _notes_of_devices(recipe: Recipe, model: nn.Module) -> Iterator[Problem]:
    """What a model computes of a batch, where several devices have a part of it each."""
    devices = recipe.get("devices", 1)
    if devices > 1 and any(isinstance(part, BatchNorm) for part in model.modules()):
        each = -(-recipe["batch_size"] // devices)
        message = f"batch normalization sees the {each:,} images of its device and not the {recipe['batch_size']:,} of the batch"
        yield Problem("devices", f"{message}; the first device's averages are evaluated")


def _hint(info: DataInfo) -> str:
    """What may be why parts of a recipe do not work together; empty with classes, of which every part knows."""
    if info.targets == "class":
        return ""
    form = {"regression": "float32 [N, {}]", "multilabel": "float32 [N, {}]", "mask": "int64 [N, H, W]"}[info.targets]
    return f"The dataset's targets are {WORDS[info.targets]}: labels are {form.format(info.classes)}."


def _samples(part: data.Part, device: torch.device) -> list[Batch]:
    """A few images with their labels, as transforms get them: the smallest and the largest photograph each by itself."""
    labels = part.labels.to(device)
    if not isinstance(part.images, Photographs):
        return [(part.images[:FEW].to(device), labels[:FEW])]
    return [(photograph(part.images, place).to(device), labels[place : place + 1]) for place in _ends(part.images)]


def _ends(photographs: Photographs) -> list[int]:
    """The places of the smallest and of the largest one."""
    areas = [math.prod(photographs.size(place)) for place in range(len(photographs))]
    return [areas.index(min(areas)), areas.index(max(areas))]


def _few(part: data.Part, pipeline: Pipeline, device: torch.device) -> Prepared:
    """The same images as a training takes them."""
    labels = part.labels.to(device)
    if not isinstance(part.images, Photographs):
        return as_they_come(data.Part(part.images[:FEW].to(device), labels[:FEW]), pipeline, 0)
    ends = _ends(part.images)
    return as_they_come(data.Part(part.images[ends], labels[ends]), pipeline, 0)


def _batch(part: Prepared) -> Batch:
    images, labels = part.pipeline.on_chunk(*part.chunk(0, 0, torch.arange(len(part.labels))), 0, 0, 0)
    return part.pipeline.on_batch(images), labels


def _kept(part: data.Part, pipeline: Pipeline) -> bool:
    """Whether all images of a part are in memory in the training."""
    return not isinstance(part.images, Photographs) or made_once(part.images, pipeline.head())
