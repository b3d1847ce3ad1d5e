"""Local data, and a hub on the loopback interface, through the registry, as a spec uses them."""

import hashlib
import http.server
import io
import json
import os
import re
import shutil
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import datasets
import huggingface_hub.constants
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import ablate
from ablate.contracts import Environment
from ablate.errors import AblateError, EnvironmentProblem, SpecError, UsageError
from ablate.registry import build, default
from ablate.runner.job import Options, prepare

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CLASSES = ("bright", "dark")


def picture(label: int, index: int, size: tuple[int, int] = (12, 10)) -> Image.Image:
    """A grey square, bright or dark, whose red channel tells which it is."""
    pixels = np.full((*size, 3), 200 - 150 * label, dtype=np.uint8)
    pixels[..., 0] = index
    return Image.fromarray(pixels)


def png(label: int, index: int) -> bytes:
    buffer = io.BytesIO()
    picture(label, index).save(buffer, "png")
    return buffer.getvalue()


def write_folder(root: Path, train: int = 10, test: int = 4) -> Path:
    for part, count in (("train", train), ("test", test)):
        for label, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                picture(label, index).save(folder / f"{index:02}.png")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "pets")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / ".data", download=False)


def make(environment: Environment, path: Path | str, **settings):
    return build(default(), "dataset", {"use": "hf", "path": str(path), **settings}, environment)


def test_a_folder_of_images_in_class_folders(folder: Path, environment: Environment):
    data = make(environment, folder).load()
    assert data.class_names == CLASSES
    assert (data.train.images.shape, data.test.images.shape) == ((20, 3, 12, 10), (8, 3, 12, 10))
    assert (data.train.images.dtype, data.train.labels.dtype) == (np.uint8, np.int64)
    assert data.train.labels.tolist() == [0] * 10 + [1] * 10
    assert data.train.images[:, 0, 0, 0].tolist() == [*range(10), *range(10)]
    assert set(data.train.images[10:, 1:].ravel()) == {50}
    assert isinstance(data.train.images, np.memmap)


def test_size_channels_validation_and_limit(folder: Path, environment: Environment):
    data = make(environment, folder, size=8, channels=1, validation=0.2, limit=6).load()
    assert data.train.images.shape == (6, 1, 8, 8)
    assert data.test.images.shape == (6, 1, 8, 8)
    assert np.bincount(data.validation.labels).tolist() == [2, 2]


def test_a_parquet_file_with_the_librarys_types_and_slices_as_splits(tmp_path: Path, environment: Environment):
    features = datasets.Features({"img": datasets.Image(), "kind": datasets.ClassLabel(names=["night", "day"])})
    rows = {"img": [picture(index % 2, index) for index in range(12)], "kind": [index % 2 for index in range(12)]}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "all.parquet")
    settings = {"image_column": "img", "label_column": "kind", "train_split": "train[:75%]", "test_split": "train[75%:]"}
    data = make(environment, tmp_path / "all.parquet", **settings).load()
    assert data.class_names == ("night", "day")
    assert data.train.images[:, 0, 0, 0].tolist() == list(range(9))
    assert data.test.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("plain", [True, False])
def test_parquet_files_of_others_in_a_folder(plain: bool, tmp_path: Path, environment: Environment):
    folder = tmp_path / "data"
    folder.mkdir()
    for part, count in (("train", 8), ("test", 4)):
        images = [png(index % 2, index) for index in range(count)]
        frame = pd.DataFrame({"image": images if plain else [{"bytes": image, "path": None} for image in images]})
        frame["label"] = ["zebra" if index % 2 else "ant" for index in range(count)]
        frame.to_parquet(folder / f"{part}-00000-of-00001.parquet")
    data = make(environment, folder).load()
    assert data.class_names == ("ant", "zebra")
    assert data.train.labels.tolist() == [0, 1] * 4
    assert data.test.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def test_numbers_as_labels_are_counted_from_zero(tmp_path: Path, environment: Environment):
    frame = pd.DataFrame({"image": [png(index % 2, index) for index in range(8)], "label": [7, 30] * 4})
    frame.to_parquet(tmp_path / "all.parquet")
    data = make(environment, tmp_path / "all.parquet", test_split="train[:4]").load()
    assert data.class_names == ("7", "30")
    assert data.train.labels.tolist() == [0, 1] * 4


def test_the_fingerprint_names_the_content_and_not_its_place(folder: Path, environment: Environment, tmp_path: Path):
    first = make(environment, folder).fingerprint()
    copy = shutil.copytree(folder, tmp_path / "elsewhere" / "pets")
    assert make(environment, copy).fingerprint() == first
    (copy / ".hidden").write_text("nothing that the library reads")
    assert make(environment, copy).fingerprint() == first
    picture(0, 99).save(copy / "train" / "bright" / "03.png")
    changed = make(environment, copy).fingerprint()
    (copy / "train" / "bright" / "03.png").rename(copy / "train" / "bright" / "50.png")
    assert len({first, changed, make(environment, copy).fingerprint()}) == 3


