"""Optimizers that break their contract."""

import numpy as np
import torch
from torch import nn

CAUGHT = {
    "without_biases": ("test_it_has_every_trainable_parameter_once", "0.bias, 1.weight, 1.bias, 4.bias, 6.bias"),
    "climbing": ("test_the_loss_falls", "check the sign"),
    "decaying_all": ("test_frozen_parameters_stay", "weight decay included"),
    "noisy": ("test_equal_starts_give_equal_ends", "draw with torch's functions alone"),
    "forgetful": ("test_it_goes_on_from_a_checkpoint_bit_for_bit", "so that `state_dict` has it"),
    "own_rate": ("test_the_learning_rate_is_read_from_its_groups_at_every_step", 'use `group["lr"]` in every step'),
}


class Descent(torch.optim.Optimizer):
    """Gradient descent, and whatever else is to be done with a parameter."""

    def __init__(self, parameters, update=None, lr=0.05):
        super().__init__(parameters, {"lr": lr})
        self.update = update or (lambda parameter, lr: parameter.sub_(parameter.grad, alpha=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, group["lr"])


def without_biases(model: nn.Module, /) -> torch.optim.Optimizer:
    """Only matrices and kernels are optimized."""
    return Descent([parameter for parameter in model.parameters() if parameter.ndim > 1])


def climbing(model: nn.Module, /) -> torch.optim.Optimizer:
    """The sign is wrong."""
    return Descent(model.parameters(), lambda parameter, lr: parameter.add_(parameter.grad, alpha=lr))


def decaying_all(model: nn.Module, /) -> torch.optim.Optimizer:
    """Weight decay of all that the model has."""

    def update(parameter, lr):
        parameter.sub_(parameter.grad, alpha=lr)
        for every in model.parameters():
            every.mul_(1 - 0.01 * lr)

    return Descent(model.parameters(), update)


def noisy(model: nn.Module, /) -> torch.optim.Optimizer:
    """Noise from NumPy's global generator."""
    return Descent(model.parameters(), lambda parameter, lr: parameter.sub_(parameter.grad, alpha=lr * np.random.rand()))


def forgetful(model: nn.Module, /) -> torch.optim.Optimizer:
    """A momentum that is in no state."""
    momenta = {}

    def update(parameter, lr):
        momentum = momenta.setdefault(parameter, torch.zeros_like(parameter))
        parameter.sub_(momentum.mul_(0.9).add_(parameter.grad), alpha=lr)

    return Descent(model.parameters(), update)


def own_rate(model: nn.Module, /) -> torch.optim.Optimizer:
    """A learning rate that no schedule changes."""
    return Descent(model.parameters(), lambda parameter, lr: parameter.sub_(parameter.grad, alpha=0.05))
