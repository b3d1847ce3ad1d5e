"""Masks go through each transform with their images: as torchvision's `Mask` does with the parameters that were drawn."""

import pytest
import torch
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from ablate.components.transforms import basic, color, filters, framing, geometry, mixing, per_image, policies, random
from ablate.engine.branches import try_transforms
from ablate.engine.build import PartError
from ablate.engine.masks import as_images, as_labels, together
from ablate.engine.pipeline import Pipeline, TransformError
from ablate.errors import checked
from ablate.plugin import build, default, moves_masks, photometric
from ablate.spec.recipe import resolve_component

COUNT = 24
SIZE = (30, 40)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def masks() -> torch.Tensor:
    """int64 `[24, 1, 30, 40]`: patches of six classes from 1 on, and of 0, which does not count."""
    patches = torch.randint(7, (COUNT, 1, 6, 8), generator=torch.Generator().manual_seed(1))
    return patches.repeat_interleave(5, 2).repeat_interleave(5, 3)


@pytest.fixture
def pixels(masks) -> torch.Tensor:
    """Images that say the same as the masks: uint8 `[24, 3, 30, 40]`."""
    return masks.expand(-1, 3, -1, -1).to(torch.uint8)


NEAREST = {  # what only moves pixels, to nearest ones, and fills with 0: images that are masks come out as the masks do
    "random_horizontal_flip": random.random_horizontal_flip,
    "random_vertical_flip": random.random_vertical_flip,
    "random_crop": lambda: random.random_crop(size=32, padding=6),
    "random_rotation": lambda: random.random_rotation(degrees=40),
    "random_affine": lambda: geometry.random_affine(degrees=30, translate=(0.2, 0.1), scale=(0.7, 1.4), shear=(10, 10)),
    "random_perspective": lambda: geometry.random_perspective(interpolation="nearest"),
    "random_resized_crop": lambda: framing.random_resized_crop(size=(20, 24), interpolation="nearest"),
    "resize": lambda: framing.resize(size=17, interpolation="nearest"),
    "center_crop": lambda: basic.center_crop(size=(20, 50)),
    "pad": lambda: basic.pad(padding=(2, 5)),
    "pad reflect": lambda: basic.pad(padding=3, mode="reflect"),
    "pad edge": lambda: basic.pad(padding=3, mode="edge"),
    "pad symmetric": lambda: basic.pad(padding=3, mode="symmetric"),
    "cutmix": mixing.cutmix,
    "torchvision": lambda: per_image.torchvision(name="RandomAffine", arguments={"degrees": 20, "translate": [0.2, 0.2]}),
    "torchvision crop": lambda: per_image.torchvision(name="RandomCrop", arguments={"size": [24, 20]}),
    "random_apply": lambda: random.random_apply(
        transforms={"noise": random.random_erasing(p=0), "turn": random.random_rotation(degrees=40)}, p=0.6
    ),
}


def images_of(transform, pixels):
    """What it makes of images alone, with the draws that images and masks have in the tests."""
    if hasattr(transform, "mix"):
        return transform.mix(pixels, torch.eye(COUNT), seeded())[0]
    return transform(pixels, seeded())


@pytest.mark.parametrize("make", NEAREST.values(), ids=NEAREST)
def test_a_mask_moves_as_an_image_of_it_does(make, pixels, masks):
    images, moved = together(make(), pixels, masks, seeded())
    assert torch.equal(images, images_of(make(), pixels)), "masks change nothing of the images"
    assert torch.equal(moved, images[:, :1].long())
    assert not torch.equal(moved, masks)


BILINEAR = {  # the same masks beside images whose pixels are smoothed, or whose border has another value
    "random_rotation": lambda mode: random.random_rotation(degrees=40, interpolation=mode),
    "random_affine": lambda mode: geometry.random_affine(degrees=30, scale=(0.7, 1.4), interpolation=mode),
    "random_perspective": lambda mode: geometry.random_perspective(interpolation=mode),
    "random_resized_crop": lambda mode: framing.random_resized_crop(size=20, interpolation=mode),
    "resize": lambda mode: framing.resize(size=(20, 61), interpolation=mode),
    "pad": lambda mode: basic.pad(padding=2, fill=9 if mode == "bilinear" else 0),
    "torchvision": lambda mode: per_image.torchvision(
        name="RandomAffine", arguments={"degrees": 20, "fill": 99 if mode == "bilinear" else 0}
    ),
    "auto_augment": lambda mode: policies.auto_augment(interpolation=mode),
    "rand_augment": lambda mode: policies.rand_augment(interpolation=mode),
    "trivial_augment": lambda mode: policies.trivial_augment(interpolation=mode),
}


