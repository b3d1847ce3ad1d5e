"""What is kept of masks: pixels by class and by what was said, against torchmetrics and by hand."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix, multiclass_jaccard_index

from ablate.components.losses import cross_entropy
from ablate.components.metrics import torchmetrics
from ablate.contracts import IGNORED
from ablate.engine import told
from ablate.engine.data import Part
from ablate.engine.evaluation import measured
from ablate.engine.told import predictions_of
from ablate.predictions import decoded, unpacked
from ablate.stats.per_image import images_of, rates

NAMES = ("sky", "sea", "ship", "sun")
MASKS = torch.tensor([[[0, 0], [1, 1]], [[IGNORED, 0], [0, 2]], [[IGNORED, IGNORED], [IGNORED, IGNORED]]])
SAID = torch.tensor([[[0, 1], [1, 1]], [[3, 0], [0, 0]], [[0, 1], [2, 3]]])


def logits_of(said, classes=4):
    return torch.nn.functional.one_hot(said, classes).permute(0, 3, 1, 2) * 5.0


def kept(logits, masks, names=NAMES):
    shown = Part(torch.zeros(len(masks), 1, *masks.shape[1:], dtype=torch.uint8), masks)
    return unpacked(decoded(predictions_of(logits, masks, shown, "mask", names)))


@pytest.mark.parametrize("at_a_time", [1, 8, 2**22])
def test_what_a_small_mask_gives_by_hand(monkeypatch, at_a_time):
    monkeypatch.setattr(told, "PIXELS", at_a_time)
    said = kept(logits_of(SAID), MASKS)
    assert said.pixels.tolist() == [[3, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert said.containing.tolist() == images_of(said).tolist() == [2, 1, 1, 0]
    assert rates(said)[:3] == pytest.approx([3 / 5, 2 / 3, 0])
    assert np.isnan(rates(said)[3]), "no pixel is of this class"
    assert said.overlaps == pytest.approx([(1 / 2 + 2 / 3) / 2, (2 / 3 + 0) / 2, np.nan], abs=1e-5, nan_ok=True)
    assert (len(said), said.class_names) == (3, NAMES)


def test_many_masks_give_what_torchmetrics_does(rng):
    masks = torch.randint(-1, 4, (20, 9, 7), generator=rng)
    masks[masks < 0] = IGNORED
    logits = torch.randn(20, 4, 9, 7, generator=rng) + 2 * logits_of(masks.clamp(min=0)) / 5
    said, given = kept(logits, masks), {"num_classes": 4, "ignore_index": IGNORED}
    assert said.pixels.tolist() == multiclass_confusion_matrix(logits, masks, **given).tolist()
    assert rates(said) == pytest.approx(multiclass_jaccard_index(logits, masks, average=None, **given).numpy(), abs=1e-6)
    for place in range(20):
        there = masks[place][masks[place] != IGNORED].unique()
        wanted = multiclass_jaccard_index(logits[place : place + 1], masks[place : place + 1], average=None, **given)[there]
        assert said.overlaps[place] == pytest.approx(wanted.mean().item(), abs=1e-5)
    assert rates(said).mean() == pytest.approx(torchmetrics(4, name="multiclass_jaccard_index")(logits, masks), abs=1e-6)


def test_nothing_is_kept_of_targets_that_are_no_classes():
    shown = Part(torch.zeros(2, 1, 1, 1, dtype=torch.uint8), torch.zeros(2, 1))
    assert predictions_of(torch.zeros(2, 1), shown.labels, shown, "regression", ("age",)) is None


def test_masks_of_which_no_pixel_counts_have_no_value_in_any_metric():
    metrics = {"iou": torchmetrics(4, name="multiclass_jaccard_index")}
    record = measured(logits_of(SAID), torch.full_like(MASKS, IGNORED), metrics, 0.1)
    assert record["iou"] is None
    assert record["missing"]["iou"].startswith("no pixel of the masks of 3 evaluated images counts")
    assert measured(logits_of(SAID), MASKS, metrics, 0.1)["iou"] == pytest.approx((3 / 5 + 2 / 3 + 0) / 3, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_a_batch_in_which_no_pixel_counts_adds_nothing(rng, smoothing):
    loss = cross_entropy(label_smoothing=smoothing)
    logits = torch.randn(3, 4, 2, 2, generator=rng, requires_grad=True)
    none = loss(logits, torch.full_like(MASKS, IGNORED))
    none.backward()
    assert none.item() == 0
    assert logits.grad.abs().max() == 0
    logits.grad = None
    some = loss(logits, MASKS)
    some.backward()
    own = logits.detach().clone().requires_grad_()
    torch.nn.functional.cross_entropy(own, MASKS, label_smoothing=smoothing).backward()
    assert (logits.grad == own.grad).all(), "the bits of what counts are those of torch"
