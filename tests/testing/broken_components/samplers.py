"""Samplers that break their contract."""

import torch

CAUGHT = {
    "too_many": ("test_every_epoch_has_images_that_there_are", "there are 100, counted from 0"),
    "as_numbers": ("test_every_epoch_has_images_that_there_are", "expected a tensor of int64"),
    "global_draws": ("test_the_epoch_and_the_generator_alone_decide", "Draw from the generator that is given"),
    "shrinking": ("test_the_epoch_and_the_generator_alone_decide", "keep nothing between two epochs"),
    "sorting": ("test_it_leaves_the_labels_as_they_are", "work on a copy"),
}


def too_many(samples, /):
    """Counts from 1."""
    return lambda epoch, generator: torch.arange(len(samples.labels)) + 1


def as_numbers(samples, /):
    """Floats."""
    return lambda epoch, generator: torch.arange(len(samples.labels)).float()


def global_draws(samples, /):
    """An order of the global generator."""
    return lambda epoch, generator: torch.randperm(len(samples.labels))


def shrinking(samples, /):
    """One image less whenever it is asked."""
    left = list(range(len(samples.labels)))

    def sampler(epoch, generator):
        left.pop()
        return torch.tensor(left)

    return sampler


def sorting(samples, /):
    """Labels that are sorted where they lie."""

    def sampler(epoch, generator):
        samples.labels.copy_(samples.labels.sort().values)
        return torch.arange(len(samples.labels))

    return sampler