@pytest.mark.parametrize("make", BILINEAR.values(), ids=BILINEAR)
def test_masks_take_nearest_pixels_whatever_images_take(make, pixels, masks):
    images, smooth = together(make("bilinear"), pixels, masks, seeded())
    assert torch.equal(images, make("bilinear")(pixels, seeded()))
    _, near = together(make("nearest"), pixels, masks, seeded())
    assert torch.equal(smooth, near)


STILL = {
    "random_erasing": random.random_erasing,
    "color_jitter": lambda: color.color_jitter(brightness=0.4),
    "gaussian_blur": lambda: filters.gaussian_blur(kernel_size=3),
    "three_augment": filters.three_augment,
    "solarize": filters.solarize,
    "grayscale": basic.grayscale,
    "torchvision erasing": lambda: per_image.torchvision(name="RandomErasing", arguments={"p": 1.0}),
    "torchvision jitter": lambda: per_image.torchvision(name="ColorJitter", arguments={"brightness": 0.5}),
}


@pytest.mark.filterwarnings("ignore:RandomErasing")
@pytest.mark.parametrize("make", STILL.values(), ids=STILL)
def test_what_leaves_pixels_where_they_are_leaves_masks_alone(make, pixels, masks):
    images, still = together(make(), pixels, masks, seeded())
    assert torch.equal(images, make()(pixels, seeded()))
    assert torch.equal(still, masks)


def test_masks_are_cropped_as_torchvisions(pixels, masks):
    """With the parts that were drawn, and a fill of 0 where torchvision has to be told."""
    transform = framing.random_resized_crop(size=(20, 24))
    _, moved = together(transform, pixels, masks, seeded())
    for mask, made, w in zip(masks, moved, transform.choose(*SIZE, COUNT, seeded()), strict=True):
        theirs = F.resized_crop(tv_tensors.Mask(mask), w.top, w.left, w.height, w.width, [20, 24])
        assert torch.equal(made, theirs.as_subclass(torch.Tensor))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (framing.resize(size=20), v2.Resize(20)),
        (framing.resize(size=(45, 33), interpolation="bicubic"), v2.Resize((45, 33), InterpolationMode.BICUBIC)),
        (basic.center_crop(size=(20, 50)), v2.CenterCrop((20, 50))),
        (basic.pad(padding=3, mode="reflect"), v2.Pad(3, padding_mode="reflect")),
        (basic.pad(padding=(1, 2), fill=7), v2.Pad((1, 2), fill={tv_tensors.Mask: 0, "others": 7})),
        (random.random_horizontal_flip(p=1), v2.RandomHorizontalFlip(1)),
        (random.random_vertical_flip(p=1), v2.RandomVerticalFlip(1)),
    ],
)
def test_fixed_transforms_move_masks_as_torchvisions(ours, theirs, pixels, masks):
    images, moved = together(ours, pixels, masks, seeded())
    for image, mask, made, made_mask in zip(pixels, masks, images, moved, strict=True):
        expected, expected_mask = theirs(image, tv_tensors.Mask(mask))
        assert torch.equal(made, expected)
        assert torch.equal(made_mask, expected_mask.as_subclass(torch.Tensor))


@pytest.mark.parametrize("degrees", [11.0, -37.0])
def test_masks_turn_as_torchvisions(degrees, pixels, masks, monkeypatch):
    """`rand` gives the angle. Of pixels whose source lies between two, single ones may be the other one's."""
    monkeypatch.setattr(random, "rand", lambda count, *_: torch.full((count,), 0.5 + degrees / 100))
    _, moved = together(random.random_rotation(degrees=50, interpolation="bilinear"), pixels, masks, seeded())
    expected = F.rotate(tv_tensors.Mask(masks), -degrees).as_subclass(torch.Tensor)
    other = F.rotate(tv_tensors.Mask(masks), degrees).as_subclass(torch.Tensor)
    assert max((moved == theirs).float().mean() for theirs in (expected, other)) > 0.995


