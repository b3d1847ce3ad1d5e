"""What is measured: a function of the logits `[N, K]` and labels `[N]` of all images that are evaluated.

Each factory says by `lower_is_better` which way is better: a truth value, or a function of the metric's parameters that gives
one, or None where nobody knows. By `targets` it says likewise which targets of a dataset it is for; one that says nothing is
tried with whatever there is.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from torch import Tensor
from torch.nn import functional

from ablate.contracts import IGNORED
from ablate.registry.params import Choices

Metric = Callable[[Tensor, Tensor], float]
NOT_ONE_NUMBER = {  # of torchmetrics: matrices, curves, and pairs of a value with its threshold
    f"{form}_{name}"
    for form in ("multiclass", "multilabel")
    for name in (
        "confusion_matrix",
        "precision_at_fixed_recall",
        "precision_recall_curve",
        "recall_at_fixed_precision",
        "roc",
        "sensitivity_at_specificity",
        "specificity_at_sensitivity",
        "stat_scores",
    )
} | {
    "multilabel_eer",  # one a label
    "continuous_ranked_probability_score",  # of distributions, as the next two
    "jensen_shannon_divergence",
    "kl_divergence",
}


def of_classes(metric: Metric, dimensions: tuple[int, ...] = (1,)) -> Metric:
    """The metric, which refuses labels that are not class numbers: some of them would give a number that means nothing.

    Args:
        metric: Of logits and labels.
        dimensions: Those that labels may have: 1 is one class an image, 3 one a pixel.
    """

    def checked(logits: Tensor, targets: Tensor) -> float:
        if targets.ndim not in dimensions or targets.is_floating_point():
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
accuracy.targets = ("class",)  # type: ignore[attr-defined]


def top5_accuracy(classes: int, /) -> Metric:
    """Part of the images whose class is among the five with the largest logits, in [0, 1]."""
    return of_classes(
        lambda logits, targets: (
            (logits.topk(min(5, classes), dim=1).indices == targets[:, None]).any(dim=1).double().mean().item()
        )
    )


top5_accuracy.lower_is_better = False  # type: ignore[attr-defined]
top5_accuracy.targets = ("class",)  # type: ignore[attr-defined]


def loss(classes: int, /) -> Metric:
    """Mean cross-entropy, in nats, without label smoothing."""
    return of_classes(lambda logits, targets: functional.cross_entropy(logits, targets).item())


loss.lower_is_better = True  # type: ignore[attr-defined]
loss.targets = ("class",)  # type: ignore[attr-defined]


def _names() -> list[str]:
    from torchmetrics.functional import classification, regression

    names = [name for name in classification.__all__ if name.startswith(("multiclass_", "multilabel_"))]
    return sorted({*names, *regression.__all__} - NOT_ONE_NUMBER)


def torchmetrics(classes: int, /, *, name: Annotated[str, Choices(_names)], arguments: dict[str, Any] = {}) -> Metric:  # noqa: B006
    """A metric of `torchmetrics.functional` that is one number.

    Those of `multiclass_…` are for one class an image, on softmax probabilities, and for a class for each pixel; those of
    `multilabel_…` for several labels an image, on sigmoid probabilities; and those of its regression for numbers. Mean IoU is
    `multiclass_jaccard_index`, of all pixels together. Which way is better is what torchmetrics says of it; of some it says
    nothing, and then `compare` needs a `goal`.

    Args:
        name: Its name there, such as `multiclass_f1_score`, `multilabel_average_precision` or `mean_absolute_error`.
        arguments: What it is given beside predictions, labels, and the number of classes or labels.
    """
    from torchmetrics.functional import classification, regression

    function = getattr(classification, name, None) or getattr(regression, name)
    form = _form(name)

    def metric(outputs: Tensor, targets: Tensor) -> float:
        if form == "multiclass":
            ignored = {"ignore_index": IGNORED} if targets.ndim > 1 else {}
            value = function(outputs.softmax(dim=1), targets, num_classes=classes, **{**ignored, **arguments})
        elif form == "multilabel":
            value = function(outputs.sigmoid(), targets.long(), num_labels=classes, **arguments)
        else:
            value = function(*((outputs, targets) if classes > 1 else (outputs.squeeze(1), targets.squeeze(1))), **arguments)
        if not isinstance(value, Tensor) or value.numel() != 1:
            got = f"{list(value.shape)} numbers" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            hint = "Take another one." if form == "regression" else 'Set its arguments, such as {"average": "macro"}.'
            raise ValueError(f"{name} gives {got}, and a metric is one number. {hint}")
        return float(value)

    return of_classes(metric, (1, 3)) if form == "multiclass" else metric


def _form(name: str) -> str:
    return name.partition("_")[0] if name.startswith(("multiclass_", "multilabel_")) else "regression"


def _lower_is_better(spec: Mapping[str, Any]) -> bool | None:
    """What the class that torchmetrics has beside the function says."""
    from torchmetrics import classification, regression

    classes = {name.lower(): getattr(of, name) for of in (classification, regression) for name in of.__all__}
    higher = getattr(classes.get(spec["name"].replace("_", "")), "higher_is_better", None)
    return None if higher is None else not higher


def _targets(spec: Mapping[str, Any]) -> tuple[str, ...]:
    form = _form(spec["name"])
    return ("class", "mask") if form == "multiclass" else (form,)


torchmetrics.lower_is_better = _lower_is_better  # type: ignore[attr-defined]
torchmetrics.targets = _targets  # type: ignore[attr-defined]
