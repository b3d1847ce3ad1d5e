"""A cell that is trained: its objects, where it is, and what each epoch gives."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ablate.contracts import LOSS_NOT_FINITE, Cell, Result
from ablate.registry import Registry
from ablate.spec.recipe import lower_is_better
from ablate.spec.trainer import Controls, Interrupted

from . import checkpoint, data, weights
from .accelerators import sum_on, use
from .ahead import Ahead
from .batches import Images, chunks, split
from .build import Parts, average, batches_of, follow, horizon_of, parts, pipelines
from .epochs import follows, tell, tell_transforms
from .evaluation import Record, measured, predicted, with_images
from .own_step import OwnStep
from .prepared import Prepared, chunk_of, eval_batch_of, form_of, prepare
from .ranks import SEVERAL, Ranks
from .sampling import Order
from .seeding import derive, generator, seed_global
from .step import Step
from .steps import Batch
from .told import predictions_of
from .weights import weights_digest

FORWARD = 1 / 3  # of the time of an image that is trained on, about, is that of one that is evaluated


class CellTraining:
    """A cell's objects and where it is."""

    def __init__(
        self,
        registry: Registry,
        cell: Cell,
        tensors: data.Tensors,
        device: torch.device,
        eager_because: str = "",
        ranks: Ranks | None = None,
    ):
        self.cell, self.recipe, self.seed, self.device, self.ranks = cell, cell.recipe, cell.seed, device, ranks
        use(device)
        training, evaluation = pipelines(registry, cell.recipe, tensors.info.classes, tensors.info.targets)
        self.transforms = training.transforms
        self.train = prepare(tensors.train, training, cell.recipe, "train_transforms", cell.seed)
        self.evaluation = prepare(tensors.evaluation, evaluation, cell.recipe, "eval_transforms", cell.seed)
        if cell.recipe["select"] is not None:
            self.test = prepare(tensors.test, evaluation, cell.recipe, "eval_transforms", cell.seed)
        self.order = Order(registry, cell.recipe, tensors.train.labels, tensors.info.classes, cell.seed)
        horizon = horizon_of(cell.recipe, self.order.first)
        tell_transforms(horizon.epochs - 1, horizon, self.transforms, "train_transforms")
        info = form_of(self.train, tensors.info)
        self.forms, self.class_names = (tensors.info, info), tensors.class_names
        self.chunk, self.eval_batch = chunk_of(device, self.forms), eval_batch_of(*self.forms)
        samples = len(tensors.train.labels)
        self.parts: Parts = parts(registry, cell.recipe, info, self.order.first, cell.seed, device, samples)
        self.model = self.parts.model
        self.ema = average(self.model, self.recipe["ema"])
        selecting = self.recipe["select"]
        self.lower_is_better = bool(selecting and lower_is_better(registry, self.recipe["metrics"][selecting]))
        self.shown = tensors.evaluation if selecting is None else tensors.test  # what the metrics are of
        self.said: str | None = None  # what was said of each of them, packed
        self.seen = self.order.first  # images of the epoch that runs
        self.at = checkpoint.Progress(loss=sum_on(device))
        if ranks is not None:
            self.step = Step(self.parts, cell.recipe, device, ranks.loss, SEVERAL)
        else:
            self.step = Step(self.parts, cell.recipe, device, self.at.loss, eager_because)
        self.updated = True  # by the last batch
        self.own = OwnStep(self.parts, self.step.trainable, cell.recipe, self.at.loss) if self.parts.step else None

    def fit(self, controls: Controls) -> Iterator[Record | None]:
        begun = saved = time.monotonic() - self.at.seconds
        saved += self.at.seconds
        while self.at.epoch < self.recipe["epochs"] and not (self.at.records and "stopped" in self.at.records[-1]):
            for images in self._begin_epoch():
                started = time.monotonic()
                self.train_on(images)
                self.at.train_seconds += time.monotonic() - started
                self.at.seconds = time.monotonic() - begun
                controls.progress(self._epochs())
                whole = self.ranks is None or self.updated  # gradients that wait for others are parts of one
                stop = whole and controls.should_stop()
                if stop or (whole and time.monotonic() - saved >= controls.checkpoint_seconds):
                    controls.check()
                    self.save(controls.checkpoint)
                    saved = time.monotonic()
                if stop:
                    raise Interrupted
                yield None
            record = self._end_epoch()
            self.at.seconds = time.monotonic() - begun
            yield record

    def _epochs(self) -> float:
        """How many are done, by the time that they take: an evaluation is a part of its epoch."""
        batches = batches_of(self.recipe, self.seen)
        evaluated = len(self.evaluation.labels) * FORWARD / self.recipe["batch_size"] if self._evaluates(self.at.epoch) else 0
        return self.at.epoch + self.at.batch / (batches + evaluated)

    def _evaluates(self, epoch: int) -> bool:
        """Whether the images are evaluated after this epoch, from 0."""
        return bool(epoch + 1 == self.recipe["epochs"] or (epoch + 1) % self.recipe["eval_every"] == 0)

    def follow(self) -> None:
        """The epochs that are left, without what the first process does after each."""
        while self.at.epoch < self.recipe["epochs"]:
            for images in self._begin_epoch():
                self.train_on(images)
            self._next_epoch()

    def _begin_epoch(self) -> Iterator[Images]:
        """Gets everything ready for this epoch, and gives its batches from where the training is."""
        epoch, horizon = self.at.epoch, self.parts.horizon
        tell_transforms(epoch, horizon, self.transforms, "train_transforms")
        tell(epoch, horizon, self.model, self.parts.loss, self.parts.optimizer, self.ema)
        order = self.order(epoch)
        self.seen = len(order)
        self.model.train()
        self.step.compare_again()
        return self._batches(order)

    def _batches(self, order: Tensor) -> Iterator[Images]:
        """The rest of this epoch's batches, transformed a chunk at a time."""
        size, first = self.recipe["batch_size"], 0
        for chunk in chunks(self.train, order, self.seed, self.at.epoch, size, self.chunk, self._begin_next):
            begin, first = first, first + -(-len(chunk.indices) // size)
            if first <= self.at.batch:
                continue
            started = time.monotonic()
            chunk.transformed()
            self.at.train_seconds += time.monotonic() - started
            yield from chunk.batches(size, max(0, self.at.batch - begin))

    def _begin_next(self) -> None:
        """Has the first photographs of the next epoch decoded, unless that epoch depends on what is told or asked before it."""
        epoch, images = self.at.epoch + 1, self.train.images
        if not isinstance(images, Ahead) or epoch == self.recipe["epochs"] or self.order.sampler is not None:
            return
        if not any(map(follows, images.frame.head.transforms.values())):
            self.train.begin(epoch, 0, split(self.train, self.order(epoch), self.recipe["batch_size"], self.chunk)[0])

    def train_on(self, some: Images) -> None:
        """One batch, with the draws and the learning rate that belong to its place in the training."""
        accumulate, batches = self.recipe["accumulate"], batches_of(self.recipe, self.seen)
        group, place = divmod(self.at.batch, accumulate)
        members = min(accumulate, batches - group * accumulate)
        update = place == members - 1
        if update:
            self.step.set_rates(self.parts.schedule(self._place(group, -(-batches // accumulate))))
        seed_global(derive(self.seed, "step", self.at.epoch, self.at.batch))
        if self.ranks is not None:
            self._train_on_slice(self.ranks, some, members, update)
        elif self.own is None:
            self.step(self.train.pipeline.on_batch(some.images), some.labels, members, update)
        else:
            images = self.train.pipeline.on_batch(some.images)
            draws = generator(self.seed, "step/draws", self.at.epoch, self.at.batch)
            update = self.own(Batch(images, some.labels, some.indices, self.at.epoch, self.at.batch, draws, some.view))
        self.at.batch += 1
        self.updated = update
        if update and self.ema is not None:
            follow(self.ema, self.model)

    def _train_on_slice(self, ranks: Ranks, some: Images, members: int, update: bool) -> None:
        """What this process does of a batch. Its forward pass has draws of its own, and the optimizer those of all."""
        epoch, batch = self.at.epoch, self.at.batch
        if ranks.rank:
            seed_global(derive(self.seed, f"step/rank {ranks.rank}", epoch, batch))
        ranks.share_buffers(self.model)
        images, labels = ranks.own(some.images), ranks.own(some.labels)
        if len(images):
            self.step.backward(self.train.pipeline.on_batch(images), labels, members * len(some.images) / len(images))
        if update:
            seed_global(derive(self.seed, "step/update", epoch, batch))
            ranks.sum(self.step.trainable, self.at.loss)
            self.step.update()

    def _place(self, step: int, steps: int) -> int:
        """The step of the schedule that a step of this epoch is; an epoch that a sampler made shorter or longer is one, too."""
        per_epoch = self.parts.horizon.steps_per_epoch
        return self.at.epoch * per_epoch + step * per_epoch // steps

    def _end_epoch(self) -> Record:
        images = self.seen
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
        if self._evaluates(self.at.epoch):
            told, logits, labels = self.evaluate(self.evaluation, record["train_loss"])
            record |= told
            self._select(record)
            self._stop(record)
            if self.recipe["select"] is None and (record["epoch"] == self.recipe["epochs"] or "stopped" in record):
                self._remember(record, logits, labels)
        elif record["train_loss"] is None:
            record["diverged"] = LOSS_NOT_FINITE
        self.at.records.append(record)
        self._next_epoch()
        return record

    def _next_epoch(self) -> None:
        self.at.epoch, self.at.batch, self.at.train_seconds = self.at.epoch + 1, 0, 0.0
        self.at.loss.zero_()
        if self.ranks is not None:
            self.ranks.agree(self.model, self.at.epoch)

    def _stop(self, record: Record) -> None:
        """Notes in the record of an epoch that was evaluated where the recipe's step ends the training with it."""
        hidden = self.recipe["metrics"] if self.recipe["eval_split"] == "test" else ()
        more = self.recipe["epochs"] - record["epoch"]
        if self.own is not None and more and self.own.stops([*self.at.records, record], hidden):
            record["stopped"] = f"the step ended it {more} {'epoch' if more == 1 else 'epochs'} before the last"

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
    def evaluate(self, part: Prepared, train_loss: float | None) -> tuple[Record, Tensor, Tensor]:
        """The recipe's metrics on these images, after an epoch with this loss, see `measured`; and what `predicted` gives."""
        model, epoch, autocast = self.evaluated, self.at.epoch, self.step.autocast
        model.eval()
        logits, labels = predicted(model, part, self.chunk, self.eval_batch, self.seed, epoch, autocast)
        metrics = with_images(self.parts.metrics, model, part, logits, labels, self.parts.loss, self.seed, epoch, autocast)
        return measured(logits, labels, metrics, train_loss), logits, labels

    def result(self, keep: Path | None) -> Result:
        """What the training gave; the weights that the metrics are of are written to `keep`, where it is given."""
        digest = weights_digest({"model": self.model} | ({"ema": self.ema} if self.ema is not None else {}))
        if self.recipe["select"] is None:
            metrics, part = self.at.records[-1], self.evaluation
        else:
            metrics, part = self._tested(), self.test
        counted = self.recipe["select"] is None or self.at.selected is not None
        kept = weights.save(keep, self.cell.key, self.evaluated, self._form()) if keep and counted else None
        return Result(
            epochs=self.at.records,
            metrics={name: metrics[name] for name in self.recipe["metrics"]},
            weights_sha256=digest,
            seconds=self.at.seconds,
            parameters=sum(parameter.numel() for parameter in self.step.trainable),
            evaluated_images=len(part.labels),
            kept_sha256=kept,
            predictions=self.said,
        )

    def _form(self) -> weights.Form:
        return weights.Form(*self.forms, self.class_names, len(self.at.records), self.parts.horizon)

    def _remember(self, record: Record, logits: Tensor, labels: Tensor) -> None:
        """Keeps what was said of each image, where the output was finite."""
        if "diverged" not in record:
            self.said = predictions_of(logits, labels, self.shown, self.forms[1].targets, self.class_names)

    def _tested(self) -> Record:
        """The metrics on the test images with the selected weights; the selected epoch's record says why one has no value."""
        name, last = self.recipe["select"], self.at.records[-1]
        if self.at.selected is None:
            last.setdefault("missing", dict.fromkeys(self.recipe["metrics"], f"no epoch has a value of {name} to be selected by"))
            return dict.fromkeys(self.recipe["metrics"])
        self.evaluated.load_state_dict(self.at.selected)
        chosen = next(record for record in self.at.records if record.get("selected"))
        found, logits, labels = self.evaluate(self.test, chosen["train_loss"])
        self._remember(found, logits, labels)
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
        } | ({"step": self.own.state()} if self.own is not None else {})
        checkpoint.save(path, self.cell.key, state)

    def restore(self, path: Path, key: str) -> bool:
        """Goes on from the state of the cell `key`; False where there is none."""
        state = checkpoint.load(path, key, self.device)
        if state is None:
            return False
        self.model.load_state_dict(state["model"])
        self.parts.optimizer.load_state_dict(state["optimizer"])
        if self.ema is not None:
            self.ema.load_state_dict(state["ema"])
        if self.own is not None:
            self.own.restore(state["step"])
        for parameter, gradient in zip(self.step.trainable, state["gradients"], strict=True):
            parameter.grad = gradient
        self.at = checkpoint.Progress(**{**state["progress"], "loss": self.at.loss.copy_(state["progress"]["loss"])})
        return True


def _finite(value: float) -> float | None:
    """JSON has no NaN: a training that diverged has no loss."""
    return value if math.isfinite(value) else None
