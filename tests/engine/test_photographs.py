"""Photographs of any size: the same numbers however they are stored, decoded, interrupted, and by how many threads."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as F

from ablate import photographs
from ablate.components import image_folder as folders
from ablate.components import recorded
from ablate.components.image_folder import image_folder
from ablate.contracts import Environment
from ablate.engine import ahead, data, prepared
from ablate.engine.build import pipelines
from ablate.engine.preflight import preflight
from ablate.engine.restoring import restored
from ablate.engine.seeding import generator
from ablate.engine.train import train
from ablate.errors import DiskProblem, EnvironmentProblem
from ablate.photographs import Photographs
from ablate.plan import make_cells, make_plan
from ablate.predictions import decoded, unpacked
from ablate.registry import default
from ablate.runner.predicting import predicted
from ablate.spec import load
from ablate.spec.recipe import Recipe
from ablate.spec.trainer import Controls, Interrupted

CPU = torch.device("cpu")
NORMALIZE = {"use": "normalize", "mean": [0.5], "std": [0.25]}


def picture(height: int, width: int, seed: int) -> Image.Image:
    """Smooth colours with some noise, as photographs have."""
    draws = np.random.default_rng(seed)
    smooth = Image.fromarray(draws.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    return Image.fromarray((np.asarray(smooth) * 0.9 + draws.integers(0, 20, (height, width, 3))).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty training and six test images in two classes: JPEG of many sizes, large ones, turned ones, grey ones; and PNG."""
    for part, count in (("train", 10), ("test", 3)):
        for label, name in enumerate(("cat", "dog")):
            place = tmp_path / "photos" / part / name
            place.mkdir(parents=True)
            for index in range(count):
                image = picture(40 + 7 * index, 90 - 5 * index, 100 * label + index)
                turned = Image.Exif()
                turned[274] = 6
                match index:
                    case 1:
                        image.save(place / "1.png")
                    case 2:
                        image.save(place / "2.jpg", exif=turned)
                    case 3:
                        image.convert("L").save(place / "3.jpg")
                    case 4:
                        picture(500, 700, label).save(place / "4.jpg", quality=95)
                    case 5:
                        image.convert("CMYK").save(place / "5.jpg")
                    case _:
                        image.save(place / f"{index}.jpg", quality=90)
    return tmp_path / "photos"


@pytest.fixture
def spec(folder: Path) -> dict:
    return {
        "name": "photographs",
        "base": {
            "dataset": {"use": "image_folder", "path": str(folder)},
            "train_transforms": {
                "crop": {"use": "random_resized_crop", "size": 24},
                "flip": {"use": "random_horizontal_flip"},
                "normalize": NORMALIZE,
            },
            "eval_transforms": {
                "resize": {"use": "resize", "size": 28},
                "crop": {"use": "center_crop", "size": 24},
                "normalize": NORMALIZE,
            },
            "model": {"use": "net"},
            "optimizer": {"use": "sgd", "lr": 0.02},
            "batch_size": 3,
            "epochs": 2,
        },
        "variants": {"other": {"optimizer": {"lr": 0.01}}},
        "seeds": 1,
    }


@pytest.fixture(autouse=True)
def several_chunks(monkeypatch):
    """So that an epoch of twenty images has more than one."""
    monkeypatch.setattr(prepared, "GPU_CHUNK", 7 * 4 * 3 * 24 * 24)


def cell_of(spec, environment, *overrides):
    plan = make_plan(load(spec, overrides), default())
    return make_cells(plan, default(), environment, "cpu")[0].cell


def trained(spec, environment, folder, **controls):
    """In each folder the images are loaded anew."""
    folder.mkdir(exist_ok=True)
    here = Environment(folder / "data", download=False)
    return train(default(), cell_of(spec, environment), here, CPU, Controls(folder / "state", **controls))


def same(one, other) -> bool:
    return one.weights_sha256 == other.weights_sha256 and one.metrics == other.metrics


def test_a_training_goes_on_at_any_batch(spec, environment, tmp_path):
    whole = trained(spec, environment, tmp_path / "whole")
    for stops in ([1], [6], [7], [2, 9, 13]):
        place, seen = tmp_path / f"after {stops}", 0

        def should_stop(stops=stops):
            nonlocal seen
            seen += 1
            return seen in stops

        for _ in stops:
            with pytest.raises(Interrupted):
                trained(spec, environment, place, should_stop=should_stop)
        assert same(trained(spec, environment, place), whole)


