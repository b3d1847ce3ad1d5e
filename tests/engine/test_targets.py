"""Labels that are not one class an image: their form, and parts of them."""

import numpy as np
import pytest
import torch

from ablate.components.splits import arrange
from ablate.contracts import Data, Split
from ablate.engine.data import problems
from ablate.engine.targets import as_tensor, mask_notes

IMAGES = np.zeros((4, 1, 3, 2), np.uint8)
NUMBERS = np.array([0.5, 1, 2, 3], np.float32)
MASKS = np.zeros((4, 3, 2), np.int64)


def found(labels, names, targets):
    split = Split(IMAGES, labels)
    return problems(Data(split, split, None, names, targets))


@pytest.mark.parametrize(
    ("labels", "names", "targets"),
    [
        (NUMBERS, ("age",), "regression"),
        (NUMBERS.reshape(4, 1), ("age",), "regression"),
        (np.eye(4, 2, dtype=np.float32), ("cat", "dog"), "multilabel"),
        (MASKS, ("sky", "sea"), "mask"),
        (np.where(np.arange(6).reshape(3, 2) > 2, MASKS, -100), ("sky", "sea"), "mask"),
    ],
)
def test_labels_of_each_kind_are_taken(labels, names, targets):
    assert found(labels, names, targets) == []


@pytest.mark.parametrize(
    ("labels", "names", "targets", "said"),
    [
        (NUMBERS, ("a", "b"), "regression", r"give \[4, 2\], a column for each of the class_names"),
        (NUMBERS * np.float32("nan"), ("a",), "regression", "4 of the training labels are not finite"),
        (NUMBERS.astype(np.float64), ("a",), "regression", "are float64: give a numpy array of float32"),
        (np.full((4, 2), 0.5, np.float32), ("a", "b"), "multilabel", "from 0.5 to 0.5: give 1 where a label applies"),
        (MASKS[:, :2], ("a", "b"), "mask", r"masks of the size of the images, \[4, 3, 2\]"),
        (MASKS + 2, ("a", "b"), "mask", "from 2 to 2, and there are 2 class_names: count from 0, but for -100"),
        (MASKS - 100, ("a", "b"), "mask", "no pixel of the training masks counts"),
        (NUMBERS, ("a",), "numbers", "targets are 'numbers': give 'class', 'regression', 'multilabel' or 'mask'"),
    ],
)
def test_other_labels_are_refused_in_words(labels, names, targets, said):
    with pytest.raises(ValueError, match=said):
        raise ValueError("; ".join(found(labels, names, targets)))


def test_masks_without_a_pixel_that_counts_are_counted():
    some = torch.from_numpy(np.stack([MASKS[0], MASKS[1] - 100, np.array([[0, -100], [-100, -100], [-100, -100]])]))
    found = list(mask_notes({"training": some, "evaluation": torch.from_numpy(MASKS)}))
    assert [(one.path, one.message) for one in found] == [
        ("dataset", "no pixel counts in the masks of 1 of 3 training images, which add nothing")
    ]


def test_one_number_an_image_is_a_column():
    assert as_tensor(NUMBERS, "regression").shape == (4, 1)


def test_parts_of_numbers_are_drawn_and_keep_their_labels():
    images = np.arange(20, dtype=np.uint8).reshape(20, 1, 1, 1)
    whole = Split(images, np.arange(20, dtype=np.float32))
    data = arrange(whole, whole, ("n",), 0.25, None, "regression")
    assert data.targets == "regression"
    assert data.validation is not None
    assert len(data.validation.labels) == 5
    assert sorted([*data.train.labels, *data.validation.labels]) == list(range(20))
    for part in (data.train, data.validation):
        assert (part.images[:, 0, 0, 0] == part.labels).all()
    assert len(arrange(whole, whole, ("n",), 0, 7, "regression").train.labels) == 7
