"""The training of a cell: transformers' Trainer, with its draws from counters and its state where ablate keeps it."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PrinterCallback, TrainerCallback, TrainingArguments
from transformers import Trainer as TransformersTrainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from transformers.utils import logging

from ablate.engine.evaluation import measured
from ablate.engine.weights import weights_digest
from ablate.plugin import Cell, Controls, EnvironmentProblem, Interrupted, Record, Registry, Result, build, derive
from ablate.trainers.loops import Give, Sitting, drawing, seed_everything

from . import texts
from .model import made_model, made_tokenizer, offline

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .recipe import Recipe

EVAL_BATCH = 64
Example = dict[str, Any]


def run(registry: Registry, recipe: "Recipe", cell: Cell, device: str, controls: Controls, give: Give) -> Result:
    """Trains a cell, from its checkpoint where it has one.

    Raises:
        Interrupted: `controls.should_stop` said so, or nobody asks for more.
        EnvironmentProblem: Data is missing or damaged, or the device is not one that transformers can be told of.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(recipe.threads)
    data = texts.load(recipe.train, recipe.test, recipe.text, recipe.label)
    with drawing(derive(cell.seed, "hf")), offline():
        tokenizer = made_tokenizer(recipe, data.train.texts)
        seed_everything(derive(cell.seed, "model"))
        model = made_model(recipe, tokenizer, data.classes)
        sitting = Sitting(cell, controls)
        follower = _Follower(recipe, cell.seed, sitting, controls, give)
        trainer = _Trainer(
            model=model,
            args=arguments(recipe, cell.seed, device, str(controls.folder)),
            train_dataset=examples(recipe, tokenizer, data.train),
            data_collator=partial(collated, tokenizer),
            callbacks=[follower],
        )
        trainer.remove_callback(PrinterCallback)
        metrics = {name: build(registry, "metric", spec, len(data.classes)) for name, spec in recipe.metrics.items()}
        follower.trainer, follower.metrics = trainer, metrics
        follower.test = examples(recipe, tokenizer, data.test)
        trainer.train(resume_from_checkpoint=str(sitting.checkpoint) if sitting.checkpoint else None)
    last = sitting.records[-1]
    return Result(
        epochs=sitting.records,
        metrics={name: last[name] for name in recipe.metrics},
        weights_sha256=weights_digest({"model": model}),
        seconds=sitting.seconds(),
        parameters=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        evaluated_images=len(data.test.texts),
    )


