"""Small pictures of the images that variants disagree on: kept by a run, and shown where they are."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.contracts import Environment
from ablate.report.page import Section
from ablate.report.per_image import shown_images
from ablate.report.thumbnails import LARGEST, SIDE, Thumbnail, address
from ablate.report.web import environment
from ablate.runner import thumbnails
from ablate.runner.thumbnails import keep_thumbnails
from ablate.stats.image_records import Disputed, PerImage
from ablate.store import Store
from tests.report.studies import HOSTILE, make_study
from tests.watch.studies import begin, finish

FOUND = PerImage(
    4, 0, 0, disputed=(Disputed(3, "cat", "x", 1.0, "base", 0.0, "dog"), Disputed(5, "a", "x", 1.0, "base", 0.0, "b"))
)


def png(size):
    made = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(made, "PNG")
    return made.getvalue()


def shown(*thumbnails):
    return str(environment().get_template("parts.html.jinja").module.thumbnails_of(Section("Images", thumbnails=thumbnails)))


def test_a_picture_is_data_of_the_page(tmp_path):
    (tmp_path / "a.png").write_bytes(png((8, 8)))
    html = shown(Thumbnail(tmp_path / "a.png", "image 3", ("cat", "base: dog")))
    assert html.count('<img src="data:image/png;base64,') == 1
    assert "base: dog" in html
    assert "lazy" not in html, "a picture or a print of the whole page has them"


@pytest.mark.parametrize("data", [b"", b"<svg onload=alert(1)>", png((8, 8)) + b"x" * LARGEST], ids=["nothing", "other", "large"])
def test_what_is_no_small_picture_is_left_out(tmp_path, data):
    (tmp_path / "a.png").write_bytes(data)
    assert address(Thumbnail(tmp_path / "a.png", "image 3", ())) is None
    assert shown(Thumbnail(tmp_path / "a.png", "", ()), Thumbnail(tmp_path / "none.png", "", ())).strip() == ""


def test_names_of_classes_are_text(tmp_path):
    (tmp_path / "a.png").write_bytes(png((8, 8)))
    html = shown(*(Thumbnail(tmp_path / "a.png", name, (name,)) for name in HOSTILE))
    assert html.count("<img") == html.count('<img src="data:') == len(HOSTILE)
    assert not any(tag in html for tag in ("<script", "<svg", "</style"))


def test_they_are_in_the_folder_of_the_report_whatever_a_store_says(tmp_path):
    with Store(tmp_path) as store:
        file = store.kept.thumbnails_of("s")("../../etc", 3)
        assert file.parent == tmp_path / "reports" / "s" / "images"
        for name in ("../x", "a/b", "..", "", "/etc"):
            assert store.kept.thumbnails_of(name) is None


@pytest.mark.parametrize(("shape", "size"), [((1, 8, 8), (8, 8)), ((3, 200, 100), (32, 64)), ((4, 8, 8), None)])
def test_a_picture_is_small_and_only_of_what_a_picture_shows(shape, size):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, *shape), np.uint8))
    made = thumbnails.small_picture(images, 1)
    assert (made and Image.open(io.BytesIO(made)).size) == size
    assert SIDE == 64


def test_a_run_keeps_those_that_are_missing(tmp_path, monkeypatch):
    images, asked = torch.zeros(10, 1, 8, 8, dtype=torch.uint8), []
    monkeypatch.setattr(thumbnails, "evaluated_images", lambda *_: asked.append(1) or images)
    with Store(tmp_path) as store:
        begin(store)
        finish(store, 0, 0, 0.5)
        study = store.study("s")
        for _ in range(2):
            keep_thumbnails(study, FOUND, store, Environment(tmp_path, download=False))
    files = sorted((tmp_path / "reports" / "s" / "images").iterdir())
    assert [file.name.rpartition("-")[2] for file in files] == ["3.png", "5.png"]
    assert asked == [1], "no dataset is opened where nothing is missing"
    assert [one.file for one in shown_images(study, FOUND)] == [study.thumbnails("", place) for place in (3, 5)]


def test_images_that_are_others_now_or_not_at_hand_give_none(tmp_path, spec):
    import ablate

    study = ablate.run(spec | {"seeds": 1}, store=tmp_path, progress=False)
    found = replace(FOUND, images="not these")
    with Store(tmp_path, create=False) as store:
        known = Environment(tmp_path, download=False)
        keep_thumbnails(study, found, store, known)
        assert not (tmp_path / "reports" / "tiny" / "images").exists()
        keep_thumbnails(study, replace(FOUND, images=study.analysis().per_image.images), store, known)
        assert len(list((tmp_path / "reports" / "tiny" / "images").iterdir())) == 2


def test_a_study_without_any(tmp_path):
    with Store(tmp_path) as store:
        keep_thumbnails(make_study(), FOUND, store, Environment(tmp_path, download=False))
        keep_thumbnails(make_study(), None, store, Environment(tmp_path, download=False))
    assert list(shown_images(make_study(), FOUND)) == []
