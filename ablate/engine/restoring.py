"""A trained model from its kept weights, and what it says of images."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablate.contracts import Cell
from ablate.errors import EnvironmentProblem, UsageError, describe
from ablate.photographs import Photographs
from ablate.registry import Given, Registry
from ablate.spec.recipe import Recipe

from .build import blame, loss_of, metrics_of, network, pipelines
from .data import Part
from .epochs import tell
from .evaluation import Record, measured, predicted, with_images
from .pipeline import Pipeline
from .prepared import Prepared, as_they_come, chunk_of, eval_batch_of
from .targets import WORDS
from .turns import arithmetic
from .weights import Form, load


@dataclass(frozen=True)
class Restored:
    """A cell's model with the weights that its metrics are of, in evaluation mode.

    Attributes:
        cell: The cell.
        model: On the device.
        pipeline: What images go through that are evaluated.
        form: What it takes and tells.
        device: Where it is.
    """

    cell: Cell
    model: nn.Module
    pipeline: Pipeline
    form: Form
    device: torch.device

    def autocast(self) -> AbstractContextManager[Any]:
        if self.cell.recipe["precision"] != "bfloat16":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    @property
    def epoch(self) -> int:
        """That of the draws, as the training counts when it evaluates last."""
        return self.form.epochs - (self.cell.recipe["select"] is None)

    def arithmetic(self) -> AbstractContextManager[None]:
        """That of the training."""
        torch.set_num_threads(self.cell.recipe["threads"])
        return arithmetic(self.cell.recipe["precision"]) if self.device.type == "cuda" else nullcontext()

    @torch.no_grad()
    def predicted(self, part: Prepared) -> tuple[Tensor, Tensor]:
        """What the model says of images, as it did after the training: float32 `[N, K]`; and their labels."""
        forms = self.form.images, self.form.input
        chunk, batch = chunk_of(self.device, forms), eval_batch_of(*forms)
        with self.arithmetic():
            return predicted(self.model, part, chunk, batch, self.cell.seed, self.epoch, self.autocast)

    def measured(self, registry: Registry, recipe: Recipe, part: Prepared) -> Record:
        """The metrics of a recipe on images, as its training would measure them after the last epoch.

        Raises:
            PartError: A factory or a metric fails.
        """
        seed, nested, (logits, labels) = self.cell.seed, given(self.form), self.predicted(part)
        metrics = metrics_of(registry, recipe, self.form.input, seed, self.device, nested)
        loss = loss_of(registry, self.cell.recipe, seed, self.device, nested)
        tell(self.form.epochs - 1, self.form.horizon, loss)
        with self.arithmetic(), torch.no_grad(), blame("metrics"):
            asked = with_images(metrics, self.model, part, logits, labels, loss, seed, self.epoch, self.autocast)
            return measured(logits, labels, asked, train_loss=0.0)

    def probabilities(self, images: Tensor | Photographs) -> Tensor:
        """Softmax of what the model says of images, uint8 `[N, C, H, W]` or photographs: float32 `[N, K]`.

        Raises:
            TransformError: A transform failed.
            UsageError: The model says no classes of images.
        """
        if (targets := self.form.input.targets) != "class":
            raise UsageError(
                f"the model was trained on {WORDS[targets]}, and only classes of images are told here. "
                "`ablate.load_model` gives the model, to call as you like."
            )
        labels = torch.zeros(len(images), dtype=torch.int64, device=self.device)
        there = images if isinstance(images, Photographs) else images.to(self.device)
        logits, _ = self.predicted(as_they_come(Part(there, labels), self.pipeline, self.cell.seed))
        return logits.softmax(dim=1).cpu()


def given(form: Form) -> Given:
    """What factories of nested components are given, as in the training."""
    return {"model": (form.input,), "scheduler": (form.horizon,), "metric": (form.input.classes,)}


def restored(registry: Registry, cell: Cell, file: Path, sha256: str, device: torch.device) -> Restored:
    """The model of a cell with its kept weights.

    Raises:
        EnvironmentProblem: The weights are missing or damaged, or are not those of the model that is installed now.
    """
    tensors, form = load(file, cell.key, sha256)
    model = network(registry, cell.recipe, form.input, cell.seed, given(form))
    model.to(device).to(memory_format=torch.channels_last)  # as in a training
    tell(form.epochs - 1, form.horizon, model)
    try:
        model.load_state_dict(tensors)
    except (RuntimeError, ValueError, TypeError) as error:
        raise EnvironmentProblem(
            f"{file}: the weights are not those of the model {cell.recipe['model']['use']!r} that is installed now: "
            f"{describe(error)}. Install the versions that `ablate diff {cell.key[:8]} {cell.key[:8]}` names."
        ) from error
    model.eval()
    return Restored(cell, model, pipelines(registry, cell.recipe, form.input.classes)[1], form, device)
