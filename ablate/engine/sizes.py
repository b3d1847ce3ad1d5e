"""Sizes of a recipe that do not do what their names say. It imports no torch, so that a plan can tell them."""

from collections.abc import Iterator

from ablate.errors import Problem
from ablate.spec.recipe import Recipe


def size_notes(recipe: Recipe, images: int | None) -> Iterator[Problem]:
    """Sizes that do not do what their names say with so many training images; None where their number is not known."""
    if images is not None:
        size, batches = recipe["batch_size"], -(-images // recipe["batch_size"])
        if size > images:
            message = f"{size:,} is more than the {images:,} training images: an epoch is one batch of them all"
            yield Problem("batch_size", message)
        elif recipe["accumulate"] > batches:
            message = f"{recipe['accumulate']:,} is more than the {batches:,} batches of an epoch, which has one optimizer step"
            yield Problem("accumulate", message)
    if recipe["eval_every"] > recipe["epochs"]:
        message = f"{recipe['eval_every']:,} is more than the {recipe['epochs']:,} epochs: only the last one is evaluated"
        yield Problem("eval_every", message)


def at_once(recipe: Recipe, images: int) -> set[int]:
    """How many images go through the model together in training: of a batch and of the last one, on each device.

    Args:
        recipe: The recipe.
        images: Of an epoch.
    """
    devices, size = recipe.get("devices", 1), recipe["batch_size"]
    batches = {min(size, images), images % size or size}
    return {count for batch in batches for count in (batch // devices, -(-batch // devices))}
