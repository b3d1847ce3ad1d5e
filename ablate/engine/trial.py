"""A trial of each recipe before anything is trained: what cannot work is known after a few images, and not after hours."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from ablate.contracts import DataInfo, Environment, Targets
from ablate.errors import DiskProblem, EnvironmentProblem, Problem, describe, problem_of
from ablate.photographs import Photographs
from ablate.registry import Registry
from ablate.spec.recipe import Recipe

from . import checkpoint, data
from .accelerators import measured_on, sum_on
from .ahead import photograph
from .batches import chunks
from .branches import notes_of_random_evaluation, try_transforms
from .build import PartError, Parts, average, blame, follow, horizon_of, parts, pipelines
from .epochs import tell_transforms, try_epochs
from .evaluation import Evaluation, asks, transformed, with_model
from .outputs import logits_of
from .own_trial import try_own_step
from .pipeline import Pipeline, TransformError
from .prepared import Prepared, as_they_come, form_of, made_once
from .sampling import Order
from .seeding import global_rng
from .sizes import at_once, size_notes
from .step import Step
from .targets import WORDS, misfits, output_form

if TYPE_CHECKING:  # it brings pandas, which workers do without
    from ablate.study import Compare

TRIAL = 2  # images that a recipe is tried with
COUNTED = ("ablate-core:accuracy", "ablate-core:top5_accuracy")  # metrics that are parts of the images; of others, values tell
STEPS = 2  # of the optimizer: what fails at the second one would fail hours later
FACTORS = 1000  # places of a schedule that are looked at, its first and last among them

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Tensor], Tensor]


def preflight(
    registry: Registry,
    recipe: Recipe,
    environment: Environment,
    device: torch.device,
    compare: "Compare | None" = None,
    notices: list[Problem] | None = None,
) -> list[Problem]:
    """Tries a recipe with two images, so that what cannot work is known before hours of training.

    So is a margin that is smaller than one image, where it is known how the study compares.

    Args:
        registry: What is installed.
        recipe: Resolved.
        environment: Where the data is.
        device: Where it is tried.
        compare: How the study compares.
        notices: What works and is probably not meant is appended.

    Returns:
        All parts that are for other targets than the data has; else the first problem in each of: the data, the training
        transforms, the evaluation transforms, the rest.
    """
    try:
        own = data.load(registry, {**recipe, "split": None}, 0, environment, torch.device("cpu"))
        if unfit := list(misfits(registry, recipe, own.info.targets)):
            return unfit
        tensors = data.load(registry, recipe, 0, environment, torch.device("cpu"))
    except DiskProblem:
        raise
    except Exception as error:  # factories are anybody's code
        return [problem_of("dataset", error)]
    found = _try(registry, recipe, tensors, device, notices)
    if notices is not None and not found and recipe.get("split"):
        notices += _notes_of_copies(data.copies(registry, recipe, environment))
    if compare is not None and not found:
        told = tensors.evaluation if recipe["select"] is None else tensors.test  # the selected epoch is told on other images
        return list(_margin_problems(recipe, len(told.labels), compare))
    return found and _with_hints(registry, recipe, tensors, device, found)


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
    registry: Registry, recipe: Recipe, tensors: data.Tensors, device: torch.device, found: list[Problem]
) -> list[Problem]:
    """The problems, with a remedy for those that are not there with grey images instead of RGB ones, or the other way round."""
    channels = tensors.info.channels
    others: dict[int, Literal[1, 3]] = {1: 3, 3: 1}
    other = others.get(channels)
    if other is None:
        return found
    left = {problem.path for problem in _try(registry, recipe, _with_channels(tensors, other), device, None)}
    if "channels" in registry.load("dataset", recipe["dataset"]["use"]).signature.parameters:
        remedy = f'Give the dataset "channels": {other}.'
    else:
        remedy = f'Put {{"use": "grayscale", "channels": {other}}} first into the transforms of training and of evaluation.'
    hint = f"The images have {channels} channel{'s' * (channels > 1)}, and with {other} it works. {remedy}"
    return [problem if problem.path in left else replace(problem, hint=hint) for problem in found]


def _with_channels(tensors: data.Tensors, channels: Literal[1, 3]) -> data.Tensors:
    """As many images as a trial needs, with the first channel for all of so many."""

    def part(of: data.Part) -> data.Part:
        if isinstance(of.images, Photographs):
            return replace(of, images=of.images.with_channels(channels))
        return replace(of, images=of.images[:TRIAL, :1].expand(-1, channels, -1, -1))

    info = replace(tensors.info, channels=channels)
    return replace(tensors, train=part(tensors.train), evaluation=part(tensors.evaluation), info=info)


def _try(
    registry: Registry, recipe: Recipe, tensors: data.Tensors, device: torch.device, notices: list[Problem] | None
) -> list[Problem]:
    try:
        train, evaluation = pipelines(registry, recipe, tensors.info.classes, tensors.info.targets)
    except PartError as error:
        return [Problem(error.field, str(error))]
    problems, batches, tried = [], [], []
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
            problems.append(Problem(error.field, str(error)))
        except TransformError as error:
            problems.append(Problem(f"{field}.{error.name}".rstrip("."), str(error)))
    if problems:
        return problems
    try:
        order = Order(registry, recipe, tensors.train.labels, tensors.info.classes, 0)
        count, last = order.first, recipe["epochs"] - 1
        for epoch in (last // 2, last) if order.sampler else ():
            order(epoch)
        tell_transforms(last, horizon_of(recipe, count), train.transforms, "train_transforms")
        info = form_of(tried[0], tensors.info)
        built = parts(registry, recipe, info, count, 0, device, len(tensors.train.labels))
        try_epochs(built, train.transforms, tried[0])
        logits = _try_model(built, recipe, batches[0], batches[1], info, count)
        _try_metrics(built, tried[1], logits, batches[1][1], _kept(tensors.evaluation, evaluation))
        _try_schedule(built)
        if built.step is None:
            _try_steps(built, recipe, batches[0], device)
        else:
            chunk = next(chunks(tried[0], torch.arange(len(tried[0].labels)), 0, 0, TRIAL, TRIAL, lambda: None))
            try_own_step(registry, recipe, built, chunk, device)
    except PartError as error:
        return [Problem(error.field, str(error), _hint(tensors.info))]
    except TransformError as error:  # of one that changes with the epoch
        return [Problem(f"train_transforms.{error.name}", str(error))]
    if notices is not None:
        random = notes_of_random_evaluation(evaluation, _samples(tensors.evaluation, device)[0][0])
        notices += [*random, *size_notes(recipe, count), *_notes_of_devices(recipe, built.model)]
    return []


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
        return [(part.images[:TRIAL].to(device), labels[:TRIAL])]
    return [(photograph(part.images, place).to(device), labels[place : place + 1]) for place in _ends(part.images)]


def _ends(photographs: Photographs) -> list[int]:
    """The places of the smallest and of the largest one."""
    areas = [math.prod(photographs.size(place)) for place in range(len(photographs))]
    return [areas.index(min(areas)), areas.index(max(areas))]


def _few(part: data.Part, pipeline: Pipeline, device: torch.device) -> Prepared:
    """The same images as a training takes them."""
    labels = part.labels.to(device)
    if not isinstance(part.images, Photographs):
        return as_they_come(data.Part(part.images[:TRIAL].to(device), labels[:TRIAL]), pipeline, 0)
    ends = _ends(part.images)
    return as_they_come(data.Part(part.images[ends], labels[ends]), pipeline, 0)


def _batch(part: Prepared) -> Batch:
    images, labels = part.pipeline.on_chunk(*part.chunk(0, 0, torch.arange(len(part.labels))), 0, 0, 0)
    return part.pipeline.on_batch(images), labels


def _kept(part: data.Part, pipeline: Pipeline) -> bool:
    """Whether all images of a part are in memory in the training."""
    return not isinstance(part.images, Photographs) or made_once(part.images, pipeline.head())


def _try_model(built: Parts, recipe: Recipe, train: Batch, evaluation: Batch, info: DataInfo, images: int) -> Tensor:
    """Runs a batch in training, the loss, and an evaluation batch, whose logits it gives."""
    with blame("model"), global_rng(0, "trial"):
        output = built.model.train()(train[0])
        if built.step is None:  # a step of the recipe's own knows what its model gives in training
            _check_logits(built.model, output, len(train[0]), _with_size(info, train[0]))
    if 1 in at_once(recipe, images):
        with blame("batch_size"), global_rng(0, "trial"), torch.no_grad():
            built.model(train[0][:1])
    if built.step is None:
        with blame("loss"):
            loss = _tried_loss(built, output, train[1], info.targets)
        with blame("model"):
            loss.backward()
            built.model.zero_grad()
    with blame("model"), torch.no_grad():
        output = built.model.eval()(evaluation[0])
        return _check_logits(built.model, output, len(evaluation[0]), _with_size(info, evaluation[0]))


def _try_metrics(built: Parts, part: Prepared, logits: Tensor, labels: Tensor, kept: bool) -> None:
    """Runs the metrics on an evaluation batch; those that ask for the images get them if the training has them in memory."""
    raw = part.chunk(0, 0, torch.arange(len(part.labels)))[0]
    told = Evaluation(built.model, raw, labels, logits, built.loss, partial(transformed, part.pipeline, 0, 0), nullcontext)
    for name, metric in with_model(built.metrics, told).items():
        with blame(f"metrics.{name}"):
            if asks(built.metrics[name]) and not kept:
                part.in_memory()
            float(metric(*(tensor.to(measured_on(tensor.device)) for tensor in (logits, labels))))


def _tried_loss(built: Parts, output: Any, targets: Tensor, kind: Targets) -> Tensor:
    try:
        loss = built.loss(output, targets)
    except Exception as error:  # a factory is anybody's code
        if not isinstance(output, Tensor):
            given = f"it does not take what the model returns in training, a {type(output).__name__}"
            raise ValueError(f"{given}: {describe(error)}. Take a loss that does.") from error
        if kind != "class" or not targets.is_floating_point():
            raise
        form = list(targets.shape)
        raise ValueError(
            f"it does not take the soft labels {form} that transforms which mix images give: {describe(error)}. "
            "Take another loss, or leave out what mixes."
        ) from error
    if loss.ndim or not loss.requires_grad:
        raise ValueError(f"gave {tuple(loss.shape)}; expected one number that depends on the model's parameters")
    return loss


def _try_schedule(built: Parts) -> None:
    """Looks at the factors of the learning rate over the whole training."""
    steps = built.horizon.epochs * built.horizon.steps_per_epoch
    with blame("scheduler"):
        for step in sorted({round(i * (steps - 1) / (FACTORS - 1)) for i in range(FACTORS)}):
            factor = float(built.schedule(step))
            if not math.isfinite(factor) or factor < 0:
                raise ValueError(f"gives the factor {factor:g} of the learning rate at step {step:,} of {steps:,}; expected ≥ 0")


def _try_steps(built: Parts, recipe: Recipe, batch: Batch, device: torch.device) -> None:
    """Takes steps of the training, and sees whether its state can be saved. The model is not the one that is trained."""
    with blame("ema"):
        ema = average(built.model, recipe["ema"])
    built.model.train()
    with blame("optimizer"), global_rng(0, "trial"):
        step = Step(built, recipe, device, sum_on(device))
        for number in range(STEPS):
            step.set_rates(built.schedule(number))
            step(*batch, 1, True)
        try:
            checkpoint.packed(built.optimizer.state_dict())
        except EnvironmentProblem as error:
            raise ValueError(f"a checkpoint could not hold its state: {error}") from error
    if ema is not None:
        with blame("ema"):
            follow(ema, built.model)


def _with_size(info: DataInfo, images: Tensor) -> DataInfo:
    """What a model is told, with the size of these images: evaluation may have another one than the training."""
    return replace(info, height=images.shape[2], width=images.shape[3])


def _check_logits(model: nn.Module, output: object, count: int, info: DataInfo) -> Tensor:
    """The logits of a model's output.

    Raises:
        TypeError: They are no tensor.
        ValueError: They have another shape.
    """
    wanted, logits = output_form(info, count), logits_of(model, output)
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"its output is a {type(logits).__name__}; expected a tensor {list(wanted)}, or that the model has a method "
            "`logits_of(output)`, which takes it from what the model returns"
        )
    if tuple(logits.shape) != wanted:
        of = f"of {info.classes} classes" if info.targets == "class" else f"with {WORDS[info.targets]}"
        raise ValueError(f"its output is {list(logits.shape)} for {count} images {of}; expected {list(wanted)}")
    return logits