def arguments(recipe: "Recipe", seed: int, device: str, folder: str) -> TrainingArguments:
    """The recipe in transformers' words, with nothing that it does by itself: no logging, evaluating or saving.

    Raises:
        EnvironmentProblem: The device is a GPU that is not the first one.
    """
    if device not in ("cpu", "cuda", "cuda:0"):
        number = device.partition(":")[2]
        raise EnvironmentProblem(
            f"transformers trains on the first GPU that it sees, and not on {device}: "
            f"set CUDA_VISIBLE_DEVICES={number}, and use --device cuda."
        )
    made = TrainingArguments(
        output_dir=folder,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=EVAL_BATCH,
        optim=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        lr_scheduler_type=recipe.scheduler,
        lr_scheduler_kwargs=dict(recipe.scheduler_arguments),
        warmup_steps=recipe.warmup,
        label_smoothing_factor=recipe.label_smoothing,
        max_grad_norm=recipe.grad_clip or 0.0,
        bf16=recipe.precision == "bfloat16",
        seed=derive(seed, "trainer") % 2**32,
        use_cpu=device == "cpu",
        remove_unused_columns=False,
        dataloader_pin_memory=device != "cpu",
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    if made.n_gpu > 1:
        made._n_gpu = 1  # a cell has one, whatever else is there
    return made


def examples(recipe: "Recipe", tokenizer: "PreTrainedTokenizerBase", part: texts.Part) -> list[Example]:
    """Numbers of tokens, cut to the recipe's length, with the number of the class."""
    found = tokenizer(list(part.texts), truncation=True, max_length=recipe.max_length, return_token_type_ids=False)
    return [
        {"input_ids": tokens, "attention_mask": mask, "labels": label}
        for tokens, mask, label in zip(found["input_ids"], found["attention_mask"], part.labels, strict=True)
    ]


def collated(tokenizer: "PreTrainedTokenizerBase", batch: Sequence[Example]) -> dict[str, Tensor]:
    """A batch, filled up to its longest text: `input_ids` and `attention_mask` `[N, T]`, `labels` `[N]`."""
    inputs = tokenizer.pad([{name: one[name] for name in ("input_ids", "attention_mask")} for one in batch], return_tensors="pt")
    return {**inputs, "labels": torch.tensor([one["labels"] for one in batch])}


class _Trainer(TransformersTrainer):
    """transformers' Trainer, which sums the loss of an epoch up, and keeps no state of random generators.

    `_Follower` sets them from counters, so that a training can go on at any step.
    """

    summed = 0.0  # of the losses of an epoch's texts

    def training_step(self, model: Any, inputs: Mapping[str, Tensor], num_items_in_batch: Any = None) -> Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        self.summed += loss.item() * len(inputs["labels"])
        return loss

    def _save_rng_state(self, output_dir: str) -> None: ...

    def _load_rng_state(self, checkpoint: str | None) -> None: ...


class _Follower(TrainerCallback):
    """What happens between the steps: draws, evaluation, saving and stopping."""

    trainer: _Trainer
    test: Sequence[Example]
    metrics: Mapping[str, Any]

    def __init__(self, recipe: "Recipe", seed: int, sitting: Sitting, controls: Controls, give: Give):
        self.recipe, self.seed, self.sitting, self.controls, self.give = recipe, seed, sitting, controls, give
        self.lr, self.stopping = recipe.learning_rate, False
        self.saved = self.begun = sitting.seconds()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.summed = self.sitting.more.get("loss", 0.0)
        self.begun = self.sitting.seconds() - self.sitting.more.get("seconds", 0.0)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seed_everything(derive(self.seed, "order", self._epoch(state)))

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        seed_everything(derive(self.seed, "step", self._epoch(state), self._batches(state)))

    def on_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        self.lr = float(optimizer.param_groups[0]["lr"])  # before the schedule has its next one

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.give(None)
        if self._batches(state):  # after the last step of an epoch it is evaluated first
            self._perhaps_save(control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        epoch, seconds = self._epoch(state), self.sitting.seconds()
        mean = self.trainer.summed / len(self.trainer.train_dataset)
        train_loss = mean if math.isfinite(mean) else None
        record: Record = {"epoch": epoch, "train_loss": train_loss, "lr": self.lr, "seconds": seconds - self.begun}
        record |= self._evaluated(train_loss)
        self.sitting.records.append(record)
        self.trainer.summed, self.begun = 0.0, self.sitting.seconds()
        self.give(record)
        if epoch < self.recipe.epochs:
            self._perhaps_save(control)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        more = {
            "batches": self._batches(state),
            "loss": self.trainer.summed,
            "seconds": self.sitting.seconds() - self.begun,
        }
        self.sitting.saved(f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}", more)
        self.saved = self.sitting.seconds()
        if self.stopping:
            raise Interrupted

    def _perhaps_save(self, control: Any) -> None:
        self.stopping = self.controls.should_stop()
        if self.stopping or self.sitting.seconds() - self.saved >= self.controls.checkpoint_seconds:
            self.controls.check()
            control.should_save = True

    def _steps(self, state: Any) -> int:
        return int(state.max_steps // self.recipe.epochs)

    def _epoch(self, state: Any) -> int:
        """Finished epochs."""
        return int(state.global_step // self._steps(state))

    def _batches(self, state: Any) -> int:
        """Finished steps of the epoch that runs."""
        return int(state.global_step % self._steps(state))

    def _evaluated(self, train_loss: float | None) -> Record:
        found = self.trainer.predict(self.test).predictions
        logits = torch.from_numpy(found[0] if isinstance(found, tuple) else found).float()
        labels = torch.tensor([one["labels"] for one in self.test])
        return measured(logits, labels, self.metrics, train_loss)