def test_geometric_operations_of_policies_are_those_of_torchvision(masks):
    """Each at its strongest: those on `Mask` for what moves pixels, and nothing else."""
    space = v2.TrivialAugmentWide()._AUGMENTATION_SPACE
    for name, (magnitudes, _) in space.items():
        value = 0.0 if (found := magnitudes(31, *SIZE)) is None else float(found[-1])
        try:
            mode = InterpolationMode.NEAREST
            theirs = v2.AutoAugment()._apply_image_or_video_transform(tv_tensors.Mask(masks), name, value, mode, {})
            moved = theirs.as_subclass(torch.Tensor)
        except TypeError:  # colours are not of masks
            moved = masks
        assert torch.equal(policies.moved_masks(masks, name, value), moved), name
        assert torch.equal(moved, masks) == (name not in policies.GEOMETRIC), name


@pytest.mark.parametrize("make", [mixing.mixup, policies.augmix])
def test_what_has_no_mask_is_refused(make, pixels, masks):
    with pytest.raises(ValueError, match="does not say how masks go along"):
        together(make(), pixels, masks, seeded())


def test_what_does_not_count_stays_so():
    labels = torch.tensor([[[0, 1], [-100, 4]]])
    assert as_images(labels).tolist() == [[[[1, 2], [0, 5]]]]
    assert torch.equal(as_labels(as_images(labels)), labels)


def test_a_pipeline_moves_masks_in_every_place_of_it(pixels, masks):
    """Also by transforms at the end that draw nothing, which classes do without in a chunk."""
    transforms = {"crop": random.random_crop(size=30, padding=4), "pad": basic.pad(padding=2)}
    labels = as_labels(masks)
    done, moved = Pipeline(transforms, "train", 6, "mask").on_chunk(pixels, labels, 0, 0, 0)
    assert moved.shape == (COUNT, 34, 34)
    assert torch.equal(as_images(moved)[:, 0], done[:, 0].long())
    assert (moved == -100).any()
    assert Pipeline(transforms, "train", 6, "mask").prefix(pixels) == []
    classes = torch.zeros(COUNT, dtype=torch.int64)
    assert Pipeline(transforms, "train", 6).on_chunk(pixels, classes, 0, 0, 0)[0].shape == (COUNT, 3, 30, 30)


def test_what_is_marked_as_photometric_keeps_the_size(pixels, masks):
    cropped = photometric(lambda images, _: images[..., 1:])
    with pytest.raises(ValueError, match="is marked as `photometric` and changes the size"):
        together(cropped, pixels, masks, seeded())


BROKEN = {
    "a float32 mask": (lambda masks, _: masks.float(), "float32"),
    "a mask of another size": (lambda masks, _: masks[..., 1:], "give int64 \\[24, 1, 30, 40\\]"),
    "a mean of classes": (lambda masks, _: masks + 1, "classes that none of them had"),
}


@pytest.mark.parametrize(("on_masks", "says"), BROKEN.values(), ids=BROKEN)
def test_masks_that_are_none_are_refused_in_words(on_masks, says, pixels, masks):
    pipeline = Pipeline({"mine": moves_masks(lambda images, _: images.flip(-1), on_masks)}, "train", 6, "mask")
    with pytest.raises(TransformError, match=says):
        pipeline.on_chunk(pixels, as_labels(masks), 0, 0, 0)


def test_what_is_refused_inside_of_another_one_is_named_by_its_place(pixels, masks):
    inside = {"turn": {"use": "random_rotation", "degrees": 9}, "mix": {"use": "augmix"}}
    spec = checked(resolve_component(default(), "transform", {"use": "random_apply", "transforms": inside}, "some"))[0]
    pipeline = Pipeline({"some": build(default(), "transform", spec)}, "train", 6, "mask")
    with pytest.raises(PartError, match="does not say how masks go along") as caught:
        try_transforms(default(), {"some": spec}, "train_transforms", pipeline, pixels, as_labels(masks))
    assert caught.value.field == "train_transforms.some.transforms.mix"
    classes = torch.zeros(COUNT, dtype=torch.int64)
    try_transforms(default(), {"some": spec}, "train_transforms", Pipeline(pipeline.transforms, "train", 6), pixels, classes)
