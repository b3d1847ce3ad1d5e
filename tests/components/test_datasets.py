"""Datasets: fingerprints follow the content, and what is missing has a message."""

import gzip
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.components import datasets
from ablate.components.image_folder import image_folder
from ablate.contracts import Environment
from ablate.errors import DiskProblem, EnvironmentProblem


def test_digits_are_scikit_learns(environment):
    from sklearn.datasets import load_digits

    data = datasets.digits(environment).load()
    assert data.train.images.shape == (1437, 1, 8, 8)
    assert data.test.images.shape == (360, 1, 8, 8)
    both = np.concatenate([data.train.images, data.test.images])
    expected = np.rint(load_digits().images * 255 / 16).astype(np.uint8)[:, None]
    assert sorted(map(bytes, both.reshape(1797, -1))) == sorted(map(bytes, expected.reshape(1797, -1)))


def test_digits_take_the_form_asked_for(environment):
    data = datasets.digits(environment, size=32, channels=3, limit=100).load()
    assert data.train.images.shape == data.test.images.shape == (100, 3, 32, 32)


def test_the_held_out_part_is_stratified_and_apart(environment):
    whole = datasets.digits(environment).load()
    data = datasets.digits(environment, validation=0.2).load()
    assert data.validation is not None
    assert len(data.train.labels) + len(data.validation.labels) == 1437
    assert np.abs(np.bincount(data.validation.labels) - 0.2 * np.bincount(whole.train.labels)).max() < 1.5
    together = np.concatenate([data.train.images, data.validation.images])
    assert sorted(map(bytes, together)) == sorted(map(bytes, whole.train.images))


def test_fingerprints_follow_the_content(environment):
    options = [{}, {"size": 16}, {"validation": 0.1}, {"limit": 50}, {"channels": 3}]
    prints = [datasets.digits(environment, **settings).fingerprint() for settings in options]
    assert len(set(prints)) == len(prints)
    assert prints[0] == datasets.digits(environment).fingerprint()


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion_mnist", "svhn"])
def test_missing_data_has_a_remedy_and_a_fingerprint(environment, name):
    dataset = getattr(datasets, name)(environment)
    assert len(dataset.fingerprint()) == 64
    with pytest.raises(EnvironmentProblem, match=f"dataset '{name}' cannot be had: it is not there. Run `ablate fetch`"):
        dataset.load()


def test_a_failed_download_has_a_remedy(tmp_path, monkeypatch):
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:1/"])
    with pytest.raises(EnvironmentProblem, match="downloading it failed"):
        datasets.mnist(Environment(tmp_path, download=True)).load()


def test_files_that_are_there_are_read(environment):
    """Two idx files as MNIST has them, with three images each."""
    raw = environment.data_dir / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, 3, 28, 28) + pixels.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, 3) + bytes([7, 0, 9]))
    with gzip.open(raw / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(b"")
    data = datasets.mnist(environment).load()
    assert np.array_equal(data.train.images, pixels.reshape(3, 1, 28, 28))
    assert data.test.labels.tolist() == [7, 0, 9]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with six training and three test images of 20×24, each of one colour."""
    for part, count in (("train", 6), ("test", 3)):
        for label, name in enumerate(["ant", "bee"]):
            place = tmp_path / "images" / part / name
            place.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (24, 20), (10 * index, 100 * label, 7)).save(place / f"{index}.png")
    return tmp_path / "images"


def test_folders_are_classes(environment, folder):
    data = image_folder(environment, path=str(folder)).load()
    assert data.class_names == ("ant", "bee")
    assert data.train.images.shape == (12, 3, 20, 24)
    assert data.train.labels.tolist() == [0] * 6 + [1] * 6
    assert data.train.images[8, :, 5, 5].tolist() == [20, 100, 7]


def test_decoded_images_are_read_again(environment, folder, monkeypatch):
    first = image_folder(environment, path=str(folder), size=16).load()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("decoded twice")

    monkeypatch.setattr(Image, "open", refuse)
    again = image_folder(environment, path=str(folder), size=16).load()
    assert np.array_equal(first.train.images, again.train.images)
    assert again.train.images.shape == (12, 3, 16, 16)


def test_a_damaged_note_is_made_again(environment, folder):
    """It is a cache of the content's digest, and a disk may have kept half of it."""
    before = image_folder(environment, path=str(folder)).fingerprint()
    (note,) = (environment.data_dir / "image_folder").glob("*.json")
    whole = note.read_text()
    for text in (whole[:9], "{}", ""):
        note.write_text(text)
        assert image_folder(environment, path=str(folder)).fingerprint() == before
        assert note.read_text() == whole


def test_damaged_decoded_images_say_what_to_delete(environment, folder):
    first = image_folder(environment, path=str(folder)).load().train.images.copy()
    (path,) = (environment.data_dir / "image_folder").glob("*/train/images.npy")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DiskProblem, match="the decoded images cannot be read: .* Delete") as error:
        image_folder(environment, path=str(folder)).load()
    place = str(error.value).rpartition("Delete ")[2].partition(",")[0]
    shutil.rmtree(place)
    assert np.array_equal(image_folder(environment, path=str(folder)).load().train.images, first)


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(environment, folder, tmp_path):
    before = image_folder(environment, path=str(folder)).fingerprint()
    moved = folder.rename(tmp_path / "elsewhere")
    assert image_folder(environment, path=str(moved)).fingerprint() == before
    Image.new("RGB", (24, 20), (1, 2, 3)).save(moved / "train" / "ant" / "0.png")
    assert image_folder(environment, path=str(moved)).fingerprint() != before


def empty(folder: Path) -> None:
    for path in (folder / "train").rglob("*.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (empty, "there are no images of classes 'ant', 'bee'"),
        (
            lambda folder: (folder / "train" / "ant" / "2.png").write_bytes(b"no image"),
            "2.png: cannot be read as an image",
        ),
        (lambda folder: (folder / "test" / "cat").mkdir(), "class 'cat' cannot be learnt"),
        (lambda folder: (folder / "test").rename(folder / "held out"), "there is no folder 'test'"),
        (lambda folder: (folder / "train").rename(folder / "training"), "there is no folder 'train'"),
    ],
)
def test_each_damage_has_a_message(environment, folder, damage, message):
    damage(folder)
    with pytest.raises(EnvironmentProblem, match=message):
        image_folder(environment, path=str(folder)).load()
