"""Which images of class folders count: what is left out is said, and what cannot be right is refused with a remedy."""

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.components.image_folder import image_folder
from ablate.contracts import Environment
from ablate.errors import DiskProblem, EnvironmentProblem


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes with four training and two test images each, no two alike."""
    value = iter(range(256))
    for part, count in (("train", 4), ("test", 2)):
        for name in "abc":
            place = tmp_path / "images" / part / name
            place.mkdir(parents=True)
            for index in range(count):
                Image.new("L", (4, 4), next(value)).save(place / f"{index}.png")
    return tmp_path / "images"


def make(environment: Environment, folder: Path, **settings):
    return image_folder(environment, path=str(folder), channels=1, **settings)


def pixels(environment: Environment, folder: Path) -> list[int]:
    return make(environment, folder).load().train.images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("place", ["train", "test", "train/a", "train/b/deeper"])
@pytest.mark.parametrize("name", [".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git", "lost+found", "$RECYCLE.BIN"])
def test_folders_of_tools_are_no_classes_and_have_no_images(environment, folder, place, name):
    before = make(environment, folder).fingerprint()
    (folder / place / name / "x.png").mkdir(parents=True)
    shutil.copy(folder / "train/a/0.png", folder / place / name / "x-checkpoint.png")
    shutil.copy(folder / "train/a/0.png", folder / place / name / "x.png" / "thumb.jpg")
    handle = make(environment, folder)
    assert pixels(environment, folder) == list(range(12))
    assert handle.load().class_names == ("a", "b", "c")
    assert handle.fingerprint() == before
    assert handle.notices() == [f"{folder}: left out: 1 {name} in {place} (hidden, or left behind by tools)"]


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "._0.png", "desktop.ini", ".hidden.png"])
def test_files_of_tools_are_no_images(environment, folder, name):
    (folder / "train" / "a" / name).write_bytes(b"\0\5\x16\7")
    (folder / "test" / name).write_bytes(b"\0\5\x16\7")
    assert pixels(environment, folder) == list(range(12))
    shown = "._*" if name.startswith("._") else name
    assert make(environment, folder).notices() == [
        f"{folder}: left out: 2 {shown} in test, train/a (hidden, or left behind by tools)"
    ]


def test_what_is_left_out_is_counted_by_extension_and_folder(environment, folder):
    for name in ("train/a/1.txt", "train/a/2.TXT", "train/b/3.txt", "train/c/4.txt", "test/a/5.heic", "test/a/Makefile"):
        (folder / name).write_text("no image")
    shutil.copy(folder / "train/a/0.png", folder / "train/loose.png")
    assert make(environment, folder).notices() == [
        f"{folder}: left out: 4 .txt in train/a, train/b and 1 more, 1 .heic in test/a, 1 without an extension in test/a "
        "(no images by their extension)",
        f"{folder}: left out: 1 .png in train (images that lie in no class folder)",
    ]


def test_many_kinds_of_files_are_one_sentence(environment, folder):
    for number in range(9):
        (folder / f"train/a/{number}.x{number}").touch()
    (notice,) = make(environment, folder).notices()
    assert notice.endswith("1 .x4 in train/a, and 4 others (no images by their extension)")


def test_an_ordinary_folder_has_nothing_to_say(environment, folder):
    assert make(environment, folder).notices() == []


@pytest.mark.parametrize("extension", ["jfif", "JPE", "gif", "bmp", "TIF", "pgm", "webp"])
def test_images_of_every_extension_are_read(environment, folder, extension):
    for path in (folder / "train" / "c").iterdir():
        Image.open(path).convert("RGB").save(path.with_suffix(f".{extension}"), format=FORMATS.get(extension))
        path.unlink()
    assert len(pixels(environment, folder)) == 12
    assert make(environment, folder).notices() == []


FORMATS = {"jfif": "JPEG", "JPE": "JPEG", "TIF": "TIFF"}


def emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def renamed(folder: Path, suffix: str) -> None:
    for path in folder.iterdir():
        path.rename(path.with_suffix(suffix))


PROBLEMS: list[tuple[Callable[[Path], object], str]] = [
    (lambda f: emptied(f / "train/b"), "train: there are no images of class 'b'. Add some, or remove the folder from all parts."),
    (lambda f: emptied(f / "test/b"), "test: has no images of class 'b', which .*train has. Add some, or remove the class"),
    (lambda f: shutil.rmtree(f / "test/b"), "test: has no images of class 'b', which .*train has. Add some, or remove the class"),
    (
        lambda f: shutil.rmtree(f / "train/b"),
        "test: class 'b' cannot be learnt, as .*train has none. Add training images, or remove",
    ),
    (lambda f: (f / "test/b").rename(f / "test/B"), "test/B: is not written as .*train/b. Rename one of them"),
    (lambda f: (f / "train/e\u0301").mkdir(), "there are no images of class 'e\u0301'"),
    (
        lambda f: renamed(f / "train/b", ".heic"),
        r"no images of class 'b' \(4 .heic in train/b only, and that is read as no image\)",
    ),
    (lambda f: renamed(f / "test/b", ".svg"), r"no images of class 'b' \(2 .svg in test/b only, and that is read as no image\)"),
    (
        lambda f: (f / "train/a/z.png").symlink_to("/nowhere/z.png"),
        "train/a/z.png: is a link to /nowhere/z.png, where nothing is",
    ),
    (lambda f: (f / "train/d").symlink_to("/nowhere"), "train/d: is a link to /nowhere, where nothing is. Fetch .* or remove it"),
    (lambda f: (f / "train/a/up").symlink_to(f / "train"), "train/a/up.*: is a link to a folder that it lies in, without end"),
    (lambda f: (f / "train/a/5.png").touch(), "train/a/5.png: cannot be read as an image: it is empty"),
    (lambda f: [shutil.rmtree(f / p / n) for p in ("train", "test") for n in "ab"], "train: has 1 class folder, and at least 2"),
    (lambda f: [shutil.rmtree(f / p / n) for p in ("train", "test") for n in "abc"], "train: has 0 class folders, and at least"),
    (
        lambda f: (f / "test").rename(f / "held out"),
        "no folder 'test'. Expected train/<class>/ and test/<class>/. There is: held out, train",
    ),
    (shutil.rmtree, "cannot be read as a folder"),
]


@pytest.mark.parametrize(("damage", "message"), PROBLEMS)
def test_what_cannot_be_right_is_refused_before_anything_is_decoded(environment, folder, damage, message):
    damage(folder)
    with pytest.raises(EnvironmentProblem, match=message) as raised:
        make(environment, folder).fingerprint()
    assert len(str(raised.value).splitlines()) == 1


def test_all_that_is_wrong_is_told_at_once(environment, folder):
    emptied(folder / "train/a")
    shutil.rmtree(folder / "test/b")
    (folder / "test/d").mkdir()
    (folder / "train/c/z.png").symlink_to("/nowhere")
    with pytest.raises(EnvironmentProblem) as raised:
        make(environment, folder).fingerprint()
    assert len(str(raised.value).splitlines()) == 4


def test_links_to_nothing_are_counted(environment, folder):
    for path in (folder / "train" / "c").iterdir():
        path.unlink()
        path.symlink_to("../../.git/annex/objects/1")
    with pytest.raises(EnvironmentProblem, match=r"where nothing is, and so are 3 more\. Fetch .*`git annex get` or `dvc pull`"):
        make(environment, folder).fingerprint()


def test_links_to_folders_are_followed(environment, folder, tmp_path):
    (folder / "train" / "a").rename(tmp_path / "elsewhere")
    (folder / "train" / "a").symlink_to(tmp_path / "elsewhere")
    assert pixels(environment, folder) == list(range(12))


def test_a_folder_that_cannot_be_read_is_told(environment, folder, monkeypatch):
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("train/b"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DiskProblem, match="train/b: cannot be read: .*Permission denied"):
        make(environment, folder).fingerprint()


def test_a_class_with_a_space_behind_its_name_is_not_another_one(environment, folder):
    (folder / "test" / "c").rename(folder / "test" / "c ")
    with pytest.raises(EnvironmentProblem, match=f"{folder}/test/c : is not written as {folder}/train/c. Rename one of them."):
        image_folder(environment, path=str(folder)).fingerprint()


def test_classes_that_are_written_almost_alike_are_told(environment, folder):
    for part in ("train", "test"):
        shutil.copytree(folder / part / "c", folder / part / "C")
        Image.new("L", (4, 4), 200 + len(part)).save(folder / part / "C" / "0.png")
    assert (
        f"{folder}/train: classes 'C' and 'c' are two, though they are written almost alike"
        in make(environment, folder).notices()
    )


def test_a_part_that_is_not_read_is_told(environment, folder):
    shutil.copytree(folder / "test", folder / "val")
    assert make(environment, folder).notices() == [f"{folder}/val: has class folders too, and is not read"]


def test_test_images_that_are_trained_on_are_counted(environment, folder):
    shutil.copy(folder / "train/a/0.png", folder / "test/a/copy.png")
    shutil.copy(folder / "train/a/1.png", folder / "test/b/copy.png")
    assert make(environment, folder).notices() == [
        f"{folder}: 2 test images are among the training images too, byte for byte",
        f"{folder}: 1 file is in more than one class, byte for byte",
    ]


def test_how_images_are_read_is_told(environment, folder):
    for path in (folder / "train" / "a").iterdir():
        Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16) * 257 + 1).save(path)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("L", (4, 4), 9).save(folder / "test" / "a" / "0.png", exif=exif)
    told = make(environment, folder).notices()
    assert f"{folder}: 4 images: more than 8 bits a pixel, scaled from the range of the format to 0–255" in told
    assert f"{folder}: 1 image: turned upright, as their EXIF orientation says" in told


def test_only_images_that_are_read_anew_change_a_fingerprint(environment, tmp_path):
    """The fingerprints of version 0.1.0, written down: cells of ordinary folders keep their keys."""
    for part in ("train", "test"):
        for label, name in enumerate("ab"):
            place = tmp_path / "images" / part / name
            place.mkdir(parents=True)
            rows = bytes([60 * label + len(part)] * 4)
            (place / "0.ppm").write_bytes(b"P6 2 2 255\n" + 3 * rows)
    root = tmp_path / "images"
    assert make(environment, root).fingerprint() == "8c101f9b0d1d9337176d270527edba056761ad228996bb4725844788b978b5c7"
    limited = make(environment, root, limit=3, size=2)
    assert limited.fingerprint() == "ec41cf79d5ad29b00e0a0591a2d388a4f406ef18cda9d10d32b798d0cb3f58c0"
    tags = [(256, 4, 2), (257, 4, 2), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 4, 2), (279, 4, 8)]
    directory = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    deep = b"II*\0" + struct.pack("<I4HH", 16, 300, 9, 700, 65535, len(tags)) + directory + bytes(4)
    (root / "train" / "a" / "1.tif").write_bytes(deep)
    assert make(environment, root).load().train.images[1].tolist() == [[[1, 0], [3, 255]]]
    clipped = "8965d14a5692a1b3dd7096d863ff140c525f15260e24be59843b29f9c929709a"  # of [[[255, 9], [255, 255]]]
    assert make(environment, root).fingerprint() != clipped


def test_notes_of_older_versions_are_not_believed(environment, folder):
    """Version 0.1.0 wrote notes that have the digest of the bytes alone, under the same kind of name."""
    fingerprint = make(environment, folder).fingerprint()
    for note in (environment.data_dir / "image_folder").glob("*.json"):
        note.write_text('{"root": "/", "images": 18, "sha256": "0"}')
    assert make(environment, folder).fingerprint() == fingerprint


@pytest.mark.parametrize("name", ["new\nline", "🐝", "שלום", "  ", "a'b\"c", "%s{0}", "-rf"])
def test_names_are_nothing_but_names(environment, folder, name):
    for part in ("train", "test"):
        (folder / part / "a").rename(folder / part / name)
    (folder / "train" / name / "0.png").rename(folder / "train" / name / f"{name}.png")
    (folder / "train" / name / f"{name}.txt").touch()
    data = make(environment, folder).load()
    assert sorted(data.class_names) == sorted([name, "b", "c"])
    assert len(data.train.labels) == 12
    assert len(make(environment, folder).notices()) == 1
