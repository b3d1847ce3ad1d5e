"""Where the split is by seed, every seed shares out the images to the parts anew, and all variants of a seed alike."""

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.engine import data
from ablate.engine.data import Part, shared_out
from ablate.engine.preflight import preflight
from ablate.engine.train import train
from ablate.errors import EnvironmentProblem, checked
from ablate.plan import make_cells, make_plan
from ablate.registry import default
from ablate.spec import load
from ablate.spec.trainer import Controls

CPU = torch.device("cpu")
BY_SEED = ('base.split="by_seed"', "base.dataset.validation=0.2")


def numbered(labels: list[int], first: int) -> Part:
    """Images that are their own number, of one class in ten."""
    numbers = torch.arange(first, first + len(labels), dtype=torch.uint8)
    return Part(numbers[:, None, None, None].expand(-1, 1, 2, 2), torch.tensor(labels))


PARTS = [numbered([0, 0, 0, 1, 1, 2], 0), numbered([0, 1, 2, 2], 6), numbered([2, 0], 10)]
CLASSES = torch.cat([part.labels for part in PARTS])


def numbers(parts):
    return [part.images[:, 0, 0, 0].tolist() for part in parts]


def test_the_parts_of_a_seed_are_always_these():
    """Stored results were made with them."""
    assert numbers(shared_out(PARTS, 0)) == [[6, 2, 11, 7, 3, 5], [0, 4, 8, 10], [9, 1]]


def test_every_image_is_in_one_part_under_its_own_label():
    for seed in range(20):
        found = shared_out(PARTS, seed)
        assert sorted(chain(*numbers(found))) == list(range(12))
        for part, own in zip(found, PARTS, strict=True):
            assert part.labels.tolist() == own.labels.tolist() == CLASSES[part.images[:, 0, 0, 0].long()].tolist()
            assert (part.images == part.images[:, :, :1, :1]).all()


def test_every_image_of_a_class_is_tested_as_often():
    """Of class 0 one of five images is in the second part, of class 1 one of three, of class 2 two of four."""
    seeds = 2000
    counts = Counter(number for seed in range(seeds) for number in numbers(shared_out(PARTS, seed))[1])
    for number, label in enumerate(CLASSES.tolist()):
        share = {0: 1 / 5, 1: 1 / 3, 2: 2 / 4}[label]
        assert counts[number] / seeds == pytest.approx(share, abs=4 * (share * (1 - share) / seeds) ** 0.5)


def cells(spec, environment, *overrides):
    return [planned.cell for planned in make_cells(make_plan(load(spec, overrides), default()), default(), environment, "cpu")]


def loaded(cell, environment):
    return data.load(default(), cell.recipe, cell.seed, environment, CPU, cell.identity["data"])


def same(one: Part, other: Part) -> bool:
    return torch.equal(one.images, other.images)


def test_all_variants_of_a_seed_have_its_parts(spec, environment):
    first, other, second, _ = cells(spec, environment, *BY_SEED)
    assert (first.seed, other.seed, second.seed) == (0, 0, 1)
    own = loaded(cells(spec, environment, BY_SEED[1])[0], environment)
    parts = [loaded(cell, environment) for cell in (first, other, second)]
    for name in ("train", "evaluation", "test"):
        assert getattr(parts[0], name) is getattr(parts[1], name), "loaded once a seed"
        assert not same(getattr(parts[0], name), getattr(parts[2], name))
        assert not same(getattr(parts[0], name), getattr(own, name))
        assert torch.equal(getattr(parts[0], name).labels, getattr(own, name).labels)
    assert same(loaded(first, environment).test, parts[0].test)


def test_what_is_validated_on_is_neither_trained_on_nor_tested(spec, environment):
    cell = cells(spec, environment, *BY_SEED, 'base.eval_split="validation"')[0]
    found = loaded(cell, environment)
    own = loaded(cells(spec, environment, BY_SEED[1], 'base.eval_split="validation"')[0], environment)
    everything = [torch.cat([of.train.images, of.evaluation.images, of.test.images]) for of in (found, own)]
    assert same(*(Part(torch.unique(images, dim=0), CLASSES) for images in everything))
    assert Counter(map(bytes, everything[0].numpy())) == Counter(map(bytes, everything[1].numpy())), "each image once"


