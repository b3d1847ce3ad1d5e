"""A folder of images in class folders is the same to `hf` and to `image_folder`: pixels, labels, what is left out and refused."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ablate.contracts import Data, Environment
from ablate.errors import EnvironmentProblem
from ablate.registry import build, default

RAMP = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)
Save = Callable[[np.ndarray, str], None]


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / ".data", download=False)


def make(environment: Environment, use: str, path: Path, **settings):
    return build(default(), "dataset", {"use": use, "path": str(path), **settings}, environment)


def write(root: Path, save: Save, extension: str) -> Path:
    for part, count in (("train", 4), ("test", 2)):
        for label, name in enumerate(("a", "b")):
            place = root / part / name
            place.mkdir(parents=True)
            for index in range(count):
                pixels = np.roll(RAMP if label else RAMP.T, index + 4 * (part == "test"), axis=1)
                save(pixels, str(place / f"{index}.{extension}"))
    return root


def oriented(pixels: np.ndarray, path: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)


def transparent(pixels: np.ndarray, path: str) -> None:
    Image.fromarray(np.dstack([np.zeros((8, 8, 3), np.uint8), pixels])).save(path)


def palette(pixels: np.ndarray, path: str) -> None:
    Image.fromarray(pixels).convert("RGB").quantize(16).save(path, transparency=bytes([0, 255] * 8))


def frames(pixels: np.ndarray, path: str) -> None:
    first, second = (Image.fromarray(values).convert("RGB") for values in (pixels, 255 - pixels))
    first.save(path, save_all=True, append_images=[second])


FORMATS: dict[str, tuple[Save, str]] = {
    "png": (lambda pixels, path: Image.fromarray(pixels).save(path), "png"),
    "jpeg": (lambda pixels, path: Image.fromarray(pixels).convert("RGB").save(path), "JPG"),
    "jfif": (lambda pixels, path: Image.fromarray(pixels).save(path, format="JPEG"), "jfif"),
    "bilevel": (lambda pixels, path: Image.fromarray(pixels > 128).save(path), "png"),
    "16 bits": (lambda pixels, path: Image.fromarray(pixels.astype(np.uint16) * 257).save(path), "png"),
    "16 bits, TIFF": (lambda pixels, path: Image.fromarray(pixels.astype(np.uint16) * 257).save(path), "tif"),
    "inks": (lambda pixels, path: Image.fromarray(pixels).convert("RGB").convert("CMYK").save(path), "jpg"),
    "oriented JPEG": (oriented, "jpg"),
    "oriented PNG": (oriented, "png"),
    "transparent": (transparent, "png"),
    "palette": (palette, "png"),
    "GIF": (lambda pixels, path: Image.fromarray(pixels).save(path), "gif"),
    "moving WebP": (frames, "webp"),
    "pages": (frames, "tiff"),
    "BMP": (lambda pixels, path: Image.fromarray(pixels).save(path), "bmp"),
}


def same(one: Data, other: Data) -> bool:
    pairs = [(one.train, other.train), (one.test, other.test)]
    equal = [np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels) for a, b in pairs]
    return all(equal) and one.class_names == other.class_names


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", FORMATS)
def test_pixels_are_the_same(name, channels, tmp_path, environment):
    root = write(tmp_path / "images", *FORMATS[name])
    by_folder, by_hf = (make(environment, use, root, channels=channels) for use in ("image_folder", "hf"))
    data = by_hf.load()
    assert same(by_folder.load(), data)
    assert by_folder.notices() == by_hf.notices()
    assert len(np.unique(data.train.images.reshape(8, -1), axis=0)) > 2  # no folder of one picture


@pytest.mark.parametrize("name", FORMATS)
def test_pixels_are_the_same_in_a_parquet_file(name, tmp_path, environment):
    """What the library opens goes through the same decoder."""
    root = write(tmp_path / "images", *FORMATS[name])
    files = {part: sorted((root / part).glob("*/*")) for part in ("train", "test")}
    paths = [path for part in ("train", "test") for path in files[part]]
    rows = [{"image": path.read_bytes(), "label": path.parent.name} for path in paths]
    pd.DataFrame(rows).to_parquet(tmp_path / "all.parquet")
    splits = {"train_split": "train[:8]", "test_split": "train[8:]"}
    data = make(environment, "hf", tmp_path / "all.parquet", **splits).load()
    assert same(make(environment, "image_folder", root).load(), data)


def test_floats_are_refused_by_all(tmp_path, environment):
    root = write(tmp_path / "images", lambda pixels, path: Image.fromarray(pixels.astype(np.float32)).save(path), "tif")
    for use in ("image_folder", "hf"):
        with pytest.raises(EnvironmentProblem, match=r"train/a/0.tif: has floats \(mode 'F' of TIFF\)"):
            make(environment, use, root).fingerprint()
    buffer = io.BytesIO()
    Image.fromarray(RAMP.astype(np.float32)).save(buffer, "tiff")
    pd.DataFrame({"image": [buffer.getvalue()] * 4, "label": [0, 1] * 2}).to_parquet(tmp_path / "all.parquet")
    with pytest.raises(EnvironmentProblem, match=r"all.parquet \(train\): image 0: has floats \(mode 'F' of TIFF\)"):
        make(environment, "hf", tmp_path / "all.parquet", train_split="train[:2]", test_split="train[2:]").load()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "images", *FORMATS["png"])


DAMAGES: list[Callable[[Path], object]] = [
    lambda f: shutil.rmtree(f / "test/b"),
    lambda f: shutil.rmtree(f / "train/b"),
    lambda f: (f / "test/b").rename(f / "test/B"),
    lambda f: [path.unlink() for path in (f / "train/b").iterdir()],
    lambda f: (f / "train/a/z.png").symlink_to("/nowhere"),
    lambda f: (f / "train/a/up").symlink_to(f),
    lambda f: (f / "train/a/z.png").touch(),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_same_is_refused_in_the_same_words(damage, folder, environment):
    damage(folder)
    told = []
    for use in ("image_folder", "hf"):
        with pytest.raises(EnvironmentProblem) as raised:
            make(environment, use, folder).fingerprint()
        told.append(str(raised.value))
    assert told[0] == told[1]


@pytest.mark.parametrize("place", ["train/a", "train", "test/b"])
@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX", "lost+found"])
def test_what_tools_leave_behind_is_left_out(place, name, folder, environment):
    before = make(environment, "hf", folder).load()
    shutil.copytree(folder / "train" / "b", folder / place / name / "b")
    by_folder, by_hf = (make(environment, use, folder) for use in ("image_folder", "hf"))
    assert same(before, by_hf.load())
    assert by_folder.notices() == by_hf.notices()
    assert f"1 {name} in {place}" in by_hf.notices()[0]


def test_links_to_folders_and_deeper_folders_are_read(folder, environment, tmp_path):
    """The library itself leaves out the ones, and finds no labels for the others."""
    before, data = make(environment, "hf", folder).fingerprint(), make(environment, "hf", folder).load()
    (folder / "train" / "a").rename(tmp_path / "elsewhere")
    (folder / "train" / "a").symlink_to(tmp_path / "elsewhere")
    linked = make(environment, "hf", folder)
    assert same(data, linked.load())
    assert linked.fingerprint() != before  # version 0.1.0 trained without them
    (tmp_path / "elsewhere" / "sub").mkdir()
    (tmp_path / "elsewhere" / "3.png").rename(tmp_path / "elsewhere" / "sub" / "3.png")
    assert same(data, make(environment, "hf", folder).load())


def test_ordinary_folders_keep_their_fingerprint(folder, environment):
    """That of version 0.1.0: the names and digests of all files, then what is taken from them."""
    from ablate.components.fingerprints import fingerprint
    from ablate.registry.inputs import file_digest

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = fingerprint(*(f"{path.relative_to(folder).as_posix()} {file_digest(path)}" for path in files))
    expected = fingerprint(content, None, "image", "label", "train", "test", None, 3, 0, None)
    assert make(environment, "hf", folder).fingerprint() == expected
    (folder / "train" / "a" / ".hidden.png").write_bytes(b"nothing")
    assert make(environment, "hf", folder).fingerprint() == expected
    Image.fromarray(RAMP.astype(np.uint16)).save(folder / "train" / "a" / "0.png")
    files_now = fingerprint(*(f"{path.relative_to(folder).as_posix()} {file_digest(path)}" for path in files))
    clipped = fingerprint(files_now, None, "image", "label", "train", "test", None, 3, 0, None)
    assert make(environment, "hf", folder).fingerprint() != clipped


def test_the_librarys_names_of_parts_are_understood(folder, environment):
    (folder / "test").rename(folder / "val")
    data = make(environment, "hf", folder, test_split="validation").load()
    assert len(data.test.labels) == 4
    (folder / "train").rename(folder / "training")
    assert len(make(environment, "hf", folder, test_split="validation").load().train.labels) == 8


def parquet(path: Path, labels: list[int], names: list[str]) -> Path:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    pictures = [Image.fromarray(np.full((8, 8), index, np.uint8)) for index in range(len(labels))]
    datasets.Dataset.from_dict({"image": pictures, "label": labels}, features).to_parquet(path)
    return path


def test_a_class_in_one_split_only_is_refused_in_tables_too(tmp_path, environment):
    splits = {"train_split": "train[:4]", "test_split": "train[4:]"}
    path = parquet(tmp_path / "all.parquet", [0, 1, 2, 0, 0, 1], ["a", "b", "c"])
    with pytest.raises(EnvironmentProblem, match="the test split has no images of class 'c', which the train split has"):
        make(environment, "hf", path, **splits).load()
    path = parquet(tmp_path / "all.parquet", [0, 1, 0, 1, 2, 1], ["a", "b", "c"])
    with pytest.raises(EnvironmentProblem, match="the train split has no images of class 'c', which the test split has"):
        make(environment, "hf", path, **splits).load()


def test_what_is_odd_in_tables_is_told_when_they_are_decoded(tmp_path, environment):
    path = parquet(tmp_path / "all.parquet", [0, 1, 0, 1, 0, 1], ["a", "b", "never"])
    handle = make(environment, "hf", path, train_split="train[:4]", test_split="train[2:]")
    assert handle.notices() == []
    handle.load()
    assert handle.notices() == [
        f"{path}: no images are in class 'never'; the model has an output for each all the same",
        f"{path}: 2 test images are among the training images too, byte for byte",
    ]


def test_what_tools_leave_behind_is_left_out_of_folders_that_the_library_opens(tmp_path, environment):
    folder = tmp_path / "tables"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    (folder / "@eaDir").mkdir()
    parquet(folder / "train-0.parquet", [0, 1, 0, 1], ["a", "b"])
    parquet(folder / "test-0.parquet", [0, 1], ["a", "b"])
    for name in (".ipynb_checkpoints", "@eaDir"):
        shutil.copy(folder / "train-0.parquet", folder / name / "train-1.parquet")
    assert len(make(environment, "hf", folder).load().train.labels) == 4
