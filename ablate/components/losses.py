"""What is minimised.

Each factory says by `targets` which targets of a dataset it is for; one that says nothing is tried with whatever there is.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ablate.contracts import IGNORED
from ablate.registry.params import Fraction, Positive

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(*, label_smoothing: Fraction = 0) -> Loss:
    """Mean cross-entropy of logits `[N, K]` with class labels `[N]` or soft labels `[N, K]`, or of each pixel with a mask.

    Of a batch in which no pixel counts it is 0, without gradient.

    Args:
        label_smoothing: Part of each label that is spread over all classes (Szegedy et al., 2015, arXiv 1512.00567).
    """

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        mean = functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
        if targets.ndim != 3 or targets.is_floating_point():
            return mean
        return torch.where((targets != IGNORED).any(), mean, torch.zeros_like(mean))  # the mean of no pixel is NaN

    return loss


cross_entropy.targets = ("class", "mask")  # type: ignore[attr-defined]


def binary_cross_entropy() -> Loss:
    """Mean cross-entropy of each label by itself, for several labels an image: of logits `[N, K]` with 0 or 1."""
    return functional.binary_cross_entropy_with_logits


binary_cross_entropy.targets = ("multilabel",)  # type: ignore[attr-defined]


def mse() -> Loss:
    """Mean squared error of numbers `[N, D]`, for regression."""
    return functional.mse_loss


mse.targets = ("regression",)  # type: ignore[attr-defined]


def l1() -> Loss:
    """Mean absolute error of numbers `[N, D]`, for regression."""
    return functional.l1_loss


l1.targets = ("regression",)  # type: ignore[attr-defined]


def smooth_l1(*, beta: Positive = 1) -> Loss:
    """Squared error where it is small and absolute error where it is large, for regression (Girshick, 2015, arXiv 1504.08083).

    Args:
        beta: Error from which on it is absolute.
    """
    return lambda outputs, targets: functional.smooth_l1_loss(outputs, targets, beta=beta)


smooth_l1.targets = ("regression",)  # type: ignore[attr-defined]
