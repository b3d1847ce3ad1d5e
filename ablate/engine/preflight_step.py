"""A recipe's own step is tried: what fails in its second update would fail hours later."""

import torch

from ablate.errors import EnvironmentProblem
from ablate.registry import Registry
from ablate.spec.recipe import Recipe

from . import checkpoint
from .accelerators import sum_on
from .batches import Chunk
from .build import Parts, average, blame, follow
from .own_step import OwnStep
from .seeding import generator, global_rng
from .step import trainable
from .steps import Batch

UPDATES = 2  # of the weights
EPOCHS = 20  # after which it is asked whether it stops
BATCHES = 64  # in which they are to come: a step may gather gradients


def try_own_step(registry: Registry, recipe: Recipe, built: Parts, chunk: Chunk, device: torch.device) -> None:
    """Calls a step until it has made two updates, and sees whether what it keeps can be saved and whether it stops.

    Raises:
        PartError: With the place of what cannot work.
    """
    with blame("ema"):
        ema = average(built.model, recipe["ema"])
    built.model.train()
    with blame("step"):
        own = OwnStep(built, trainable(built), recipe, sum_on(device))
        for number in range(BATCHES):
            with global_rng(0, "preflight"):
                _call(own, chunk, number)
            if own.updates >= UPDATES:
                break
        if not own.updates:
            raise ValueError(f"it made no step of the optimizer in {BATCHES} batches: call `training.optimizer.step()`")
        _try_state(built, own)
        _try_stop(registry, recipe, own)
    if ema is not None:
        with blame("ema"):
            follow(ema, built.model)


def _call(own: OwnStep, chunk: Chunk, number: int) -> None:
    some = next(chunk.batches(len(chunk.indices), 0))
    images, draws = chunk.part.pipeline.on_batch(some.images), generator(0, "preflight", 0, number)
    own(Batch(images, some.labels, some.indices, 0, number, draws, some.view))


def _try_state(built: Parts, own: OwnStep) -> None:
    try:
        checkpoint.packed({"optimizer": built.optimizer.state_dict(), "step": own.state()})
    except EnvironmentProblem as error:
        raise ValueError(f"a checkpoint could not hold its state: {error}") from error
    if own.state() is not None and not hasattr(own.step, "load_state_dict"):
        raise TypeError("it has `state_dict`, and no `load_state_dict` to go on from it")


def _try_stop(registry: Registry, recipe: Recipe, own: OwnStep) -> None:
    """Asks it after each of some epochs that are made up."""
    said = bool(registry.load("step", recipe["step"]["use"]).says("stops", recipe["step"]))
    if said != hasattr(own.step, "stop"):
        has = "has no `stop`, and its factory says" if said else "has `stop`, and its factory does not say"
        raise TypeError(f"it {has} `stops = True`")
    told = {"train_loss": 1.0, "lr": 0.1, "seconds": 1.0, "images_per_second": 1.0} | dict.fromkeys(recipe["metrics"], 0.5)
    records = [{"epoch": epoch, **told} for epoch in range(1, min(recipe["epochs"], EPOCHS) + 1)]
    for count in range(1, len(records) + 1):
        own.stops(records[:count], recipe["metrics"] if recipe["eval_split"] == "test" else ())
