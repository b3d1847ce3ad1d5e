"""The parts of a built recipe on a batch of a few images: model, loss, metrics, schedule, optimizer."""

import math
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ablate.contracts import DataInfo, Targets
from ablate.errors import EnvironmentProblem, describe
from ablate.spec.recipe import Recipe

from . import checkpoint
from .accelerators import measured_on, sum_on
from .build import Parts, average, blame, follow
from .evaluation import Evaluation, asks, transformed, with_model
from .outputs import logits_of
from .prepared import Prepared
from .seeding import global_rng
from .sizes import at_once
from .step import Step
from .targets import WORDS, output_form

Batch = tuple[Tensor, Tensor]


STEPS = 2  # of the optimizer: what fails at the second one would fail hours later


FACTORS = 1000  # places of a schedule that are looked at, its first and last among them


def try_model(built: Parts, recipe: Recipe, train: Batch, evaluation: Batch, info: DataInfo, images: int) -> Tensor:
    """Runs a batch in training, the loss, and an evaluation batch, whose logits it gives."""
    with blame("model"), global_rng(0, "preflight"):
        output = built.model.train()(train[0])
        if built.step is None:  # a step of the recipe's own knows what its model gives in training
            _check_logits(built.model, output, len(train[0]), _with_size(info, train[0]))
    if 1 in at_once(recipe, images):
        with blame("batch_size"), global_rng(0, "preflight"), torch.no_grad():
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


def try_metrics(built: Parts, part: Prepared, logits: Tensor, labels: Tensor, kept: bool) -> None:
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


def try_schedule(built: Parts) -> None:
    """Looks at the factors of the learning rate over the whole training."""
    steps = built.horizon.epochs * built.horizon.steps_per_epoch
    with blame("scheduler"):
        for step in sorted({round(i * (steps - 1) / (FACTORS - 1)) for i in range(FACTORS)}):
            factor = float(built.schedule(step))
            if not math.isfinite(factor) or factor < 0:
                raise ValueError(f"gives the factor {factor:g} of the learning rate at step {step:,} of {steps:,}; expected ≥ 0")


def try_steps(built: Parts, recipe: Recipe, batch: Batch, device: torch.device) -> None:
    """Takes steps of the training, and sees whether its state can be saved. The model is not the one that is trained."""
    with blame("ema"):
        ema = average(built.model, recipe["ema"])
    built.model.train()
    with blame("optimizer"), global_rng(0, "preflight"):
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
    expected, logits = output_form(info, count), logits_of(model, output)
    if not isinstance(logits, Tensor):
        raise TypeError(
            f"its output is a {type(logits).__name__}; expected a tensor {list(expected)}, or that the model has a method "
            "`logits_of(output)`, which takes it from what the model returns"
        )
    if tuple(logits.shape) != expected:
        of = f"of {info.classes} classes" if info.targets == "class" else f"with {WORDS[info.targets]}"
        raise ValueError(f"its output is {list(logits.shape)} for {count} images {of}; expected {list(expected)}")
    return logits
