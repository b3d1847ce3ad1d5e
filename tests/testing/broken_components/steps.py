"""Steps that break their contract."""

import numpy as np
import torch

CAUGHT = {
    "a_number": ("test_it_gives_the_loss_of_the_batch", "it gives a float"),
    "in_place": ("test_it_gives_the_loss_of_the_batch", "work on a copy"),
    "by_hand": ("test_it_makes_steps_of_the_optimizer", "call `training.update()`"),
    "climbing": ("test_the_loss_falls", "check the sign"),
    "noisy": ("test_equal_starts_give_equal_ends", "draw from `batch.generator`"),
    "forgetful": ("test_it_goes_on_from_a_checkpoint_bit_for_bit", "keep what the next batches depend on"),
    "silent": ("test_it_stops_by_the_records_alone", "does not say `stops = True`"),
    "counting": ("test_it_stops_by_the_records_alone", "compute it from the records"),
}


def a_number(training, /):
    """A float in place of a tensor."""
    return lambda batch: training.plain(batch).item()


def in_place(training, /):
    """The batch is changed."""

    def step(batch):
        batch.images.mul_(0.5)
        return training.plain(batch)

    return step


def by_hand(training, /):
    """Weights that are changed without the optimizer."""

    def step(batch):
        loss = training.backward(batch.images, batch.labels)
        with torch.no_grad():
            for weight in training.model.parameters():
                weight.sub_(0.01 * weight.grad)
                weight.grad = None
        return loss

    return step


def climbing(training, /):
    """The sign is wrong."""

    def step(batch):
        loss = training.loss(training.model(batch.images), batch.labels)
        (-loss).backward()
        training.update()
        return loss

    return step


def noisy(training, /):
    """Noise from NumPy's global generator."""

    def step(batch):
        images = batch.images + 0.1 * np.random.randn()
        loss = training.backward(images, batch.labels)
        training.update()
        return loss

    return step


def forgetful(training, /):
    """A count of batches that is in no state."""
    batches = []

    def step(batch):
        batches.append(batch.number)
        loss = training.backward(batch.images, batch.labels)
        if len(batches) % 3 == 0:
            training.update()
        return loss

    return step


class Stopping:
    def __init__(self, training):
        self.training, self.asked = training, 0

    def __call__(self, batch):
        return self.training.plain(batch)

    def stop(self, records):
        self.asked += 1
        return self.asked > 3


def silent(training, /):
    """It stops, and nobody knows it before."""
    return Stopping(training)


def counting(training, /):
    """It stops when it was asked often enough."""
    return Stopping(training)


counting.stops = True
