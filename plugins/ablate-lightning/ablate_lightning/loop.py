"""The training of a cell: Lightning's Trainer, with its draws from counters and its state where ablate keeps it."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as library
import torch
from torch.utils._pytree import tree_map

from ablate.engine.weights import weights_digest
from ablate.plugin import Cell, Controls, EnvironmentProblem, Interrupted, Record, Result, derive
from ablate.trainers.code import loaded, undeclared_imports
from ablate.trainers.declared import Ledger
from ablate.trainers.loops import Give, Sitting, drawing, seed_everything

from .recipe import Recipe


def run(recipe: Recipe, cell: Cell, device: str, controls: Controls, give: Give) -> Result:
    """Trains a cell, from its checkpoint where it has one.

    Raises:
        Interrupted: `controls.should_stop` said so, or nobody asks for more.
        EnvironmentProblem: The module logs no metric that is declared, ends early, or has a state that only a pickle can hold.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(recipe.threads)
    with loaded(*recipe.targets) as (module, data_module), drawing(derive(cell.seed, "model")):
        undeclared_imports(recipe.targets, recipe.code)
        model = module(**recipe.of("module"))
        seed_everything(derive(cell.seed, "data"))
        data = data_module(**recipe.of("data_module"))
        sitting = Sitting(cell, controls)
        follower = _Follower(recipe, cell.seed, sitting, controls, give)
        trainer = _trainer(recipe, device, controls.folder, follower)
        _named_draws(data, trainer, cell.seed)
        checkpoint = str(sitting.checkpoint) if sitting.checkpoint else None
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            trainer.fit(model, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        undeclared_imports(recipe.targets, recipe.code)
    if (done := len(sitting.records)) < recipe.max_epochs:
        raise EnvironmentProblem(
            f"something in it ended the training after epoch {done} of {recipe.max_epochs}, such as EarlyStopping: variants are "
            "compared after equally many epochs. Remove that, or lower max_epochs."
        )
    result = follower.ledger.result(sitting.seconds())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Result(result.epochs, result.metrics, weights_digest({"module": model}), result.seconds, trained)


def _trainer(recipe: Recipe, device: str, folder: Path, follower: "_Follower") -> library.Trainer:
    """Lightning's Trainer, with nothing that it does by itself: no logging, saving or printing."""
    kind, _, number = device.partition(":")
    return library.Trainer(
        accelerator="cpu" if kind == "cpu" else "gpu",
        devices=[int(number)] if number else 1,
        max_epochs=recipe.max_epochs,
        precision=recipe.precision,
        gradient_clip_val=recipe.gradient_clip_val,
        gradient_clip_algorithm=recipe.gradient_clip_algorithm,
        accumulate_grad_batches=recipe.accumulate_grad_batches,
        deterministic=None if kind == "cpu" else "warn",
        callbacks=[follower],
        default_root_dir=folder,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _named_draws(data: Any, trainer: library.Trainer, seed: int) -> None:
    """Has the order and the augmentations of an epoch drawn from its number, whatever was drawn before."""
    made = data.train_dataloader

    def train_dataloader() -> Any:
        return tree_map(lambda loader: _Named(loader, trainer, seed) if hasattr(loader, "__iter__") else loader, made())

    data.train_dataloader = train_dataloader


class _Named:
    """A loader whose batches are drawn from counters: (seed, epoch, batch)."""

    def __init__(self, loader: Any, trainer: library.Trainer, seed: int):
        self.loader, self.trainer, self.seed = loader, trainer, seed
        self.sampler = getattr(loader, "sampler", None)  # Lightning tells it the epoch
        self.batch_sampler = getattr(loader, "batch_sampler", None)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        epoch = self.trainer.current_epoch
        with drawing(derive(self.seed, "order", epoch)):
            batches = iter(self.loader)
        index = 0
        while True:
            with drawing(derive(self.seed, "batch", epoch, index)):
                try:
                    batch = next(batches)
                except StopIteration:
                    return
            yield batch
            index += 1


class _Follower(library.Callback):
    """What happens between the batches and epochs: draws, records, saving and stopping."""

    def __init__(self, recipe: Recipe, seed: int, sitting: Sitting, controls: Controls, give: Give):
        self.recipe, self.seed, self.sitting, self.controls, self.give = recipe, seed, sitting, controls, give
        self.ledger = Ledger(recipe.metrics, (), recipe.max_epochs)
        self.ledger.records |= {record["epoch"]: record for record in sitting.records}
        self.begun, self.lr, self.read = sitting.seconds(), 0.0, False

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Here all of the epoch before is done, also what schedules do after it: so it is recorded and saved."""
        if trainer.current_epoch > len(self.sitting.records):
            self._record(trainer)
            self._save(trainer)
        self.begun = self.sitting.seconds()
        seed_everything(derive(self.seed, "epoch", trainer.current_epoch))

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.lr = float(trainer.optimizers[0].param_groups[0]["lr"]) if trainer.optimizers else 0.0
        seed_everything(derive(self.seed, "step", trainer.current_epoch, batch_idx))

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.give(None)
        if self.controls.should_stop():
            raise Interrupted  # what is saved is the end of the epoch before

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        seed_everything(derive(self.seed, "validation", trainer.current_epoch))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._record(trainer)

    def _record(self, trainer: Any) -> None:
        logged = trainer.callback_metrics
        wanted = [name for name in (*self.recipe.metrics, "train_loss") if name in logged]
        found: Record = {name: float(logged[name]) for name in wanted}
        logged.clear()  # an epoch that does not log a metric has none: that of an earlier one is not taken for it
        own = {"lr": self.lr, "seconds": self.sitting.seconds() - self.begun}
        record = self.ledger.add({"epoch": len(self.sitting.records) + 1, **own, **found}, "what the module logs")
        self.sitting.records.append(record)
        self.give(record)

    def _save(self, trainer: Any) -> None:
        self.controls.check()
        epochs = trainer.fit_loop.epoch_loop  # whose counters Lightning sets back only after this
        for progress in (epochs.batch_progress, epochs.scheduler_progress, epochs.automatic_optimization.optim_progress):
            progress.reset_on_run()
        name = f"epoch-{len(self.sitting.records)}.ckpt"
        path = self.controls.folder / name
        trainer.save_checkpoint(path)
        if not self.read:
            _readable(path)
            self.read = True
        self.sitting.saved(name, {})
        if self.controls.should_stop():
            raise Interrupted


def _readable(path: Path) -> None:
    """Reads a checkpoint without running code, as the next sitting will."""
    try:
        torch.load(path, map_location="meta", weights_only=True)
    except UnpicklingError as error:
        raise EnvironmentProblem(
            "the state of the module holds something beside tensors and plain values, which only a pickle that may run code can "
            f"give back: {str(error).splitlines()[0]} Hand such things to save_hyperparameters(ignore=[…]), and keep them out of "
            "on_save_checkpoint."
        ) from None