def test_nothing_depends_on_how_images_are_kept_and_decoded(spec, environment, tmp_path, monkeypatch):
    """Threads, the budget for decoded ones, the decoder, and whether evaluated ones are prepared once."""
    whole = trained(spec, environment, tmp_path / "whole")
    for threads in (1, 5):
        with ThreadPoolExecutor(threads) as pool:
            monkeypatch.setattr(ahead, "decoding_threads", lambda pool=pool: pool)
            assert same(trained(spec, environment, tmp_path / f"{threads}"), whole)
        monkeypatch.undo()
        monkeypatch.setattr(prepared, "GPU_CHUNK", 7 * 4 * 3 * 24 * 24)
    monkeypatch.setattr(prepared, "ONCE", 0)
    assert same(trained(spec, environment, tmp_path / "streamed"), whole)
    monkeypatch.setattr(folders, "BUDGET", 0)
    environment = type(environment)(tmp_path / "other data")
    assert same(trained(spec, environment, tmp_path / "encoded"), whole)
    assert image_folder(environment, path=spec["base"]["dataset"]["path"]).load().train.images.files[0].pixels is None
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    assert same(trained(spec, environment, tmp_path / "by Pillow"), whole)


def test_what_is_trained_on_is_what_torchvision_makes_of_the_files(spec, environment, folder):
    """Each image of an epoch: Pillow's pixels, the window that is drawn for it, and torchvision's crop."""
    cell = cell_of(spec, environment)
    loaded = data.load(default(), cell.recipe, cell.seed, environment, CPU)
    pipeline, _ = pipelines(default(), cell.recipe, 2)
    part = prepared.prepare(loaded.train, pipeline, cell.recipe, "train_transforms", cell.seed)
    assert list(part.pipeline.transforms) == ["flip", "normalize"]
    images, labels = part.chunk(1, 0, torch.arange(20))
    assert images.is_contiguous(memory_format=torch.channels_last)
    files = [path for name in ("cat", "dog") for path in sorted((folder / "train" / name).iterdir())]
    assert labels.tolist() == [0] * 10 + [1] * 10
    for place, path in enumerate(files):
        with Image.open(path) as opened:
            turned = opened.transpose(Image.Transpose.ROTATE_270) if path.name == "2.jpg" else opened
            pixels = torch.from_numpy(np.array(turned.convert("RGB"))).permute(2, 0, 1)
        crop = pipeline.transforms["crop"]
        (window,) = crop.choose(*pixels.shape[1:], 1, generator(cell.seed, "train/crop", 1, place))
        expected = F.resized_crop(pixels, window.top, window.left, window.height, window.width, [24, 24], antialias=True)
        if loaded.train.images.scale(place, (window.height, window.width), (24, 24)) == 1:
            assert torch.equal(images[place], expected), path
        else:
            assert path.name == "4.jpg", "the large ones alone are decoded smaller"
            assert (images[place].float() - expected.float()).abs().mean() < 4


def test_draws_differ_between_images_and_epochs(spec, environment):
    cell = cell_of(spec, environment)
    loaded = data.load(default(), cell.recipe, cell.seed, environment, CPU)
    pipeline, _ = pipelines(default(), cell.recipe, 2)
    frame = ahead.Frame(loaded.train.images, pipeline.head(), 0)
    assert not torch.equal(frame(0, 0), frame(1, 0))
    assert torch.equal(frame(1, 0), frame(1, 0))


def interrupted(spec, environment, place, stops):
    """The result of a training that is stopped after so many batches each time."""
    for stop in stops:
        left = iter([False] * (stop - 1))
        with pytest.raises(Interrupted):
            trained(spec, environment, place, should_stop=lambda left=left: next(left, True))
    return trained(spec, environment, place)


def test_samplers_and_sizes_that_follow_the_epoch(spec, environment, tmp_path, own):
    """No image is decoded for an epoch that has not begun, where that epoch is told or asked something first."""
    spec["base"]["train_transforms"]["crop"] = {"use": "growing_frame"}
    spec["base"] |= {"step": {"use": "two_views"}, "sampler": {"use": "every_other"}, "epochs": 3}
    spec["base"]["model"] = {"use": "deep"}
    whole = trained(spec, environment, tmp_path / "whole")
    batches = [one for one in own.SEEN if len(one) == 4]
    assert [len({place for epoch, places, *_ in batches if epoch == n for place in places}) for n in range(3)] == [10, 9, 8]
    assert [{images.shape[-1] for epoch, _, images, _ in batches if epoch == n} for n in range(3)] == [{8}, {12}, {16}]
    assert same(interrupted(spec, environment, tmp_path / "parts", [1, 5, 2]), whole)


def test_a_second_view_has_draws_of_its_own(spec, environment, tmp_path, own):
    spec["base"]["step"] = {"use": "two_views"}
    whole = trained(spec, environment, tmp_path / "whole")
    first = own.SEEN[:]
    assert all(images.shape == view.shape and not torch.equal(images, view) for _, _, images, view in first)
    own.SEEN.clear()
    assert same(interrupted(spec, environment, tmp_path / "parts", [8]), whole)
    _, places, _, view = own.SEEN[-1]
    assert places == first[-1][1]
    assert torch.equal(view, first[-1][3])


