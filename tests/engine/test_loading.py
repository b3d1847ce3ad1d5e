"""What a dataset may give is told by one rule, for the engine and for contract tests alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ablate.contracts import Data, Split
from ablate.engine import data as engine_data
from ablate.engine.data import problems
from ablate.errors import EnvironmentProblem
from ablate.plan import make_plan
from ablate.registry import default
from ablate.spec import load


def split(count: int = 6, size: int = 4) -> Split:
    pixels = np.arange(count * size * size, dtype=np.uint8).reshape(count, 1, size, size)
    return Split(pixels, np.arange(count, dtype=np.int64) % 2)


SOUND = Data(split(), split(4), None, ("even", "odd"))
WRONG = [
    (
        replace(SOUND, train=Split(split().images / 255, split().labels)),
        "training images are float64: give a numpy array of uint8",
    ),
    (
        replace(SOUND, test=Split(split().images.astype(np.float32), split().labels)),
        "test images are float32: give a numpy array",
    ),
    (replace(SOUND, train=Split(split().images, split().labels.astype(float))), "training labels are float64: give .* of int64"),
    (replace(SOUND, train=Split(split().images, split().labels.astype(np.int32))), "training labels are int32: give .* int64"),
    (
        replace(SOUND, train=Split(split().images, split().labels.tolist())),
        "training labels are a list: give a numpy array of int64",
    ),
    (
        replace(SOUND, train=Split(torch.tensor(split().images), split().labels)),
        "training images are a Tensor: give a numpy array",
    ),
    (replace(SOUND, train=Split(split().images[:, 0], split().labels)), r"training images are \[6, 4, 4\]: give \[N, C, H, W\]"),
    (replace(SOUND, test=Split(split().images, split().labels[:5])), r"there are 6 test images and labels of \[5\]"),
    (replace(SOUND, train=Split(split().images, split().labels[:, None])), r"6 training images and labels of \[6, 1\]"),
    (replace(SOUND, validation=Split(split().images[:0], split().labels[:0])), "there are no validation images"),
    (replace(SOUND, test=Split(split().images[:0], split().labels[:0])), "there are no test images"),
    (
        replace(SOUND, train=Split(split().images, split().labels + 1)),
        "training labels are from 1 to 2, and there are 2 class_names",
    ),
    (replace(SOUND, validation=Split(split().images, split().labels - 1)), "validation labels are from -1 to 0, and there are 2"),
    (replace(SOUND, class_names=("one",)), "class_names are .*give at least two"),
    (replace(SOUND, class_names=("same", "same")), "class_names are .*each a name of its own"),
    (
        replace(SOUND, test=split(4, 5)),
        r"the parts have images of \[1, 4, 4\] and \[1, 5, 5\]: give all the same channels and size",
    ),
    ((SOUND.train, SOUND.test), "`load` gave a tuple: give an ablate.contracts.Data"),
]


def test_what_is_sound_has_no_problems():
    assert problems(SOUND) == []
    assert problems(replace(SOUND, validation=split(2))) == []


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_the_engine_takes_nothing_that_contract_tests_forbid(wrong, message, spec, environment, monkeypatch):
    found = problems(wrong)
    assert len(found) == 1 or isinstance(wrong, Data)
    loaded = default().load("dataset", "digits")
    handle = type("Handle", (), {"load": lambda _: wrong, "fingerprint": lambda _: "0" * 64})
    broken = replace(loaded, imported=lambda *_, **__: handle())
    monkeypatch.setitem(default().loaded, ("dataset", "ablate-core:digits"), broken)
    recipe = make_plan(load(spec), default()).variants[0].recipe
    with pytest.raises(EnvironmentProblem, match=rf"^dataset 'ablate-core:digits' cannot be trained on: .*{message}"):
        engine_data.load(default(), recipe, 0, environment, torch.device("cpu"))


def test_all_that_is_wrong_is_told_at_once():
    wrong = Data(Split(split().images / 255, split().labels + 7), Split(split().images, split().labels[:1]), None, ("one",))
    assert len(problems(wrong)) == 4
