"""First weights of the convolutional and linear layers of any model; biases and frozen weights stay as they are."""

from collections.abc import Callable
from typing import Literal

from torch import Generator, Tensor, nn
from torch.nn import init

from ablate.registry.params import Positive

LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
Mode = Literal["fan_in", "fan_out"]


def _initialize(model: nn.Module, fill: Callable[[Tensor], object]) -> None:
    for module in model.modules():
        if isinstance(module, LAYERS) and module.weight.requires_grad:
            fill(module.weight)


def default(model: nn.Module, generator: Generator, /) -> None:
    """The weights that the layers' constructors gave."""


def kaiming_uniform(model: nn.Module, generator: Generator, /, *, mode: Mode = "fan_in") -> None:
    """Kaiming uniform for ReLU (He et al., 2015, arXiv 1502.01852).

    Args:
        mode: Whether the variance is kept forward (`fan_in`) or backward (`fan_out`).
    """
    _initialize(model, lambda weight: init.kaiming_uniform_(weight, mode=mode, nonlinearity="relu", generator=generator))


def kaiming_normal(model: nn.Module, generator: Generator, /, *, mode: Mode = "fan_in") -> None:
    """Kaiming normal for ReLU (He et al., 2015, arXiv 1502.01852).

    Args:
        mode: Whether the variance is kept forward (`fan_in`) or backward (`fan_out`).
    """
    _initialize(model, lambda weight: init.kaiming_normal_(weight, mode=mode, nonlinearity="relu", generator=generator))


def xavier_uniform(model: nn.Module, generator: Generator, /, *, gain: Positive = 1.0) -> None:
    """Xavier uniform (Glorot and Bengio, 2010).

    Args:
        gain: Factor of the weights.
    """
    _initialize(model, lambda weight: init.xavier_uniform_(weight, gain=gain, generator=generator))


def orthogonal(model: nn.Module, generator: Generator, /, *, gain: Positive = 1.0) -> None:
    """Orthogonal weights (Saxe et al., 2013, arXiv 1312.6120).

    Args:
        gain: Factor of the weights.
    """
    _initialize(model, lambda weight: init.orthogonal_(weight, gain=gain, generator=generator))
