"""Training on from the end of a cell that has fewer epochs and is the same in all else.

Only where the shorter training is the beginning of the longer one, to the bit: nothing that trains may know how long it will be.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch

from ablate.contracts import Cell, Environment
from ablate.errors import Problem
from ablate.registry import Registry
from ablate.spec.recipe import Recipe, components, nested_components

from . import data
from .build import PartError
from .cell_training import CellTraining
from .epochs import follows

WHOLE = ("step", "sampler")  # fields whose components are given the length of the training


def problems(registry: Registry, cell: Cell, environment: Environment, device: torch.device, before: int) -> Iterator[Problem]:
    """Why a cell's training does not begin as the same one with `before` epochs does.

    Raises:
        AblateError: Data is missing or damaged.
    """
    recipe = cell.recipe
    if before % recipe["eval_every"]:
        yield Problem("eval_every", f"epoch {before} is evaluated as the last of {before}, and not as one of {recipe['epochs']}")
    for field in WHOLE:
        if recipe.get(field):
            yield Problem(field, f"a {field} of the recipe's own is given the length of the training")
    tensors = data.load(registry, recipe, cell.seed, environment, device, cell.identity.get("data"))
    try:
        short, long = (
            CellTraining(registry, replace(cell, recipe={**recipe, "epochs": epochs}), tensors, device)
            for epochs in (before, recipe["epochs"])
        )
    except PartError as error:
        yield Problem(error.field, str(error))
        return
    following = {f"train_transforms.{name}": transform for name, transform in long.transforms.items()}
    following |= {"model": long.model, "loss": long.parts.loss, "optimizer": long.parts.optimizer}
    for field, part in following.items():
        if follows(part):
            yield Problem(field, "it is told the epoch, and how many there are")
    per_epoch, rates = short.parts.horizon.steps_per_epoch, (short.parts.schedule, long.parts.schedule)
    other = next((place for place in range(before * per_epoch) if rates[0](place) != rates[1](place)), None)
    if other is not None:
        epoch = other // per_epoch + 1
        yield Problem("scheduler", f"of {recipe['epochs']} epochs its rates in epoch {epoch} differ from those of {before}")
    yield from _nested(registry, recipe)


def _nested(registry: Registry, recipe: Recipe) -> Iterator[Problem]:
    """Schedulers inside other components, which are given the length, too."""
    own = [id(spec) for _, spec in nested_components(registry, "scheduler", recipe["scheduler"])]
    for loaded, spec in components(registry, recipe):
        if loaded.component.kind == "scheduler" and id(spec) not in own:
            yield Problem(
                "", f"the scheduler {loaded.component.name!r} inside of a component is given the length of the training"
            )
