"""The metrics of the images that are evaluated, and why one of them has no value."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ablate.contracts import IGNORED, LOSS_NOT_FINITE

from .accelerators import measured_on
from .outputs import logits_of
from .pipeline import Pipeline
from .prepared import Prepared

Record = dict[str, Any]  # a part of one of `Result.epochs`
Metric = Callable[[Tensor, Tensor], float]
BATCH = 1000
Z = 1.645  # standard errors above which less than 5 % of guesses come


@dataclass(frozen=True)
class Evaluation:
    """What a metric is given that asks for more than logits and labels: what its factory returns has `of_model(evaluation)`.

    Attributes:
        model: A copy of the network, in evaluation mode, to do anything with.
        images: uint8 `[N, C, H, W]`, as the first transforms of evaluation leave them that draw nothing and keep uint8.
            A metric is not given photographs that are more than memory is kept for: the preflight refuses it.
        labels: int64 `[N]`, or what else the dataset's targets are; masks as all transforms leave them.
        logits: `[N, K]`, of all images; of masks `[N, K, H, W]`.
        loss: The recipe's: (logits, labels) -> scalar.
        transform: Such images to what the model takes, float32.
        autocast: The recipe's precision, for what calls the model.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    logits: Tensor
    loss: Callable[[Tensor, Tensor], Tensor]
    transform: Callable[[Tensor], Tensor]
    autocast: Callable[[], AbstractContextManager[Any]]

    def predict(self, images: Tensor) -> Tensor:
        """The model's logits for images like `images`, without gradients."""
        with torch.no_grad(), self.autocast():
            said = (self.model(self.transform(some)) for some in images.split(BATCH))
            return torch.cat([logits_of(self.model, output).float() for output in said])


def predicted(
    model: nn.Module,
    part: Prepared,
    chunk: int,
    batch: int,
    seed: int,
    epoch: int,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> tuple[Tensor, Tensor]:
    """The logits `[N, K]` of all images, of which so many are transformed, and so many go through the model, at a time.

    And their labels: masks were transformed with the images.
    """
    outputs, told = [], []
    for number, (images, labels) in enumerate(part.in_order(epoch, chunk)):
        done, labels_of_done = part.pipeline.on_chunk(images, labels, seed, epoch, number)
        for some in done.split(batch):
            with autocast():
                outputs.append(logits_of(model, model(part.pipeline.on_batch(some))).float())
        told.append(labels_of_done)
    return torch.cat(outputs), torch.cat(told)


def transformed(pipeline: Pipeline, seed: int, epoch: int, images: Tensor) -> Tensor:
    """Images as a model takes them that is evaluated."""
    labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    return pipeline.on_batch(pipeline.on_chunk(images, labels, seed, epoch, 0)[0])


def with_model(metrics: Mapping[str, Metric], evaluation: Evaluation) -> dict[str, Metric]:
    """The metrics as functions of logits and labels; those that ask for the model have a copy of it."""
    asking = {name: metric for name, metric in metrics.items() if asks(metric)}
    return {**metrics, **{name: partial(_of_model, metric, evaluation) for name, metric in asking.items()}}


def with_images(
    metrics: Mapping[str, Metric],
    model: nn.Module,
    part: Prepared,
    logits: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    seed: int,
    epoch: int,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> Mapping[str, Metric]:
    """The same, with the images of a part; they are asked for only where a metric asks for more than logits and labels.

    Raises:
        ValueError: One does, and the images are not kept in memory.
    """
    if not any(map(asks, metrics.values())):
        return metrics
    transform = partial(transformed, part.pipeline, seed, epoch)
    return with_model(metrics, Evaluation(model, part.in_memory(), labels, logits, loss, transform, autocast))


def asks(metric: Metric) -> bool:
    """Whether a metric asks for more than logits and labels."""
    return hasattr(metric, "of_model")


def _of_model(metric: Any, evaluation: Evaluation, logits: Tensor, labels: Tensor) -> float:
    own = replace(evaluation, model=deepcopy(evaluation.model), logits=logits, labels=labels)
    return float(metric.of_model(own))


def measured(logits: Tensor, labels: Tensor, metrics: Mapping[str, Metric], train_loss: float | None) -> Record:
    """Each metric, with what is to be said of it.

    A network whose output is not finite has no value in any metric: what `argmax` and its like make of NaN is a class like any
    other, and a metric that looks at it alone would not see that there is nothing to measure.

    Args:
        logits: `[N, K]`, of all images.
        labels: int64 `[N]`.
        metrics: By name.
        train_loss: Mean loss of the epoch before; None where it was not finite.

    Returns:
        Each metric, None where it has no value; and where it applies `diverged`, `missing` and `at_chance` of `Result.epochs`.
    """
    logits, labels = logits.to(measured_on(logits.device)), labels.to(measured_on(labels.device))
    broken = int((~logits.isfinite()).flatten(1).any(dim=1).sum())
    if train_loss is None or broken:
        why = f"the logits of {broken:,} of {len(logits):,} evaluated images are not finite" if broken else LOSS_NOT_FINITE
        return {**dict.fromkeys(metrics), "diverged": why}
    if uncounted := _uncounted(labels):
        return {**dict.fromkeys(metrics), "missing": dict.fromkeys(metrics, uncounted)}
    values = {name: float(metric(logits, labels)) for name, metric in metrics.items()}
    missing = {name: f"it is {value}" for name, value in values.items() if not math.isfinite(value)}
    record: Record = {name: None if name in missing else value for name, value in values.items()}
    if missing:
        record["missing"] = missing
    if guessing := _guessing(logits, labels):
        record["at_chance"] = guessing
    return record


def _uncounted(labels: Tensor) -> str:
    """Why masks cannot be measured by, of which some metrics would give a number all the same; empty where they can."""
    if labels.ndim != 3 or (labels != IGNORED).any():
        return ""
    return f"no pixel of the masks of {len(labels):,} evaluated images counts, as their transforms leave them"


def _guessing(logits: Tensor, labels: Tensor) -> str:
    """Why the answers are no better than guesses; empty where they are, or where labels are not one class an image."""
    if labels.ndim != 1 or labels.is_floating_point():
        return ""
    answers, count = logits.argmax(dim=1), len(labels)
    right = (answers == labels).double().mean().item()
    chance = torch.bincount(labels).max().item() / count
    if right > chance + Z * math.sqrt(chance * (1 - chance) / count):
        return ""
    same = ", and that is what it does" if (answers == answers[0]).all() else ""
    always = f"saying the most frequent class every time gives {100 * chance:.4g} %"
    return f"{100 * right:.4g} % of {count:,} images are right; {always}{same}"
