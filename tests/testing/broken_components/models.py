"""Models that break their contract."""

import numpy as np
import torch
from torch import nn

CAUGHT = {
    "columns": ("test_it_gives_logits_for_every_class", "give [4, 10, 1]"),
    "squeezing": ("test_it_takes_one_image_in_evaluation", "squeeze no dimension that may be 1"),
    "detached": ("test_gradients_reach_every_trainable_parameter", "no gradient reaches 0.weight"),
    "unsaved": ("test_its_state_restores_it_bit_for_bit", "register_buffer"),
    "numpys": ("test_equal_seeds_give_equal_models", "draw weights with torch's functions alone"),
    "counting": ("test_equal_steps_give_equal_logits", "keep no counters"),
    "always_dropping": ("test_evaluation_changes_and_draws_nothing", "in evaluation, logits are random"),
    "batch_statistics": ("test_evaluation_takes_each_image_by_itself", "use running statistics"),
    "ten_classes": ("test_the_number_of_classes_is_the_datas", "for 2 classes it gives [4, 10]"),
    "halved": (
        "test_it_gives_logits_for_every_class",
        "expected [4, 10, 32, 32]: say a class for each pixel",
    ),
    "images_for_masks": ("test_it_gives_logits_for_every_class", "give [4, 10]; expected [4, 10, 32, 32]"),
    "unnamed": ("test_it_gives_logits_for_every_class", "in training it gives a dict: return the logits alone, or have a method"),
    "named_statistics": ("test_evaluation_takes_each_image_by_itself", "use running statistics"),
    "ten_named": ("test_the_number_of_classes_is_the_datas", "for 2 classes it gives [4, 10, 32, 32]"),
}
TRIED = {name: {"targets": "mask"} for name in ("halved", "images_for_masks", "unnamed", "named_statistics", "ten_named")}


class Then(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


def linear(info, *after, classes=None) -> nn.Module:
    size = info.channels * info.height * info.width
    return nn.Sequential(nn.Flatten(), nn.Linear(size, classes or info.classes), *after)


def columns(info, /) -> nn.Module:
    """Logits with one dimension too many."""
    return linear(info, nn.Unflatten(1, (-1, 1)))


def squeezing(info, /) -> nn.Module:
    """One image loses its dimension."""
    return linear(info, Then(torch.squeeze))


def detached(info, /) -> nn.Module:
    """A layer that is not trained by mistake."""
    return nn.Sequential(nn.Conv2d(info.channels, info.channels, 1), Then(torch.detach), *linear(info))


def unsaved(info, /) -> nn.Module:
    """A random number that is in no state."""
    scale = torch.rand(())
    return linear(info, Then(lambda logits: logits * scale))


def numpys(info, /) -> nn.Module:
    """Weights drawn with NumPy."""
    model = linear(info)
    nn.init.constant_(model[1].weight, np.random.rand())
    return model


def counting(info, /) -> nn.Module:
    """Logits that depend on how often it was called."""
    calls = []

    def count(logits):
        calls.append(1)
        return logits * len(calls)

    return linear(info, Then(count))


def always_dropping(info, /) -> nn.Module:
    """Dropout in evaluation too."""
    return linear(info, Then(nn.functional.dropout))


def batch_statistics(info, /) -> nn.Module:
    """Images that are normalized by those beside them."""
    return linear(info, nn.BatchNorm1d(info.classes, track_running_stats=False))


def ten_classes(info, /) -> nn.Module:
    """Ten classes, whatever the data has."""
    return linear(info, classes=10)


class Named(nn.Module):
    """Logits of each pixel under a name, which `logits_of` knows."""

    def __init__(self, info, *after, classes=None):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(info.channels, classes or info.classes, 1), *after)

    def forward(self, images):
        return {"out": self.layers(images)}

    def logits_of(self, output):
        return output["out"]


def halved(info, /) -> nn.Module:
    """A class for four pixels together."""
    return Named(info, nn.AvgPool2d(2))


def images_for_masks(info, /) -> nn.Module:
    """A class for each image."""
    return linear(info)


def unnamed(info, /) -> nn.Module:
    """A dictionary, and nothing that says what of it are logits."""
    return nn.Sequential(Named(info))


def named_statistics(info, /) -> nn.Module:
    """Images that are normalized by those beside them."""
    return Named(info, nn.BatchNorm2d(info.classes, track_running_stats=False))


def ten_named(info, /) -> nn.Module:
    """Ten classes, whatever the data has."""
    return Named(info, classes=10)
