"""Datasets that break their contract."""

import uuid
from dataclasses import dataclass, replace

import numpy as np

from ablate.contracts import Data, Environment, Split
from ablate.registry.params import Fraction

CAUGHT = {
    "never_the_same_name": ("test_the_fingerprint_is_the_same_every_time", "compute it from the content alone"),
    "floating": ("test_images_and_labels_have_the_right_form", "training images are float64"),
    "from_one": ("test_images_and_labels_have_the_right_form", "training labels are from 1 to 2, and there are 2 class_names"),
    "talking_to_itself": ("test_notices_are_sentences", "give a list of sentences"),
    "unseeded": ("test_loading_twice_gives_the_same", "draw with a fixed seed"),
    "leaking": ("test_validation_images_are_taken_out_of_the_training_images", "take each out of `train`"),
    "leaking_always": ("test_validation_images_are_taken_out_of_the_training_images", "are training images too"),
    "needing_a_file": ("test_missing_data_is_told", "it fails with FileNotFoundError"),
}


def noise(seed: int | None, count: int) -> Split:
    images = np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
    return Split(images, np.arange(count, dtype=np.int64) % 2)


SOUND = Data(noise(0, 20), noise(1, 10), None, ("even", "odd"))


@dataclass(frozen=True)
class Handle:
    data: Data
    name: str = "0" * 64

    def fingerprint(self) -> str:
        return self.name

    def load(self) -> Data:
        return self.data


def never_the_same_name(_: Environment, /) -> Handle:
    """A fingerprint for each handle."""
    return Handle(SOUND, uuid.uuid4().hex * 2)


def floating(_: Environment, /) -> Handle:
    """Images from 0 to 1."""
    return Handle(replace(SOUND, train=Split(SOUND.train.images / 255, SOUND.train.labels)))


def from_one(_: Environment, /) -> Handle:
    """Labels from 1."""
    return Handle(replace(SOUND, train=Split(SOUND.train.images, SOUND.train.labels + 1)))


@dataclass(frozen=True)
class Talker(Handle):
    def notices(self) -> str:
        return "12 images are left out"


def talking_to_itself(_: Environment, /) -> Talker:
    """A text where a list of them is expected."""
    return Talker(SOUND)


def unseeded(_: Environment, /) -> Handle:
    """Other images each time."""
    return Handle(replace(SOUND, train=noise(None, 20)))


def leaking(_: Environment, /, *, validation: Fraction = 0) -> Handle:
    """Validation images that are trained on.

    Args:
        validation: Part of the training images.
    """
    held = int(validation * 20)
    part = Split(SOUND.train.images[:held], SOUND.train.labels[:held]) if held else None
    return Handle(replace(SOUND, validation=part), f"{held:064x}")


def leaking_always(_: Environment, /) -> Handle:
    """Validation images that are trained on, and that nobody asked for."""
    return Handle(replace(SOUND, validation=Split(SOUND.train.images[:5], SOUND.train.labels[:5])))


@dataclass(frozen=True)
class FromFile:
    environment: Environment

    def fingerprint(self) -> str:
        return "0" * 64

    def load(self) -> Data:
        np.load(self.environment.data_dir / "images.npy")
        return SOUND


def needing_a_file(environment: Environment, /) -> FromFile:
    """Images of a file that is not there."""
    return FromFile(environment)