def test_an_image_that_comes_again_in_an_epoch_has_other_draws(spec, environment, tmp_path, own):
    """As a sampler that balances classes has it; the images of an epoch that sees each once are as without one."""
    assert ahead.numbered(torch.tensor([3, 1, 3, 0, 3, 1]), 20).tolist() == [3, 1, 23, 0, 43, 21]
    spec["base"] |= {"step": {"use": "two_views"}, "sampler": {"use": "many"}, "epochs": 1}
    whole = trained(spec, environment, tmp_path / "whole")
    seen = {}
    for _, places, images, _ in own.SEEN:
        for place, image in zip(places, images, strict=True):
            seen.setdefault(place, []).append(image)
    again = [images for images in seen.values() if len(images) > 1]
    assert len(again) > 5
    assert all(not torch.equal(one, images[0]) for images in again for one in images[1:])
    assert same(interrupted(spec, environment, tmp_path / "parts", [9]), whole)
    spec["base"]["sampler"] = {"use": "shuffled"}
    shuffled = trained(spec, environment, tmp_path / "shuffled")
    del spec["base"]["sampler"]
    assert same(trained(spec, environment, tmp_path / "none"), shuffled)


def test_a_metric_gets_the_images_where_they_are_in_memory(spec, environment, tmp_path, own, monkeypatch):
    spec["base"]["metrics"] = {"accuracy": {"use": "accuracy"}, "sharpness": {"use": "sharpness"}}
    cell = cell_of(spec, environment)
    assert list(preflight(default(), cell.recipe, environment, CPU)) == []
    assert trained(spec, environment, tmp_path / "kept").metrics["sharpness"] > 0
    monkeypatch.setattr(prepared, "ONCE", 0)
    (problem,) = preflight(default(), cell.recipe, environment, CPU)
    assert problem.path == "metrics.sharpness"
    assert problem.message.startswith("it asks for the evaluated images, and these are photographs that are too many to be kept")


def test_a_kept_model_says_of_files_what_it_said_in_its_training(spec, environment, tmp_path, folder):
    spec["base"]["metrics"] = {"accuracy": {"use": "accuracy"}, "loss": {"use": "loss"}}
    cell, file = cell_of(spec, environment), tmp_path / "weights"
    result = trained(spec, environment, tmp_path / "cell", weights=file)
    model = restored(default(), cell, file, result.kept_sha256, CPU)
    loaded = data.load(default(), cell.recipe, cell.seed, environment, CPU)
    part = prepared.prepare(loaded.evaluation, model.pipeline, cell.recipe, "eval_transforms", cell.seed)
    found = model.measured(default(), cell.recipe, part)
    assert {name: found[name] for name in result.metrics} == result.metrics
    said = unpacked(decoded(result.predictions))
    told = list(predicted(model, folder / "test", lambda said: None))
    assert [one.class_name for one in told] == [said.class_names[answer] for answer in said.answers]
    assert [one.probability for one in told] == pytest.approx(said.confidence, abs=1 / 65535)


def jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    return file.getvalue()


