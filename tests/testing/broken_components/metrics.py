"""Metrics that break their contract."""

import torch
from torch.nn.functional import cross_entropy

CAUGHT = {
    "tensor": ("test_it_is_a_number", "it gives a Tensor: return a float"),
    "undirected": ("test_its_direction_is_the_documented_one", "undirected.lower_is_better = True"),
    "misdirected": ("test_its_direction_is_the_documented_one", "`misdirected.lower_is_better` is True: change that"),
    "of_the_first": ("test_the_order_of_the_images_does_not_matter", "in another order of the images"),
    "running": ("test_it_changes_and_keeps_nothing", "keep nothing between two calls"),
}


def right(logits, labels):
    return (logits.argmax(1) == labels).double()


def tensor(classes, /):
    """A tensor in place of a number."""
    return lambda logits, labels: right(logits, labels).mean()


def undirected(classes, /):
    """A loss that does not say that less is better."""
    return lambda logits, labels: cross_entropy(logits, labels).item()


def misdirected(classes, /):
    """An accuracy that says that less is better."""
    return lambda logits, labels: right(logits, labels).mean().item()


misdirected.lower_is_better = True


def of_the_first(classes, /):
    """Early images count more."""
    return lambda logits, labels: (right(logits, labels) * torch.linspace(1, 0, len(labels))).mean().item()


def running(classes, /):
    """The mean of all calls."""
    seen = []

    def metric(logits, labels):
        seen.append(right(logits, labels).mean().item())
        return sum(seen) / len(seen)

    return metric