def test_the_fingerprint_tells_apart_what_is_taken_from_the_content(folder: Path, environment: Environment):
    different = [
        {},
        {"size": 8},
        {"channels": 1},
        {"validation": 0.2},
        {"limit": 4},
        {"config": "default"},
        {"test_split": "train"},
        {"label_column": "other"},
    ]
    assert len({make(environment, folder, **settings).fingerprint() for settings in different}) == len(different)


def test_images_are_decoded_once(folder: Path, environment: Environment, monkeypatch):
    before = make(environment, folder).load()
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: pytest.fail("decoded again"))
    after = make(environment, folder, limit=20).load()
    assert np.array_equal(before.train.images, after.train.images)


def broken_image(folder: Path) -> None:
    (folder / "train" / "bright" / "02.png").write_bytes(b"no image")


def one_class(folder: Path) -> None:
    for part in ("train", "test"):
        shutil.rmtree(folder / part / "dark")


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (broken_image, {}, "bright/02.png: cannot be read as an image"),
        (one_class, {}, "train: has 1 class folder, and at least 2 are needed"),
        (None, {"image_column": "picture"}, "columns image, label, and no 'picture'"),
        (None, {"image_column": "label"}, "column 'label' has no images, but ClassLabel"),
        (None, {"test_split": "val"}, 'cannot open it: Unknown split "val"'),
        (None, {"config": "other"}, "cannot open it"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told(change, settings, message, folder: Path, environment: Environment):
    if change:
        change(folder)
    with pytest.raises(EnvironmentProblem, match=message):
        make(environment, folder, **settings).load()


def test_what_may_never_end_is_refused_and_not_read(folder: Path, environment: Environment):
    os.mkfifo(folder / "train" / CLASSES[0] / "pipe.png")
    with pytest.raises(EnvironmentProblem, match=r"pipe.png: is a pipe, a socket or a device, and reading it may never end"):
        make(environment, folder).fingerprint()


def test_a_failed_decoding_leaves_nothing_behind(tmp_path: Path, environment: Environment):
    frame = pd.DataFrame({"image": [png(0, 0), png(1, 1), png(0, 2), b"no image"], "label": [0, 1, 0, 1]})
    frame.to_parquet(tmp_path / "all.parquet")
    with pytest.raises(EnvironmentProblem, match=r"all.parquet \(test\): image 1: cannot be read as an image"):
        make(environment, tmp_path / "all.parquet", train_split="train[:2]", test_split="train[2:]").load()
    assert [path.name for path in (environment.data_dir / "hf").iterdir() if path.suffix != ".lock"] == ["digests"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b", "a", "c"], "labels of the test split are of no known class: 'c'"),
        (["a", "a", "a", "a"], "has 1 classes, and at least 2 are needed"),
        (["a", "b", None, "b"], "does not have one label for every image"),
        ([["a"], ["b"], ["a"], ["b"]], "does not have one label for every image"),
    ],
)
def test_what_is_wrong_with_labels_is_told(labels, message, tmp_path: Path, environment: Environment):
    frame = pd.DataFrame({"image": [png(0, index) for index in range(4)], "label": labels})
    frame.to_parquet(tmp_path / "all.parquet")
    splits = {"train_split": "train[:3]", "test_split": "train[3:]"}
    with pytest.raises(EnvironmentProblem, match=message):
        make(environment, tmp_path / "all.parquet", **splits).load()


def test_a_damaged_file_is_told(tmp_path: Path, environment: Environment):
    (tmp_path / "all.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(EnvironmentProblem, match="cannot open it: Parquet magic bytes not found"):
        make(environment, tmp_path / "all.parquet").load()


def test_the_cause_is_told_where_the_library_says_nothing_of_it(tmp_path: Path, environment: Environment):
    folder = tmp_path / "data"
    folder.mkdir()
    frame = pd.DataFrame({"image": [png(index % 2, index) for index in range(4)], "label": [0, 1, 0, 1]})
    frame.to_parquet(folder / "train.parquet")
    frame[:0].to_parquet(folder / "test.parquet")
    with pytest.raises(EnvironmentProblem, match=r"cannot open it: DatasetGenerationError: .* \(.+\)"):
        make(environment, folder).load()


def test_an_image_without_a_class_is_told(tmp_path: Path, environment: Environment):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"image": [picture(0, index) for index in range(4)], "label": [0, 1, 0, -1]}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "all.parquet")
    with pytest.raises(EnvironmentProblem, match="of no known class: -1"):
        make(environment, tmp_path / "all.parquet", test_split="train[2:]").load()


