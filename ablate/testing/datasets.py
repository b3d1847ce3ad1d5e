"""What a dataset has to keep."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ablate.contracts import Data, Environment, Split
from ablate.engine.data import problems
from ablate.errors import EnvironmentProblem

from .component import ReadingContract, message_of

HELD_OUT = 0.25


class DatasetContract(ReadingContract):
    """A handle with `fingerprint()` and `load()`."""

    kind: ClassVar[str] = "dataset"

    def engine_arguments(self) -> tuple[Any, ...]:
        return (self._environment,)

    def load(self, **settings: Any) -> Data:
        data: Data = self.make(**settings).load()
        return data

    def test_the_fingerprint_is_the_same_every_time(self) -> None:
        first = self.make()
        before = first.fingerprint()
        first.load()
        assert re.fullmatch(r"[0-9a-f]{64}", before), f"the fingerprint is {before!r}: return a SHA-256 as hex."
        assert first.fingerprint() == before, "loading changes the fingerprint: compute it from the content alone."
        assert self.make().fingerprint() == before, "a second handle has another fingerprint: compute it from the content alone."

    def test_images_and_labels_have_the_right_form(self) -> None:
        """By the same rule as the engine, which trains on nothing else."""
        found = problems(self.load())
        assert not found, "\n".join(found)

    def test_notices_are_sentences(self) -> None:
        """A handle may have `notices()`: what a user has to know of the data, and what is no error."""
        handle = self.make()
        if not hasattr(handle, "notices"):
            return
        handle.load()
        told = handle.notices()
        wrong = f"`notices` gave {told!r}: give a list of sentences, each on one line, and none where there is nothing to say."
        assert isinstance(told, Sequence), wrong
        assert not isinstance(told, str), wrong
        assert all(isinstance(notice, str) and notice.strip() for notice in told), wrong
        assert not any("\n" in notice for notice in told), wrong
        assert list(told) == list(handle.notices()), "`notices` differ when they are asked for again."

    def test_loading_twice_gives_the_same(self) -> None:
        for (name, one), (_, other) in zip(_splits(self.load()), _splits(self.load()), strict=True):
            same = len(one.images) == len(other.images) and np.array_equal(one.labels, other.labels)
            same = same and all(map(np.array_equal, one.images, other.images))
            assert same, (
                f"the {name} part differs when it is loaded again: sort what the system lists, and draw with a fixed seed."
            )

    def test_validation_images_are_taken_out_of_the_training_images(self) -> None:
        if "validation" not in self.loaded().signature.parameters:
            data = self.load()
            shared = Counter() if data.validation is None else _images(data.train) & _images(data.validation)
            assert not shared, f"{shared.total()} validation images are training images too: take them out of `train`."
            return
        whole, parted = self.load(validation=0), self.load(validation=HELD_OUT)
        assert whole.validation is None, "with validation 0 there is a validation part: give None."
        assert parted.validation is not None, f"with validation {HELD_OUT} there is no validation part."
        assert _images(parted.train) + _images(parted.validation) == _images(whole.train), (
            "training and validation images together are not the training images without a validation part: take each out of "
            "`train` that is in `validation`, and lose none."
        )
        assert _images(parted.test) == _images(whole.test), "a validation part changes the test images: leave them."
        other = self.make(validation=0).fingerprint() != self.make(validation=HELD_OUT).fingerprint()
        assert other, "the fingerprint does not tell how much is held out: hash the setting with the content."

    def test_missing_data_is_told(self, tmp_path: Path) -> None:
        """With an empty directory and no network, it is there all the same, or says what to do."""
        try:
            message = message_of(self.make(Environment(tmp_path / "nothing", download=False)).load, EnvironmentProblem)
        except Exception as error:
            pytest.fail(
                f"with an empty data directory, it fails with {type(error).__name__}: {error}\nRaise an "
                "ablate.errors.EnvironmentProblem that says what is missing, where it belongs, and how to get it.",
                pytrace=False,
            )
        assert message != "", "what is missing is told without a message."


def _splits(data: Data) -> Iterator[tuple[str, Split]]:
    yield "training", data.train
    yield "test", data.test
    if data.validation is not None:
        yield "validation", data.validation


def _images(split: Split) -> Counter[bytes]:
    """How often each image with its label is there."""
    return Counter(image.tobytes() + label.tobytes() for image, label in zip(split.images, split.labels, strict=True))
