"""Parts of a dataset: every limit works, and those that always worked choose the images that they always chose."""

import hashlib

import numpy as np
import pytest

from ablate.components import datasets
from ablate.components.splits import arrange
from ablate.contracts import Data, Split
from ablate.errors import UsageError

LABELS = np.arange(200, dtype=np.int64) ** 2 % 7 % 5
NAMES = ("a", "b", "c", "d", "e")


def numbered(labels: np.ndarray) -> Split:
    return Split(np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1), labels)


def chosen(labels, limit=None, validation=0.0) -> Data:
    labels = np.asarray(labels, dtype=np.int64)
    return arrange(numbered(labels), numbered(labels[:60]), NAMES, validation, limit)


@pytest.mark.parametrize(
    ("validation", "limit", "digest"),
    [
        (0, 5, "f67c8a2d6535"),
        (0, 7, "e66bcec85c11"),
        (0, 50, "2355d9b82682"),
        (0, 99, "d72c6ddff333"),
        (0, 195, "95fb62aa235f"),
        (0.1, None, "e7e8e6e3a414"),
        (0.25, 20, "c1fcdc91fcc9"),
        (0.3, 50, "ba6e89da6105"),
    ],
)
def test_what_worked_in_version_0_1_0_gives_the_same_images(validation, limit, digest):
    data = chosen(LABELS, limit, validation)
    parts = [data.train, data.test, *([data.validation] if data.validation else [])]
    text = b"|".join(part.images.tobytes() + part.labels.tobytes() for part in parts)
    assert hashlib.sha256(text).hexdigest()[:12] == digest


@pytest.mark.parametrize(
    ("settings", "fingerprint"),
    [
        ({"limit": 10}, "1b5fbe9153d8"),
        ({"limit": 200}, "53cd06203302"),
        ({"limit": 1400}, "85ae36ffa838"),
        ({"validation": 0.2}, "2aff6db6376b"),
        ({"validation": 0.1, "limit": 160}, "b0d91efcb11f"),
    ],
)
def test_digits_are_those_of_version_0_1_0(environment, settings, fingerprint):
    assert datasets.digits(environment, **settings).fingerprint().startswith(fingerprint)


@pytest.mark.parametrize("counts", [(1, 1), (1, 9), (2, 30), (12, 12, 1), (3, 3, 3, 3), (1, 2, 3, 4, 50), (40, 1, 1, 1, 1)])
def test_every_limit_from_the_number_of_classes_works(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    for limit in range(len(counts), len(labels) + 1):
        part = chosen(labels, limit).train
        found = np.bincount(part.labels, minlength=len(counts))
        assert found.sum() == limit == len(np.unique(part.images))
        assert (labels[part.images.ravel()] == part.labels).all()
        assert (np.diff(part.images.ravel().astype(int)) > 0).all()
        assert (found >= 1).all()
        exact = np.array(counts) * limit / len(labels)
        assert (np.abs(found - exact) < 1 + len(counts) * (exact < 1).any()).all()  # in proportion, but for one of each class


def test_the_remainder_goes_to_the_largest_parts():
    """8 of 12, 12, 1: one each, then 5 of 11 : 11 : 0, which are 2.5 each; the first of equals has the odd one."""
    assert np.bincount(chosen(np.repeat([0, 1, 2], [12, 12, 1]), 8).train.labels).tolist() == [4, 3, 1]


def test_digits_can_be_limited_to_nearly_all(environment):
    data = datasets.digits(environment, limit=1434).load()
    assert (len(data.train.labels), len(data.test.labels)) == (1434, 360)
    assert len(datasets.digits(environment, limit=355).load().test.labels) == 355


def test_a_limit_below_the_number_of_classes_is_told(environment):
    with pytest.raises(UsageError, match=r"^limit 9: the training images are of 10 classes, .* Give at least 10, or no"):
        datasets.digits(environment, limit=9).load()


@pytest.mark.parametrize(
    ("labels", "validation", "message"),
    [
        ([0, 0, 0, 1, 1, 2], 0.5, "validation 0.5: one training image is all that there is of 'c'"),
        (
            np.arange(100) % 5,
            0.01,
            "validation 0.01: of 100 training images that is 1, and there are 5 classes. Give at least 0.05",
        ),
        (np.arange(100) % 5, 0.97, "validation 0.97: of 100 training images that leaves 3, and there are 5 classes. Give less"),
        (np.arange(5), 0.2, "of 'a', 'b', 'c', 'd', 'e', and it cannot be held out"),
    ],
)
def test_a_validation_part_that_cannot_be_had_is_told_in_the_words_of_the_spec(labels, validation, message):
    with pytest.raises(UsageError, match=message):
        chosen(labels, validation=validation)


def test_the_validation_part_that_a_message_offers_can_be_had():
    for classes in range(2, 6):
        for total in range(3 * classes, 40):
            labels = np.arange(total) % classes
            with pytest.raises(UsageError, match="Give at least") as raised:
                chosen(labels, validation=1e-9)
            least = float(str(raised.value).rpartition(" ")[2].rstrip("."))
            held = chosen(labels, validation=least).validation
            assert held is not None
            assert len(np.unique(held.labels)) == classes