@pytest.mark.parametrize("form", [(480, 640), (479, 641), (333, 1000)])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_a_smaller_decoding_is_the_same_by_both_decoders_and_looks_the_same(form, scale):
    from ablate.images import decode

    content = jpeg(picture(*form, 3))
    pillow = decode(content, "it", 3, scale=scale)
    assert pillow.shape == (3, *(-(-side // scale) for side in form))
    full = torch.from_numpy(decode(content, "it", 3).copy())
    smaller = F.resize(full, list(pillow.shape[1:]), antialias=True)
    assert (smaller.float() - torch.from_numpy(pillow.copy()).float()).abs().mean() < 3
    pytest.importorskip("simplejpeg")
    assert np.array_equal(photographs.fast_decoded(content, 3, scale), pillow)


@pytest.mark.parametrize(
    ("part", "wanted", "scale"), [((448, 900), (224, 224), 1), ((900, 896), (224, 224), 2), ((8000, 3600), (224, 224), 8)]
)
def test_a_jpeg_file_is_decoded_smaller_where_twice_the_pixels_are_left(part, wanted, scale):
    index = np.array([[0, 0, 9000, 9000, kind, 0, 0] for kind in (photographs.JPEG, photographs.OTHER)])
    images = Photographs(3, index, ())
    assert images.scale(0, part, wanted) == scale
    assert images.scale(1, part, wanted) == 1


def test_images_that_keep_their_sizes_are_said_to(environment, folder, monkeypatch):
    handle = image_folder(environment, path=str(folder))
    assert handle.notices()[-1].endswith("within the 2 GiB up to which they are kept decoded in the cache")
    monkeypatch.setattr(folders, "BUDGET", 1 << 20)
    assert "are decoded again in every epoch" in handle.notices()[-1]


def test_images_of_one_size_are_tensors_unless_they_are_too_many(environment, folder, monkeypatch):
    for path in folder.rglob("*.*"):
        path.unlink()
    for index, place in enumerate(sorted(path for path in folder.rglob("*") if path.parent.name in ("train", "test"))):
        picture(12, 16, index).save(place / "0.png")
    handle = image_folder(environment, path=str(folder))
    before = handle.fingerprint()
    assert handle.load().train.images.shape == (2, 3, 12, 16)
    monkeypatch.setattr(folders, "BUDGET", 4 * 3 * 12 * 16 - 1)
    assert isinstance(handle.load().train.images, Photographs)
    assert handle.fingerprint() != before, "their draws are others, and so are the cells"


def test_parts_of_photographs_keep_their_labels(environment, folder):
    whole = image_folder(environment, path=str(folder)).load()
    parted = image_folder(environment, path=str(folder), validation=0.2, limit=6).load()
    assert (len(parted.train.images), len(parted.validation.images), len(parted.test.images)) == (6, 4, 6)
    known = {bytes(image): label for image, label in zip(whole.train.images, whole.train.labels, strict=True)}
    for split in (parted.train, parted.validation):
        assert [known[bytes(image)] for image in split.images] == split.labels.tolist()


def test_a_damaged_file_is_named_before_anything_is_trained(environment, folder):
    path = folder / "train" / "cat" / "6.jpg"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(EnvironmentProblem, match=r"6\.jpg: cannot be read as an image"):
        image_folder(environment, path=str(folder)).load()


def test_damaged_records_are_told_with_the_remedy(environment, folder, monkeypatch):
    monkeypatch.setattr(folders, "BUDGET", 0)
    handle = image_folder(environment, path=str(folder))
    images = handle.load().train.images
    encoded = images.files[0].folder / photographs.RECORDS
    encoded.write_bytes(bytes(encoded.stat().st_size))
    with pytest.raises(DiskProblem, match=r"the record at byte 0: cannot be read as an image.* Delete .*, and it is made again"):
        images.decoded(0)
    encoded.write_bytes(b"")
    with pytest.raises(DiskProblem, match=r"are not those of the index\. Delete .*, and they are made again"):
        handle.load()


def test_a_record_whose_pixels_are_damaged_is_not_decoded_to_others(tmp_path):
    """Pillow fills what it cannot read with grey, and says nothing; simplejpeg had read the file when it was written."""
    pytest.importorskip("simplejpeg")
    content = bytearray(jpeg(picture(200, 300, 1)))
    recorded.write(tmp_path / "part", [0], [("it", bytes(content))], 3, decoded=False)
    half = len(content) // 2
    content[half : half + 500] = bytes(500)
    (tmp_path / "part" / photographs.RECORDS).write_bytes(content)
    with pytest.raises(DiskProblem, match=r"the record at byte 0: cannot be read as an image: .*Delete .*, and it is made again"):
        recorded.recorded(tmp_path / "part").images.decoded(0)


def found(recipe: Recipe, environment) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in preflight(default(), recipe, environment, CPU)]


def test_the_trial_accepts_what_works_and_tells_what_is_missing(spec, environment):
    assert found(cell_of(spec, environment).recipe, environment) == []
    spec["base"]["train_transforms"] = {"normalize": NORMALIZE}
    ((path, message),) = found(cell_of(spec, environment).recipe, environment)
    assert path == "train_transforms"
    assert "no transform gives them one: begin with" in message
    spec["base"]["train_transforms"] = {"crop": {"use": "random_crop", "size": 50}, "normalize": NORMALIZE}
    ((path, message),) = found(cell_of(spec, environment).recipe, environment)
    assert path == "train_transforms.crop"
    assert "are smaller than the crop of 50×50" in message


def test_grey_photographs_for_a_model_of_three_channels_have_the_hint(spec, environment):
    spec["base"]["dataset"]["channels"] = 1
    spec["base"]["train_transforms"]["jitter"] = {"use": "three_augment"}
    spec["base"]["train_transforms"] = {name: spec["base"]["train_transforms"][name] for name in ("crop", "jitter", "normalize")}
    (problem,) = preflight(default(), cell_of(spec, environment).recipe, environment, CPU)
    assert problem.hint == 'The images have 1 channel, and with 3 it works. Give the dataset "channels": 3.'
