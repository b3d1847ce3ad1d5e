"""What is kept of what a network said of the evaluated images: a class of each, or of each of its pixels."""

import torch
from torch import Tensor

from ablate.contracts import IGNORED, Targets
from ablate.predictions import MaskPredictions, Predictions, packed

from .accelerators import measured_on
from .data import Part, sample_digest

MOST_CLASSES = 1000  # of masks: pixels are counted by each pair of classes
PIXELS = 2**22  # that are counted at a time


def predictions_of(logits: Tensor, labels: Tensor, shown: Part, targets: Targets, class_names: tuple[str, ...]) -> str | None:
    """Predictions as a result has them; None where the model says no classes.

    Args:
        logits: Finite, `[N, K]`; of masks `[N, K, H, W]`.
        labels: As all transforms leave them, int64 `[N]`; of masks `[N, H, W]`.
        shown: The images, and their labels as the dataset has them.
        targets: What the labels are.
        class_names: `K`.
    """
    if targets == "class":
        told, confidence = (array.cpu().numpy() for array in answers(logits))
        return packed(Predictions(labels.cpu().numpy(), told, confidence, class_names, sample_digest(shown)))
    if targets == "mask" and len(class_names) <= MOST_CLASSES:
        pixels, containing, overlaps = (array.cpu().numpy() for array in counts(logits, labels))
        return packed(MaskPredictions(pixels, containing, overlaps, class_names, sample_digest(shown)))
    return None


def answers(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The most likely class of each image, int64 `[N]`, and its probability, float64 `[N]`.

    Args:
        logits: `[N, K]`.
    """
    logits = logits.to(measured_on(logits.device))
    told = logits.argmax(dim=1)
    best = logits.gather(1, told[:, None]).double()
    return told, (best - logits.double().logsumexp(dim=1, keepdim=True)).exp().squeeze(1)


def counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of masks the arrays that `MaskPredictions` has; two of several most likely classes count as the first one.

    Args:
        logits: `[N, K, H, W]`.
        labels: int64 `[N, H, W]`.
    """
    classes, some = logits.shape[1], max(1, PIXELS // labels[0].numel())
    pieces = [_counts(*piece, classes) for piece in zip(logits.split(some), labels.split(some), strict=True)]
    pixels, containing, overlaps = zip(*pieces, strict=True)
    return torch.stack(pixels).sum(dim=0), torch.stack(containing).sum(dim=0), torch.cat(overlaps)


def _counts(logits: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    counted = (labels != IGNORED).cpu()
    said, true = logits.argmax(dim=1).cpu()[counted], labels.cpu()[counted]
    first = classes * torch.arange(len(labels))[:, None, None].expand_as(counted)[counted]  # place of an image's first class
    by_image = [first + true, first + said, (first + true)[said == true]]
    own, answered, both = (
        torch.bincount(places, minlength=classes * len(labels)).view(len(labels), classes).double() for places in by_image
    )
    there = own > 0
    overlaps = (both / (own + answered - both)).where(there, 0).sum(dim=1) / there.sum(dim=1)  # 0 / 0 is NaN: no pixel counts
    return torch.bincount(true * classes + said, minlength=classes**2).view(classes, classes), there.sum(dim=0), overlaps
