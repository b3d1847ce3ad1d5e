"""What is minimised."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from ablate.registry.params import Fraction

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(*, label_smoothing: Fraction = 0) -> Loss:
    """Mean cross-entropy of logits `[N, K]` with class labels `[N]` or soft labels `[N, K]`.

    Args:
        label_smoothing: Part of each label that is spread over all classes (Szegedy et al., 2015, arXiv 1512.00567).
    """
    return lambda logits, targets: functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
