"""Labels of other targets than classes, for the contracts of losses and metrics."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

SIDE = 2  # pixels of a mask


def labels_of(targets: str, classes: Tensor, count: int) -> Tensor:
    """Labels of these targets that differ as much as these classes do.

    Args:
        targets: As a dataset says it.
        classes: int64 `[N]`.
        count: Number of classes, of labels, or of numbers.
    """
    if targets == "class":
        return classes
    if targets == "mask":
        return classes[:, None, None].expand(-1, SIDE, SIDE).contiguous()
    columns = one_hot(classes, count).float()
    if targets == "multilabel":
        return columns.maximum(columns.roll(1, 1))
    return columns * torch.arange(1, count + 1, device=classes.device) - 0.5


def outputs_of(targets: str, labels: Tensor, count: int) -> Tensor:
    """What a model says that is right: `[N, count]`, of masks `[N, count, H, W]`."""
    if targets == "regression":
        return labels.clone()
    if targets == "multilabel":
        return 16 * labels - 8
    return 8 * one_hot(labels, count).movedim(-1, 1).float()
