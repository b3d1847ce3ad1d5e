"""Trains one cell. The result depends on the cell alone: not on where it runs, what runs beside it, or interruptions."""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablate.predictions import Predictions, packed
from ablate.recipe import lower_is_better
from ablate.records import LOSS_NOT_FINITE, Cell, DataInfo, Environment, Result
from ablate.registry import Registry
from ablate.trainers import Controls, Interrupted

from . import checkpoint, data, weights
from .build import Parts, average, batches_of, parts, pipelines
from .data import CHUNK
from .evaluation import Record, answers, logits_of, measured
from .pipeline import Pipeline
from .seeding import derive, generator, global_generators_kept, seed_global
from .step import ReplayDiffers, Step
from .turns import on_gpu
from .weights import weights_digest

GPU_CHUNK = 256 << 20  # bytes of float32 images, in place of `data.CHUNK`: each kernel's launch costs, and so does memory


@dataclass
class Progress:
    """Where a training is.

    Attributes:
        epoch: Finished epochs.
        batch: Finished batches of the epoch that runs.
        loss: Sum of the losses of the images of this epoch, float64 scalar.
        train_seconds: Time spent in the batches of this epoch.
        seconds: Time spent in all.
        records: One a finished epoch.
        selected: Weights of the best epoch so far, where the recipe selects one.
    """

    epoch: int = 0
    batch: int = 0
    loss: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))
    train_seconds: float = 0.0
    seconds: float = 0.0
    records: list[Record] = field(default_factory=list)
    selected: dict[str, Tensor] | None = None


def train(registry: Registry, cell: Cell, environment: Environment, device: torch.device, controls: Controls) -> Result:
    """Trains a cell, from its checkpoint where it has one.

    Raises:
        Interrupted: `controls.should_stop` said so.
        AblateError: Data or a checkpoint is missing or damaged.
    """
    steps = training(registry, cell, environment, device, controls)
    with global_generators_kept():
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: Result = end.value
                return result


def training(
    registry: Registry, cell: Cell, environment: Environment, device: torch.device, controls: Controls
) -> Generator[Record | None, None, Result]:
    """The same a batch at a time: several cells may take turns in one process, on a GPU each on a stream of its own.

    It sets torch's global generators and its number of threads before each batch, and leaves them so; what else is set on a GPU
    is set for each batch and put back.

    Yields:
        None after each batch, and the record of each epoch after it.

    Raises:
        Interrupted: `controls.should_stop` said so.
        AblateError: Data or a checkpoint is missing or damaged.
    """
    _use_threads(cell.recipe["threads"])
    tensors = data.load(registry, cell.recipe, cell.seed, environment, device, cell.identity.get("data"))
    turn = on_gpu(cell.recipe["precision"], device) if device.type == "cuda" else nullcontext
    with turn():
        run = _Training(registry, cell, tensors, device)
        run.restore(controls.checkpoint)
    steps = run.fit(controls)
    while True:
        _use_threads(cell.recipe["threads"])
        with turn():
            try:
                record = next(steps)
            except StopIteration:
                return run.result(controls.weights)
            except ReplayDiffers as how:  # the whole training is made again, without what may be wrong in it
                controls.checkpoint.unlink(missing_ok=True)
                run = _Training(registry, cell, tensors, device, f"{how} in epoch {run.at.epoch + 1}")
                steps = run.fit(controls)
                continue
        yield record


