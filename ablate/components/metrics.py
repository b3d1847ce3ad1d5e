"""What is measured: a function of the logits `[N, K]` and labels `[N]` of all images that are evaluated.

Each factory says by `lower_is_better` which way is better: a truth value, or a function of the metric's parameters that gives
one, or None where nobody knows.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from torch import Tensor
from torch.nn import functional

from ablate.registry.params import Choices

Metric = Callable[[Tensor, Tensor], float]
NOT_ONE_NUMBER = {  # of torchmetrics: matrices, curves, and pairs of a value with its threshold
    "multiclass_confusion_matrix",
    "multiclass_precision_at_fixed_recall",
    "multiclass_precision_recall_curve",
    "multiclass_recall_at_fixed_precision",
    "multiclass_roc",
    "multiclass_sensitivity_at_specificity",
    "multiclass_specificity_at_sensitivity",
    "multiclass_stat_scores",
}


def of_classes(metric: Metric) -> Metric:
    """The metric, which refuses labels that are not class numbers: some of them would give a number that means nothing."""

    def checked(logits: Tensor, targets: Tensor) -> float:
        if targets.ndim != 1 or targets.is_floating_point():
            form = f"{str(targets.dtype).removeprefix('torch.')} {list(targets.shape)}"
            raise ValueError(
                f"it is for labels that are class numbers [{len(targets)}], and these are {form}. Name metrics that fit them in "
                "`metrics` of the recipe; a recipe that names none has accuracy and loss."
            )
        return metric(logits, targets)

    return checked


def accuracy(classes: int, /) -> Metric:
    """Part of the images whose largest logit is that of their class, in [0, 1]."""
    return of_classes(lambda logits, targets: (logits.argmax(dim=1) == targets).double().mean().item())


accuracy.lower_is_better = False  # type: ignore[attr-defined]


def top5_accuracy(classes: int, /) -> Metric:
    """Part of the images whose class is among the five with the largest logits, in [0, 1]."""
    return of_classes(
        lambda logits, targets: (
            (logits.topk(min(5, classes), dim=1).indices == targets[:, None]).any(dim=1).double().mean().item()
        )
    )


top5_accuracy.lower_is_better = False  # type: ignore[attr-defined]


def loss(classes: int, /) -> Metric:
    """Mean cross-entropy, in nats, without label smoothing."""
    return of_classes(lambda logits, targets: functional.cross_entropy(logits, targets).item())


loss.lower_is_better = True  # type: ignore[attr-defined]


def _names() -> list[str]:
    from torchmetrics.functional import classification

    return sorted(name for name in classification.__all__ if name.startswith("multiclass_") and name not in NOT_ONE_NUMBER)


def torchmetrics(classes: int, /, *, name: Annotated[str, Choices(_names)], arguments: dict[str, Any] = {}) -> Metric:  # noqa: B006
    """A metric of `torchmetrics.functional.classification` that is one number, on softmax probabilities.

    Which way is better is what torchmetrics says of it; of some it says nothing, and then `compare` needs a `goal`.

    Args:
        name: Its name there, such as `multiclass_f1_score` or `multiclass_calibration_error`.
        arguments: What it is given beside predictions, labels, and the number of classes.
    """
    from torchmetrics.functional import classification

    function = getattr(classification, name)

    def metric(logits: Tensor, targets: Tensor) -> float:
        value = function(logits.softmax(dim=1), targets, num_classes=classes, **arguments)
        if not isinstance(value, Tensor) or value.ndim:
            got = f"{list(value.shape)} numbers" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ValueError(
                f'{name} gives {got}, and a metric is one number. Set its arguments, such as {{"average": "macro"}}.'
            )
        return float(value)

    return of_classes(metric)


def _lower_is_better(spec: Mapping[str, Any]) -> bool | None:
    """What the class that torchmetrics has beside the function says."""
    from torchmetrics import classification

    classes = {name.lower(): getattr(classification, name) for name in classification.__all__}
    higher = getattr(classes.get(spec["name"].replace("_", "")), "higher_is_better", None)
    return None if higher is None else not higher


torchmetrics.lower_is_better = _lower_is_better  # type: ignore[attr-defined]
