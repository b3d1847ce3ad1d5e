"""torch's optimizers, over the parameters that are trained."""

from torch import nn, optim

from ablate.registry.params import Fraction, NonNegative, Positive

Betas = tuple[Fraction, Fraction]


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def fused(model: nn.Module) -> bool | None:
    """Whether torch's fused kernel does the step: on every device that has one; None leaves it to torch."""
    return True if all(parameter.device.type in ("cpu", "cuda") for parameter in trainable(model)) else None


def sgd(
    model: nn.Module,
    /,
    *,
    lr: Positive = 0.01,
    momentum: NonNegative = 0,
    weight_decay: NonNegative = 0,
    nesterov: bool = False,
) -> optim.Optimizer:
    """Stochastic gradient descent.

    Args:
        lr: Learning rate.
        momentum: Factor of the running sum of gradients.
        weight_decay: L2 penalty, added to the gradient.
        nesterov: Whether the momentum looks ahead; needs momentum > 0.
    """
    return optim.SGD(trainable(model), lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=fused(model))


def adam(
    model: nn.Module,
    /,
    *,
    lr: Positive = 0.001,
    betas: Betas = (0.9, 0.999),
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0,
) -> optim.Optimizer:
    """Adam (Kingma and Ba, 2014, arXiv 1412.6980).

    Args:
        lr: Learning rate.
        betas: Decay rates of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
    """
    return optim.Adam(trainable(model), lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=weight_decay, fused=fused(model))


def adamw(
    model: nn.Module,
    /,
    *,
    lr: Positive = 0.001,
    betas: Betas = (0.9, 0.999),
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0.01,
) -> optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017, arXiv 1711.05101).

    Args:
        lr: Learning rate.
        betas: Decay rates of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: Part of the weight that each step takes away, times the learning rate.
    """
    return optim.AdamW(
        trainable(model), lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=weight_decay, fused=fused(model)
    )


def rmsprop(
    model: nn.Module,
    /,
    *,
    lr: Positive = 0.01,
    alpha: Fraction = 0.99,
    eps: Positive = 1e-8,
    momentum: NonNegative = 0,
    centered: bool = False,
    weight_decay: NonNegative = 0,
) -> optim.Optimizer:
    """RMSprop (Tieleman and Hinton, 2012).

    Args:
        lr: Learning rate.
        alpha: Decay rate of the running mean of the squared gradient.
        eps: Added to the denominator.
        momentum: Factor of the running sum of updates.
        centered: Whether the gradient is normalised by its variance instead of its square.
        weight_decay: L2 penalty, added to the gradient.
    """
    return optim.RMSprop(
        trainable(model), lr=lr, alpha=alpha, eps=eps, momentum=momentum, centered=centered, weight_decay=weight_decay
    )


def nadam(
    model: nn.Module,
    /,
    *,
    lr: Positive = 0.002,
    betas: Betas = (0.9, 0.999),
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0,
    momentum_decay: NonNegative = 0.004,
) -> optim.Optimizer:
    """Adam with Nesterov momentum (Dozat, 2016).

    Args:
        lr: Learning rate.
        betas: Decay rates of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
        momentum_decay: Decay of the momentum.
    """
    return optim.NAdam(
        trainable(model), lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay
    )


def radam(
    model: nn.Module,
    /,
    *,
    lr: Positive = 0.001,
    betas: Betas = (0.9, 0.999),
    eps: Positive = 1e-8,
    weight_decay: NonNegative = 0,
) -> optim.Optimizer:
    """Adam with a rectified warm-up (Liu et al., 2019, arXiv 1908.03265).

    Args:
        lr: Learning rate.
        betas: Decay rates of the running means of the gradient and of its square.
        eps: Added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
    """
    return optim.RAdam(trainable(model), lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=weight_decay)


def adagrad(
    model: nn.Module,
    /,
    *,
    lr: Positive = 0.01,
    lr_decay: NonNegative = 0,
    eps: Positive = 1e-10,
    weight_decay: NonNegative = 0,
) -> optim.Optimizer:
    """Adagrad (Duchi et al., 2011).

    Args:
        lr: Learning rate.
        lr_decay: Decay of the learning rate with the steps.
        eps: Added to the denominator.
        weight_decay: L2 penalty, added to the gradient.
    """
    return optim.Adagrad(trainable(model), lr=lr, lr_decay=lr_decay, eps=eps, weight_decay=weight_decay)