def _use_threads(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


class _Training:
    """A cell's objects and where it is."""

    def __init__(self, registry: Registry, cell: Cell, tensors: data.Tensors, device: torch.device, eager_because: str = ""):
        self.cell, self.recipe, self.seed, self.device = cell, cell.recipe, cell.seed, device
        training, evaluation = pipelines(registry, cell.recipe, tensors.info.classes)
        self.train, self.train_pipeline = data.prepare(tensors.train, training, cell.recipe, "train_transforms")
        self.evaluation, self.eval_pipeline = data.prepare(tensors.evaluation, evaluation, cell.recipe, "eval_transforms")
        if cell.recipe["select"] is not None:
            self.test, _ = data.prepare(tensors.test, evaluation, cell.recipe, "eval_transforms")
        info = _transformed(self.train_pipeline, self.train, tensors.info.classes)
        self.form = weights.Form(tensors.info, info, tensors.class_names)
        self.chunk = chunk_of(device, [tensors.info, info])
        self.parts: Parts = parts(registry, cell.recipe, info, len(tensors.train.labels), cell.seed, device)
        self.model = self.parts.model
        self.ema = average(self.model, self.recipe["ema"])
        selecting = self.recipe["select"]
        self.lower_is_better = bool(selecting and lower_is_better(registry, self.recipe["metrics"][selecting]))
        self.batches = batches_of(cell.recipe, len(tensors.train.labels))
        self.shown = tensors.evaluation if selecting is None else tensors.test
        self.said: tuple[Tensor, Tensor] | None = None
        self.at = Progress(loss=torch.zeros((), dtype=torch.float64, device=device))
        self.step = Step(self.parts, cell.recipe, device, self.at.loss, eager_because)

    def fit(self, controls: Controls) -> Iterator[Record | None]:
        begun = saved = time.monotonic() - self.at.seconds
        saved += self.at.seconds
        while self.at.epoch < self.recipe["epochs"]:
            self.model.train()
            self.step.compare_again()
            for images, targets in self._batches():
                started = time.monotonic()
                self._train_on(images, targets)
                self.at.train_seconds += time.monotonic() - started
                self.at.seconds = time.monotonic() - begun
                stop = controls.should_stop()
                if stop or time.monotonic() - saved >= controls.checkpoint_seconds:
                    controls.check()
                    self.save(controls.checkpoint)
                    saved = time.monotonic()
                if stop:
                    raise Interrupted
                yield None
            record = self._end_epoch()
            self.at.seconds = time.monotonic() - begun
            yield record

    def _batches(self) -> Any:
        """The rest of this epoch's batches, transformed a chunk at a time."""
        size, train = self.recipe["batch_size"], self.train
        epoch, batches_per_chunk = self.at.epoch, max(1, self.chunk // size)
        order = torch.randperm(len(train.labels), generator=generator(self.seed, "order", epoch)).to(self.device)
        for chunk, indices in enumerate(order.split(size * batches_per_chunk)):
            first = chunk * batches_per_chunk
            if first + -(-len(indices) // size) <= self.at.batch:
                continue
            started = time.monotonic()
            images, targets = self.train_pipeline.on_chunk(train.images[indices], train.labels[indices], self.seed, epoch, chunk)
            self.at.train_seconds += time.monotonic() - started
            pairs = list(zip(images.split(size), targets.split(size), strict=True))
            yield from pairs[self.at.batch - first if self.at.batch > first else 0 :]

    def _train_on(self, images: Tensor, targets: Tensor) -> None:
        """One batch, with the draws and the learning rate that belong to its place in the training."""
        accumulate = self.recipe["accumulate"]
        group, place = divmod(self.at.batch, accumulate)
        members = min(accumulate, self.batches - group * accumulate)
        update = place == members - 1
        if update:
            self.step.set_rates(self.parts.schedule(self.at.epoch * self.parts.horizon.steps_per_epoch + group))
        seed_global(derive(self.seed, "step", self.at.epoch, self.at.batch))
        self.step(self.train_pipeline.on_batch(images), targets, members, update)
        self.at.batch += 1
        if update and self.ema is not None:
            self.ema.update_parameters(self.model)

    def _end_epoch(self) -> Record:
        images = len(self.train.labels)
        started = time.monotonic()
        loss = self.at.loss.item()  # waits for the device, which may be behind
        self.at.train_seconds += time.monotonic() - started
        record: Record = {
            "epoch": self.at.epoch + 1,
            "train_loss": _finite(loss / images),
            "lr": float(self.parts.optimizer.param_groups[0]["lr"]),
            "seconds": self.at.train_seconds,
            "images_per_second": images / max(self.at.train_seconds, 1e-9),
        }
        if self.device.type == "cuda" and self.step.eager_because:
            record["eager_because"] = self.step.eager_because
        if record["epoch"] == self.recipe["epochs"] or (self.at.epoch + 1) % self.recipe["eval_every"] == 0:
            record |= self.evaluate(
                self.evaluation,
                record["train_loss"],
                last=record["epoch"] == self.recipe["epochs"] and self.recipe["select"] is None,
            )
            self._select(record)
        elif record["train_loss"] is None:
            record["diverged"] = LOSS_NOT_FINITE
        self.at.records.append(record)
        self.at.epoch, self.at.batch, self.at.train_seconds = self.at.epoch + 1, 0, 0.0
        self.at.loss.zero_()
        return record

    def _select(self, record: Record) -> None:
        """Keeps the weights of the epoch that is the best so far; the earlier one of two equal ones."""
        name = self.recipe["select"]
        if name is None or record[name] is None:
            return
        best = next((earlier for earlier in self.at.records if earlier.get("selected")), None)
        sign = -1 if self.lower_is_better else 1
        if best is None or sign * record[name] > sign * best[name]:
            if best is not None:
                del best["selected"]
            record["selected"] = True
            self.at.selected = {key: value.clone() for key, value in self.evaluated.state_dict().items()}

    @property
    def evaluated(self) -> nn.Module:
        """The model whose weights count."""
        return self.ema.module if self.ema is not None else self.model

    @torch.no_grad()
    def evaluate(self, part: data.Part, train_loss: float | None, last: bool) -> Record:
        """The recipe's metrics on these images, after an epoch with this loss; see `measured`.

        Args:
            part: The images.
            train_loss: The loss.
            last: Whether these are the numbers that count, so that what is said of each image is kept.
        """
        logits = logits_of(self.evaluated, part, self.eval_pipeline, self.chunk, self.seed, self.at.epoch, self.step.autocast)
        record = measured(logits, part.labels, self.parts.metrics, train_loss)
        if last and "diverged" not in record:
            self.said = answers(logits)
        return record

    def result(self, keep: Path | None) -> Result:
        """What the training gave; the weights that the metrics are of are written to `keep`, where it is given."""
        digest = weights_digest({"model": self.model} | ({"ema": self.ema} if self.ema is not None else {}))
        if self.recipe["select"] is None:
            metrics, part = self.at.records[-1], self.evaluation
        else:
            metrics, part = self._tested(), self.test
        counted = self.recipe["select"] is None or self.at.selected is not None
        kept = weights.save(keep, self.cell.key, self.evaluated, self.form) if keep and counted else None
        return Result(
            epochs=self.at.records,
            metrics={name: metrics[name] for name in self.recipe["metrics"]},
            weights_sha256=digest,
            seconds=self.at.seconds,
            parameters=sum(parameter.numel() for parameter in self.step.trainable),
            evaluated_images=len(part.labels),
            kept_sha256=kept,
            predictions=self._predictions(part.labels),
        )

    def _predictions(self, labels: Tensor) -> str | None:
        """What the model said of each image that the metrics are of, packed."""
        if self.said is None:
            return None
        told, confidence = (array.cpu().numpy() for array in self.said)
        return packed(Predictions(labels.cpu().numpy(), told, confidence, self.form.class_names, data.sample_digest(self.shown)))

    def _tested(self) -> Record:
        """The metrics on the test images with the selected weights; the selected epoch's record says why one has no value."""
        name, last = self.recipe["select"], self.at.records[-1]
        if self.at.selected is None:
            last.setdefault("missing", dict.fromkeys(self.recipe["metrics"], f"no epoch has a value of {name} to be selected by"))
            return dict.fromkeys(self.recipe["metrics"])
        self.evaluated.load_state_dict(self.at.selected)
        chosen = next(record for record in self.at.records if record.get("selected"))
        found = self.evaluate(self.test, chosen["train_loss"], last=True)
        if any(found[name] is None for name in self.recipe["metrics"]):
            why = found.get("missing") or dict.fromkeys(self.recipe["metrics"], found["diverged"])
            chosen["missing"] = {name: f"{reason} (test images)" for name, reason in why.items()}
        return found

    def save(self, path: Path) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.parts.optimizer.state_dict(),
            "ema": self.ema.state_dict() if self.ema is not None else None,
            "gradients": [parameter.grad for parameter in self.step.trainable],
            "progress": vars(self.at),
        }
        checkpoint.save(path, self.cell.key, state)

    def restore(self, path: Path) -> None:
        state = checkpoint.load(path, self.cell.key, self.device)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.parts.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        for parameter, gradient in zip(self.step.trainable, state["gradients"], strict=True):
            parameter.grad = gradient
        self.at = Progress(**{**state["progress"], "loss": self.at.loss.copy_(state["progress"]["loss"])})


def chunk_of(device: torch.device, forms: Sequence[DataInfo]) -> int:
    """How many images are transformed at once, of which the largest form decides."""
    if device.type != "cuda":
        return CHUNK
    return max(1, GPU_CHUNK // max(4 * form.channels * form.height * form.width for form in forms))


def _transformed(pipeline: Pipeline, part: data.Part, classes: int) -> DataInfo:
    """What the model gets to see: the form of the images after the transforms."""
    images, _ = pipeline.on_chunk(part.images[:2], part.labels[:2], 0, 0, 0)
    channels, height, width = pipeline.on_batch(images).shape[1:]
    return DataInfo(channels, height, width, classes)


def _finite(value: float) -> float | None:
    """JSON has no NaN: a training that diverged has no loss."""
    return value if math.isfinite(value) else None
