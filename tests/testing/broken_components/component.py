"""What breaks the part of the contract that all kinds have in common; optimizers, as an example."""

import torch
from torch import nn

from ablate.registry.params import Positive, Unit

CAUGHT = {
    "undeclared": ("test_it_is_found_through_its_entry_point", '[project.entry-points."ablate.optimizers"]\nundeclared ='),
    "unbuildable": ("test_what_a_spec_says_is_accepted_and_builds", "cannot be built"),
    "undocumented": ("test_it_and_each_of_its_parameters_are_documented", "does not document lr"),
    "misdocumented": ("test_it_and_each_of_its_parameters_are_documented", "documents learning_rate, which it does not take"),
    "wrong_default": ("test_defaults_are_in_range", "the default of lr is 0, and its annotation allows a number > 0"),
    "unbounded": ("test_values_out_of_range_are_refused_before_anything_is_built", "Annotate it with `Positive`"),
    "fails_at_the_edge": ("test_values_in_range_build_or_are_refused_with_a_message", "fails with ZeroDivisionError"),
    "eager": ("test_listing_does_not_import_it", "`ablate list` imports broken_components.component"),
}


def sgd(model: nn.Module, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=lr)


def eager(model, /) -> torch.optim.Optimizer:
    """An optimizer of a package that is imported whenever Python starts."""
    return sgd(model, 0.1)


def unbuildable(model, /) -> torch.optim.Optimizer:
    """An optimizer that cannot be built."""
    raise RuntimeError("this cannot be built")


def undocumented(model, /, *, lr: Positive = 0.1) -> torch.optim.Optimizer:
    """An optimizer whose parameter is not explained."""
    return sgd(model, lr)


def misdocumented(model, /, *, lr: Positive = 0.1) -> torch.optim.Optimizer:
    """An optimizer whose parameter has another name in the documentation.

    Args:
        lr: Learning rate.
        learning_rate: Learning rate.
    """
    return sgd(model, lr)


def wrong_default(model, /, *, lr: Positive = 0) -> torch.optim.Optimizer:
    """An optimizer whose default is not allowed.

    Args:
        lr: Learning rate.
    """
    return sgd(model, lr)


def unbounded(model, /, *, lr: float = 0.1) -> torch.optim.Optimizer:
    """An optimizer that refuses what its annotation allows.

    Args:
        lr: Learning rate.
    """
    return sgd(model, lr)


def fails_at_the_edge(model, /, *, keep: Unit = 0.5) -> torch.optim.Optimizer:
    """An optimizer that cannot have the smallest value that it allows.

    Args:
        keep: What it divides by.
    """
    return sgd(model, 0.1 / keep)