def test_what_is_wrong_with_a_path_is_told(folder: Path, environment: Environment, tmp_path: Path):
    (tmp_path / "images.csv").write_text("image,label")
    with pytest.raises(UsageError, match=r"neither a folder nor a \.parquet file"):
        make(environment, tmp_path / "images.csv").fingerprint()
    with pytest.raises(UsageError, match="`revision` is for names on the hub"):
        make(environment, folder, revision="main").fingerprint()
    for missing in ("no/such/folder", "./nothing", "nothing.parquet"):
        with pytest.raises(EnvironmentProblem, match="there is no such folder or Parquet file"):
            make(environment, missing).fingerprint()


def test_a_script_is_not_run(tmp_path: Path, environment: Environment):
    folder = tmp_path / "scripted"
    folder.mkdir()
    (folder / "scripted.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(EnvironmentProblem, match="cannot open it"):
        make(environment, folder).load()
    assert not (tmp_path / "ran").exists()


class Hub(http.server.ThreadingHTTPServer):
    """As much of the hub as its client needs for the dataset `me/pets`."""

    daemon_threads = True

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.root = root
        self.asked: list[str] = []


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        files = {file.relative_to(self.server.root).as_posix(): file for file in self.server.root.rglob("*") if file.is_file()}
        if path.startswith(f"/datasets/me/pets/resolve/{COMMIT}/"):
            self._send(files[path.partition(f"{COMMIT}/")[2]].read_bytes())
        elif path.startswith("/api/datasets/me/pets/tree/"):
            self._json([{"type": "file", "path": name, "size": file.stat().st_size, "oid": ""} for name, file in files.items()])
        elif path.startswith("/api/datasets/me/pets"):
            self._json({"id": "me/pets", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
        else:
            self.send_error(404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _json(self, document: object) -> None:
        self._send(json.dumps(document).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(folder: Path, monkeypatch) -> Iterator[Hub]:
    with Hub(folder) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_dataset_of_the_hub_is_fetched_once_and_named_by_its_commit(hub: Hub, environment: Environment):
    online = Environment(environment.data_dir, download=True)
    fingerprint = make(online, "me/pets").fingerprint()
    asked = len(hub.asked)
    assert make(environment, "me/pets").fingerprint() == fingerprint
    assert make(environment, "me/pets", revision=COMMIT).fingerprint() == fingerprint
    data = make(environment, "me/pets").load()
    assert len(hub.asked) == asked
    assert data.class_names == CLASSES
    assert data.train.images.shape == (20, 3, 12, 10)


def test_nothing_is_fetched_while_a_spec_is_checked(hub: Hub, environment: Environment):
    with pytest.raises(EnvironmentProblem, match="'me/pets' of the Hugging Face hub.*it is not on this machine yet"):
        make(environment, "me/pets").fingerprint()
    assert make(environment, "me/pets", revision=COMMIT).fingerprint()
    with pytest.raises(EnvironmentProblem, match="not on this machine yet"):
        make(environment, "me/pets", revision=COMMIT).load()
    spec = readme_spec()
    spec["base"]["dataset"]["path"] = "me/pets"
    with pytest.raises(SpecError, match=r"base\.dataset: dataset 'me/pets'.*ablate fetch"):
        prepare(spec, (), Options(data_dir=environment.data_dir, device="cpu", download=False))
    assert hub.asked == []


def test_local_data_asks_nobody(hub: Hub, folder: Path, environment: Environment):
    dataset = make(Environment(environment.data_dir, download=True), folder)
    dataset.fingerprint()
    dataset.load()
    assert hub.asked == []


def test_a_name_that_the_hub_does_not_have_is_told(hub: Hub, environment: Environment):
    with pytest.raises(EnvironmentProblem, match=r"'me/other'.*fetching it failed: .*404.*Or give the path of a local folder"):
        make(Environment(environment.data_dir, download=True), "me/other").fingerprint()


def test_a_hub_that_cannot_be_reached_is_told(environment: Environment, monkeypatch):
    with http.server.HTTPServer(("127.0.0.1", 0), _Answer) as closed:
        url = f"http://127.0.0.1:{closed.server_port}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    with pytest.raises(EnvironmentProblem, match=r"'me/pets'.*fetching it failed: .*Run `ablate fetch`") as raised:
        make(Environment(environment.data_dir, download=True), "me/pets").fingerprint()
    assert isinstance(raised.value, AblateError)


def readme_spec() -> dict:
    """The study in the README."""
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    return json.loads(textwrap.dedent(re.search(r"^    \{\n.*?^    \}\n", text, re.MULTILINE | re.DOTALL).group()))


def test_the_study_of_the_readme_runs(tmp_path: Path, folder: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = ablate.run(readme_spec(), store=tmp_path / "store", data_dir=tmp_path / "data", device="cpu", jobs=1)
    assert study.cells["status"].tolist() == ["done"] * 4
    assert study.cells["accuracy"].between(0, 1).all()
