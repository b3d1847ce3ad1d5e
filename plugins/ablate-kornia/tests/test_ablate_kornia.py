"""Every augmentation through the registry, as a spec uses it."""

import json
import re
import textwrap
from pathlib import Path

import pytest
import torch
from ablate_kornia import BATCH, LEFT_OUT, names
from kornia import augmentation as library
from torch import Tensor

import ablate
from ablate.errors import SpecError
from ablate.registry import build, default

ARGUMENTS = {  # what is required, and ranges where the defaults leave nothing to draw
    "RandomAffine": {"degrees": 30.0, "translate": [0.1, 0.1], "scale": [0.8, 1.2], "shear": 10.0},
    "RandomBrightness": {"brightness": [0.5, 1.5]},
    "RandomClahe": {"clip_limit": [1.0, 40.0]},
    "RandomContrast": {"contrast": [0.5, 1.5]},
    "RandomCrop": {"size": [24, 24], "padding": 4},
    "RandomFisheye": {"center_x": [-0.3, 0.3], "center_y": [-0.3, 0.3], "gamma": [0.9, 1.1]},
    "RandomGamma": {"gamma": [0.5, 1.5]},
    "RandomGaussianBlur": {"kernel_size": [3, 3], "sigma": [0.1, 2.0]},
    "RandomGaussianNoise": {"std": 0.1},
    "RandomHue": {"hue": [-0.5, 0.5]},
    "RandomJPEG": {"jpeg_quality": [10.0, 90.0]},
    "RandomPosterize": {"bits": [1.0, 7.0]},
    "RandomRain": {"number_of_drops": [5, 20], "drop_height": [3, 6], "drop_width": [-3, 3]},
    "RandomResizedCrop": {"size": [20, 20]},
    "RandomRotation": {"degrees": 30.0},
    "RandomRotation90": {"times": [0, 3]},
    "RandomSaturation": {"saturation": [0.2, 2.0]},
    "RandomSharpness": {"sharpness": [0.0, 2.0]},
    "RandomShear": {"shear": 20.0},
    "RandomSnow": {"snow_coefficient": [0.2, 0.8], "brightness": [1.0, 3.0]},
    "RandomSolarize": {"thresholds": [0.1, 0.9]},
    "RandomTranslate": {"translate_x": [-0.2, 0.2]},
}
APPLIED_OR_NOT = {  # nothing else is drawn
    "RandomAutoContrast",
    "RandomBoxBlur",
    "RandomEqualize",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomMedianBlur",
    "RandomVerticalFlip",
}
SIZES = {"RandomCrop": 24, "RandomResizedCrop": 20}
DIGITS = {
    "name": "kornia-test",
    "base": {
        "dataset": {"use": "digits", "size": 16, "channels": 3, "limit": 128},
        "train_transforms": {
            "blur": {"use": "kornia", "name": "RandomGaussianBlur", "arguments": {"kernel_size": [3, 3], "sigma": [0.1, 2.0]}},
            "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]},
        },
        "eval_transforms": {"normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}},
        "model": {"use": "net"},
        "optimizer": {"use": "sgd", "lr": 0.05, "momentum": 0.9},
        "batch_size": 32,
        "epochs": 1,
    },
    "seeds": 1,
}
every = pytest.mark.parametrize("name", names())


def make(name: str, **arguments):
    p = 0.5 if name in APPLIED_OR_NOT else 1.0
    return build(default(), "transform", {"use": "kornia", "name": name, "arguments": {"p": p, **arguments}})


def augment(name: str, images: Tensor) -> Tensor:
    """By a new transform, so that nothing is left of an earlier call."""
    return make(name, **ARGUMENTS.get(name, {}))(images, torch.Generator().manual_seed(1))


def smooth(count: int) -> Tensor:
    """Images of smooth noise, uint8 `[count, 3, 32, 32]`."""
    noise = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return (torch.nn.functional.interpolate(noise, size=32, mode="bicubic").clamp(0, 1) * 200 + 20).round().to(torch.uint8)


def distinct(images: Tensor) -> int:
    return len({image.numpy().tobytes() for image in images})


@every
def test_the_same_image_has_a_draw_of_its_own_in_every_place(name: str):
    assert distinct(augment(name, smooth(1).repeat(24, 1, 1, 1))) > 1


@every
def test_an_image_does_not_depend_on_the_images_beside_it(name: str):
    images = smooth(24)
    backwards = images.flip(0)
    backwards[7], backwards[20] = images[7], images[20]
    here, there = augment(name, images), augment(name, backwards)
    assert torch.equal(here[[7, 20]], there[[7, 20]])
    assert not torch.equal(here, there)


@every
def test_the_generator_alone_decides(name: str):
    images = smooth(24)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = augment(name, images)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    assert torch.equal(augment(name, images), first)
    transform, generator = make(name, **ARGUMENTS.get(name, {})), torch.Generator().manual_seed(1)
    assert torch.equal(transform(images, generator), first)
    assert not torch.equal(transform(images, generator), first)


@every
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_images_keep_their_type_and_the_input_its_content(name: str, dtype: torch.dtype):
    images = smooth(6) if dtype == torch.uint8 else smooth(6).float() / 255
    before = images.clone()
    after = augment(name, images)
    assert torch.equal(images, before)
    assert after.dtype == dtype
    assert after.shape == (6, 3, SIZES.get(name, 32), SIZES.get(name, 32))
    if dtype == torch.float32:
        assert torch.equal((after.clamp(0, 1) * 255).round().to(torch.uint8), augment(name, smooth(6)))


def test_a_uint8_image_that_nothing_happens_to_comes_back_as_it_was():
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(make("RandomVerticalFlip", p=0.0)(values, torch.Generator()), values)
    assert torch.equal(make("RandomVerticalFlip", p=1.0)(values, torch.Generator()), values.flip(2))


def test_images_of_one_chunk_have_draws_of_their_own_beyond_what_kornia_gets_at_once():
    images = smooth(1).repeat(BATCH + 40, 1, 1, 1)
    assert distinct(augment("RandomAffine", images)) == len(images)


def test_what_is_left_out_is_in_the_library_and_in_the_readme():
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    for name, reason in LEFT_OUT.items():
        assert hasattr(library, name)
        assert f"`{name}`" in readme
        assert reason in readme


def readme_spec() -> dict:
    """The study in the README."""
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    return json.loads(textwrap.dedent(re.search(r"^    \{\n.*?^    \}\n", text, re.MULTILINE | re.DOTALL).group()))


def test_the_study_of_the_readme_runs(tmp_path):
    study = ablate.run(readme_spec(), store=tmp_path, device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 4
    assert study.cells["weights_sha256"].nunique() == 4


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ({"name": "RandomGausianBlur"}, "Did you mean 'RandomGaussianBlur'"),
        ({"name": "ColorJitter"}, "has no name 'ColorJitter'"),
        ({"name": "RandomHue", "arguments": {"hues": [0, 0.1]}}, "no argument 'hues'. It takes: hue, p."),
        ({"name": "RandomHue", "arguments": {"same_on_batch": True}}, "no argument 'same_on_batch'"),
        ({"name": "RandomRotation"}, "needs degrees in `arguments`"),
        ({"name": "RandomHue", "arguments": {"hue": [0, 9]}}, "'RandomHue' does not work with"),
        ({"name": "RandomCrop", "arguments": {"size": [16, 16], "padding": 2, "p": 0.5}}, "`p` must be 1"),
        ({"name": "RandomGaussianBlur", "arguments": {"kernel_size": 4, "sigma": [1, 2], "p": 0.001}}, "train_transforms.blur"),
    ],
)
def test_mistakes_are_told_before_training(transform, message, tmp_path):
    spec = {**DIGITS, "base": {**DIGITS["base"], "train_transforms": {**DIGITS["base"]["train_transforms"]}}}
    spec["base"]["train_transforms"]["blur"] = {"use": "kornia", **transform}
    with pytest.raises(SpecError, match=message):
        ablate.run(spec, store=tmp_path, device="cpu")


def test_grey_images_that_need_colour_are_told_before_training(tmp_path):
    hue = {"use": "kornia", "name": "RandomHue", "arguments": {"hue": [-0.1, 0.1], "p": 0.01}}
    spec = {**DIGITS, "base": {**DIGITS["base"], "dataset": {"use": "digits", "size": 16, "limit": 128}}}
    spec["base"]["train_transforms"] = {"hue": hue, "normalize": {"use": "normalize", "mean": [0.5], "std": [0.5]}}
    with pytest.raises(SpecError, match=r"train_transforms\.hue"):
        ablate.run(spec, store=tmp_path, device="cpu")