def test_a_cell_is_told_on_the_parts_of_its_seed(spec, environment, tmp_path, monkeypatch):
    """Its own number of images, and other results where the test images of its seed are others."""
    cell = cells(spec, environment, *BY_SEED)[0]
    before = train(default(), cell, environment, CPU, Controls(tmp_path / "one"))
    assert before.evaluated_images == len(loaded(cell, environment).test.labels)
    again = train(default(), cell, environment, CPU, Controls(tmp_path / "again"))
    assert (again.metrics, again.weights_sha256) == (before.metrics, before.weights_sha256)
    without = train(default(), cells(spec, environment, BY_SEED[1])[0], environment, CPU, Controls(tmp_path / "other"))
    assert without.weights_sha256 != before.weights_sha256


def test_data_that_changed_is_refused(spec, environment):
    cell = cells(spec, environment, *BY_SEED)[0]
    with pytest.raises(EnvironmentProblem, match="was changed while the study ran"):
        data.load(default(), cell.recipe, cell.seed, environment, CPU, "0" * 64)


def test_copies_are_told_that_may_come_to_stand_on_both_sides(spec, environment, tmp_path):
    """Three equal images and a pair, within one part and over both."""
    grey = iter(range(10, 250, 10))
    for part, of_class, values in (("train", "a", (1, 1, next(grey), next(grey))), ("train", "b", (2, next(grey), next(grey)))):
        write(tmp_path / part / of_class, values)
    write(tmp_path / "test" / "a", (1, next(grey)))
    write(tmp_path / "test" / "b", (2, next(grey)))
    spec["base"]["dataset"] = {"use": "image_folder", "path": str(tmp_path), "channels": 1}

    def told(*overrides):
        recipe = cells(spec, environment, "base.batch_size=4", *overrides)[0].recipe
        notices, found = checked(preflight(default(), recipe, environment, CPU))
        assert found == []
        return [(notice.path, notice.message) for notice in notices]

    message = "5 images are there more than once, and every seed may train on one copy and test another"
    assert told('base.split="by_seed"') == [("split", message)]
    assert told() == []


def write(folder, values):
    folder.mkdir(parents=True)
    for number, value in enumerate(values):
        Image.new("L", (16, 16), value).save(folder / f"{number}.png")


@pytest.fixture
def photographs(spec, tmp_path):
    """A study of images of several sizes: no two alike, but for two copies of a file."""
    draws = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3)):
        for name in ("a", "b"):
            folder = tmp_path / "photographs" / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                shape = (20 + number, 30 - number, 3)
                Image.fromarray(draws.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "photographs" / "test" / "a" / "copy.png").write_bytes((folder.parent / "a" / "0.png").read_bytes())
    crop = {"use": "random_resized_crop", "size": 16}
    spec["base"]["dataset"] = {"use": "image_folder", "path": str(tmp_path / "photographs"), "channels": 3, "validation": 0.34}
    spec["base"]["train_transforms"] = {"frame": crop, **spec["base"]["train_transforms"]}
    spec["base"]["eval_transforms"] = {"frame": {"use": "resize", "size": [16, 16]}, **spec["base"]["eval_transforms"]}
    spec["base"]["batch_size"] = 4
    return spec


def contents(found: data.Tensors) -> list[list[tuple[bytes, int]]]:
    """The pixels and the label of each image, part for part."""
    parts = (found.train, found.evaluation, found.test)
    return [[(bytes(image), int(label)) for image, label in zip(of.images, of.labels, strict=True)] for of in parts]


def test_photographs_are_shared_out_too(photographs, environment, tmp_path):
    """Each once, under its own label, whichever file of the cache it lies in; and trained on as those of the parts are."""
    own = contents(loaded(cells(photographs, environment, 'base.eval_split="validation"')[0], environment))
    first, _, second, _ = cells(photographs, environment, BY_SEED[0], 'base.eval_split="validation"')
    found = [contents(loaded(cell, environment)) for cell in (first, second)]
    for parts in found:
        assert [len(part) for part in parts] == [len(part) for part in own] == [7, 5, 7]
        assert Counter(chain(*parts)) == Counter(chain(*own))
        assert parts != own
    assert found[0] != found[1]
    results = [train(default(), first, environment, CPU, Controls(tmp_path / name)) for name in ("one", "again")]
    assert results[0].weights_sha256 == results[1].weights_sha256


def test_copies_of_photographs_are_told(photographs, environment):
    recipe = cells(photographs, environment, BY_SEED[0])[0].recipe
    notices, found = checked(preflight(default(), recipe, environment, CPU))
    assert found == []
    assert ("split", "2 images are there more than once, and every seed may train on one copy and test another") in [
        (notice.path, notice.message) for notice in notices
    ]
