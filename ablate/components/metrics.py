"""What is measured: a function of the logits `[N, K]` and labels `[N]` of all images that are evaluated."""

from collections.abc import Callable
from typing import Annotated, Any

from torch import Tensor
from torch.nn import functional

from ablate.params import Choices

Metric = Callable[[Tensor, Tensor], float]


def accuracy(classes: int, /) -> Metric:
    """Part of the images whose largest logit is that of their class, in [0, 1]."""
    return lambda logits, targets: (logits.argmax(dim=1) == targets).double().mean().item()


def top5_accuracy(classes: int, /) -> Metric:
    """Part of the images whose class is among the five with the largest logits, in [0, 1]."""
    return lambda logits, targets: (
        (logits.topk(min(5, classes), dim=1).indices == targets[:, None]).any(dim=1).double().mean().item()
    )


def loss(classes: int, /) -> Metric:
    """Mean cross-entropy, in nats, without label smoothing."""
    return lambda logits, targets: functional.cross_entropy(logits, targets).item()


loss.lower_is_better = True  # type: ignore[attr-defined]


def _names() -> list[str]:
    from torchmetrics.functional import classification

    return sorted(name for name in classification.__all__ if name.startswith("multiclass_"))


def torchmetrics(classes: int, /, *, name: Annotated[str, Choices(_names)], arguments: dict[str, Any] = {}) -> Metric:  # noqa: B006
    """A metric of `torchmetrics.functional.classification` that is one number, on softmax probabilities.

    Args:
        name: Its name there, such as `multiclass_f1_score` or `multiclass_calibration_error`.
        arguments: What it is given beside predictions, labels, and the number of classes.
    """
    from torchmetrics.functional import classification

    function = getattr(classification, name)
    return lambda logits, targets: function(logits.softmax(dim=1), targets, num_classes=classes, **arguments).item()
