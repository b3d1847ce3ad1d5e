"""Initializers that break their contract."""

import torch
from torch import nn

CAUGHT = {
    "torchs": ("test_the_generator_alone_decides", "it uses a global random generator"),
    "unused_draw": ("test_other_seeds_give_other_weights", "use what is drawn"),
    "infinite": ("test_weights_are_finite_and_keep_their_form", "2.weight is not finite"),
    "replacing": ("test_parameters_stay_the_same_objects_and_trainable", "fill it in place"),
    "all_weights": ("test_frozen_weights_stay", "leave out what has `requires_grad` False"),
}


def fill(model, function, frozen=False):
    for parameter in model.parameters():
        if parameter.ndim > 1 and (frozen or parameter.requires_grad):
            function(parameter)


def torchs(model, generator, /) -> None:
    """Draws from torch's global generator."""
    fill(model, nn.init.xavier_uniform_)


def unused_draw(model, generator, /) -> None:
    """Draws, and does nothing with it."""
    torch.rand(1, generator=generator)


def infinite(model, generator, /) -> None:
    """Divides by a width of 0."""
    fill(model, lambda weight: nn.init.constant_(weight, float("inf")))


def replacing(model, generator, /) -> None:
    """Puts new parameters into the last layer."""
    model[-1].weight = nn.Parameter(torch.randn(model[-1].weight.shape, generator=generator))


def all_weights(model, generator, /) -> None:
    """Frozen weights too."""
    fill(model, lambda weight: nn.init.normal_(weight, generator=generator), frozen=True)
