"""A person's images, however they lie: what is trained on, what is tested, and what is said about it."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from ablate.components.image_folder import image_folder
from ablate.components.layouts import images_of
from ablate.errors import EnvironmentProblem


def save(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), value).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`<class>/<image>`: ten of cats and five of dogs, no two alike."""
    for name, count, first in (("cat", 10, 0), ("dog", 5, 100)):
        for index in range(count):
            save(tmp_path / "photos" / name / f"{index}.png", first + index)
    return tmp_path / "photos"


def values(split) -> list[int]:
    return split.images[:, 0, 0, 0].tolist()


def load(environment, path, **settings):
    return image_folder(environment, path=str(path), channels=1, **settings).load()


def test_class_folders_alone_are_parted_and_it_is_said(environment, folder):
    data = load(environment, folder)
    assert data.class_names == ("cat", "dog")
    assert (len(values(data.train)), len(values(data.test))) == (12, 3)
    assert sorted(values(data.train) + values(data.test)) == [*range(10), *range(100, 105)]
    assert [int(value >= 100) for value in values(data.test)] == data.test.labels.tolist() == [0, 0, 1]
    (notice,) = image_folder(environment, path=str(folder), channels=1).notices()
    assert notice == (
        f"{folder}: nothing says which images are for the test, and 3 of 15 are: 20 % of each class. "
        'Give the dataset "test": 0.2, or another part, to say so yourself'
    )
    assert image_folder(environment, path=str(folder), channels=1, test=0.2).notices() == []
    assert values(load(environment, folder, test=0.2).test) == values(data.test)


def test_the_parts_are_stratified_and_stay_when_images_are_added(environment, folder):
    before = load(environment, folder, test=0.4)
    assert before.test.labels.tolist() == [0] * 4 + [1] * 2
    save(folder / "dog" / "a new one.png", 200)
    after = load(environment, folder, test=0.4)
    assert values(after.test)[:4] == values(before.test)[:4], "another class has no part in it"
    assert len(set(values(after.test)[4:]) & set(values(before.test)[4:])) >= 1


def test_another_part_is_another_cell(environment, folder):
    prints = {image_folder(environment, path=str(folder), test=test).fingerprint() for test in ("test", 0.2, 0.3)}
    assert len(prints) == 3


@pytest.mark.parametrize("name", ["val", "valid", "validation", "dev"])
def test_validation_images_are_evaluated_where_there_are_no_test_images(environment, folder, name):
    (folder / "train").mkdir()
    for label in ("cat", "dog"):
        save(folder / name / label / "x.png", 250)
        shutil.move(folder / label, folder / "train" / label)
    data = load(environment, folder)
    assert values(data.test) == [250, 250]
    assert image_folder(environment, path=str(folder)).notices()[0] == (
        f"{folder}: there is no folder 'test', and the images of {name!r} are evaluated in its place"
    )
    for label in ("cat", "dog"):
        save(folder / "test" / label / "x.png", 251)
    assert values(load(environment, folder).test) == [251, 251], "a folder that is called `test` comes first"


def test_a_part_of_the_training_folder_is_tested_where_it_is_asked_for(environment, folder):
    (folder / "train").mkdir()
    for label in ("cat", "dog"):
        shutil.move(folder / label, folder / "train" / label)
        save(folder / "test" / label / "x.png", 251)
    data = load(environment, folder, test=0.2)
    assert len(values(data.test)) == 3
    assert 251 not in values(data.test)
    notices = image_folder(environment, path=str(folder), test=0.2).notices()
    assert f"""{folder / "test"}: is not read, as the dataset's "test" is 0.2""" in notices


def test_folders_that_look_like_parts_are_no_classes(environment, folder):
    parts = folder.parent / "parts"
    for part in ("Training data", "my test"):
        shutil.copytree(folder, parts / part)
    with pytest.raises(EnvironmentProblem, match="there is no folder 'train'"):
        images_of(parts, "test")
    for old, new in (("Training data", "one"), ("my test", "two")):
        (parts / old).rename(parts / new)
    with pytest.raises(EnvironmentProblem, match="there is no folder 'train'"):
        images_of(parts, "test")


def test_a_class_of_one_image_cannot_be_parted(environment, folder):
    save(folder / "bird" / "0.png", 9)
    with pytest.raises(EnvironmentProblem, match="there is one image of 'bird', and one is needed to train on and one to test"):
        load(environment, folder)


def table(folder: Path, text: str, name: str = "labels.csv") -> Path:
    (folder / name).write_text(text, "utf-8")
    return folder / name


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_table_says_which_image_is_what(environment, folder, as_folder):
    flat = folder.parent / "flat"
    for index, path in enumerate(sorted(folder.rglob("*.png"))):
        flat.mkdir(exist_ok=True)
        shutil.move(path, flat / f"{index}.png")
    rows = [f"{index}.png,{label},{part}" for index, (label, part) in enumerate([("b", "train"), ("a", "train")] * 5)]
    rows += ["10.png,a,val", "11.png,b,VAL"]
    path = table(flat, "\ufefffilename,label,split\r\n" + "\r\n".join(rows) + "\r\n")
    data = load(environment, flat if as_folder else path)
    assert data.class_names == ("a", "b")
    assert data.train.labels.tolist() == [0] * 5 + [1] * 5
    assert values(data.train) == [1, 3, 5, 7, 9, 0, 2, 4, 6, 8]
    assert (values(data.test), data.test.labels.tolist()) == ([100, 101], [0, 1])
    parted = load(environment, path, test=0.5)
    assert (len(values(parted.train)), len(values(parted.test))) == (6, 6), "what the table says of parts is not looked at"


def test_labels_that_are_numbers_are_in_their_order(environment, folder):
    rows = [f"cat/{index}.png,{label}" for index, label in enumerate([10, 2, 9, 10, 2, 9])]
    data = load(environment, table(folder, "\n".join(["Path,Class", *rows])))
    assert data.class_names == ("2", "9", "10")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\ncat/0.png,x\n", "its columns are 'a', 'b', and one of 'path', 'file'"),
        ("path,b\ncat/0.png,x\n", "and one of 'label', 'class'"),
        ("path,label\n", "has no rows"),
        ("path,label\ncat/0.png,x\n", "has 1 label, and at least 2 are needed"),
        ("path,label\ncat/0.png,x\ndog/99.png,y\n", "there is no file 'dog/99.png'; paths are relative to"),
        ("path,label\ncat/0.png,x\ncat/0.png,y\n", "is named more than once"),
        (
            "path,label,split\ncat/0.png,x,train\ncat/1.png,y,tarin\n",
            "line 3: split is 'tarin', which is no part. Did you mean 'train'",
        ),
        ("path,label,split\ncat/0.png,x,train\ncat/1.png,y,test\n", "has no training images of 'y'"),
        ('path,label\n"cat/0.png,x\n', "cannot be read as a table in UTF-8 with commas"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(environment, folder, text, message):
    with pytest.raises(EnvironmentProblem, match=message):
        load(environment, table(folder, text))


def test_two_tables_are_one_too_many(environment, tmp_path):
    for name in ("a.csv", "b.csv"):
        table(tmp_path, "path,label\n", name)
    with pytest.raises(EnvironmentProblem, match=r"has 'a\.csv', 'b\.csv': give the path of the one"):
        images_of(tmp_path, "test")
