"""A trained model from its kept weights, and what it says of images."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablate.errors import EnvironmentProblem, describe
from ablate.records import Cell
from ablate.registry import Given, Registry

from .build import network, pipelines
from .data import Part
from .evaluation import logits_of
from .pipeline import Pipeline
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

    def logits(self, part: Part, pipeline: Pipeline, chunk: int) -> Tensor:
        """What the model says of images, as it did after the training: float32 `[N, K]`."""
        recipe, cuda = self.cell.recipe, self.device.type == "cuda"
        epoch = recipe["epochs"] - (recipe["select"] is None)  # as the training counts when it evaluates last
        torch.set_num_threads(recipe["threads"])
        with arithmetic(recipe["precision"]) if cuda else nullcontext():
            return logits_of(self.model, part, pipeline, chunk, self.cell.seed, epoch, self.autocast)

    def probabilities(self, images: Sequence[Tensor], chunk: int) -> Iterator[Tensor]:
        """Softmax of what the model says of images, uint8 `[C, H, W]` each: float32 `[K]` each."""
        for start in range(0, len(images), chunk):
            some = torch.stack(list(images[start : start + chunk])).to(self.device)
            labels = torch.zeros(len(some), dtype=torch.int64, device=self.device)
            yield from self.logits(Part(some, labels), self.pipeline, chunk).softmax(dim=1).cpu()


def restored(registry: Registry, cell: Cell, file: Path, sha256: str, device: torch.device) -> Restored:
    """The model of a cell with its kept weights.

    Raises:
        EnvironmentProblem: The weights are missing or damaged, or are not those of the model that is installed now.
    """
    tensors, form = load(file, cell.key, sha256)
    given: Given = {"model": (form.input,), "metric": (form.input.classes,)}
    model = network(registry, cell.recipe, form.input, cell.seed, given)
    model.to(device).to(memory_format=torch.channels_last)  # as in a training
    try:
        model.load_state_dict(tensors)
    except (RuntimeError, ValueError, TypeError) as error:
        raise EnvironmentProblem(
            f"{file}: the weights are not those of the model {cell.recipe['model']['use']!r} that is installed now: "
            f"{describe(error)}. Install the versions that `ablate diff {cell.key[:8]} {cell.key[:8]}` names."
        ) from error
    model.eval()
    return Restored(cell, model, pipelines(registry, cell.recipe, form.input.classes)[1], form, device)
