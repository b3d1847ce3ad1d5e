"""Each transform against torchvision's per-image version, and every image's draw against the others'."""

import math
from contextlib import suppress

import pytest
import torch
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from ablate.components.transforms import basic, color, framing, mixing, normalize, per_image, policies, random
from ablate.registry import default

SINGLE = {  # every random transform of the core with settings under which it changes most images
    "random_horizontal_flip": random.random_horizontal_flip,
    "random_crop": lambda: random.random_crop(size=32, padding=4),
    "random_rotation": lambda: random.random_rotation(degrees=30),
    "random_erasing": lambda: random.random_erasing(p=0.9),
    "color_jitter": lambda: color.color_jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1),
    "random_apply": lambda: random.random_apply(transforms={"flip": random.random_horizontal_flip(p=1)}),
    "auto_augment": policies.auto_augment,
    "auto_augment_imagenet": lambda: policies.auto_augment(policy="imagenet"),
    "rand_augment": policies.rand_augment,
    "trivial_augment": policies.trivial_augment,
    "augmix": policies.augmix,
    "torchvision": lambda: per_image.torchvision(name="RandomAffine", arguments={"degrees": 20}),
}


@pytest.mark.parametrize("make", SINGLE.values(), ids=SINGLE)
def test_every_image_has_a_draw_of_its_own(make):
    """Sixty-four copies of one image do not all become the same image."""
    ramp = torch.arange(1024, dtype=torch.float32).view(32, 32) / 1023
    image = torch.stack([ramp, ramp.T, (ramp + ramp.T) / 2]).mul(255).to(torch.uint8)
    out = make()(image.expand(64, -1, -1, -1).contiguous(), torch.Generator().manual_seed(3))
    distinct = {bytes(one.numpy().tobytes()) for one in out}
    assert len(distinct) >= 2
    if "flip" not in str(make) and make not in (SINGLE["random_horizontal_flip"], SINGLE["random_apply"]):
        assert len(distinct) > 5


@pytest.mark.parametrize("make", SINGLE.values(), ids=SINGLE)
def test_the_generator_alone_decides(make, images):
    before = images.clone()
    torch.manual_seed(1)
    one = make()(images, torch.Generator().manual_seed(5))
    torch.manual_seed(2)
    state = torch.random.get_rng_state()
    other = make()(images, torch.Generator().manual_seed(5))
    assert torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(images, before), "the input was changed"
    assert one.dtype == torch.uint8


def test_random_apply_with_nothing_chosen_changes_nothing(images, rng):
    rotation = random.random_rotation(degrees=9)
    assert torch.equal(random.random_apply(transforms={"r": rotation}, p=0)(images, rng), images)


def test_normalize_is_torchvisions(images, rng):
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]
    expected = torch.stack([F.normalize(F.to_dtype(image, torch.float32, scale=True), mean, std) for image in images])
    transform = normalize.normalize(mean=mean, std=std)
    torch.testing.assert_close(transform(images, rng), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(transform(images.float() / 255, rng), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (basic.grayscale(channels=3), v2.Grayscale(3)),
        (framing.resize(size=20), v2.Resize(20)),
        (framing.resize(size=(40, 24), interpolation="bicubic"), v2.Resize((40, 24), InterpolationMode.BICUBIC)),
        (basic.center_crop(size=20), v2.CenterCrop(20)),
        (basic.pad(padding=3, mode="reflect"), v2.Pad(3, padding_mode="reflect")),
        (basic.pad(padding=(1, 2), fill=7), v2.Pad((1, 2), fill=7)),
    ],
)
def test_fixed_transforms_are_torchvisions(ours, theirs, images, rng):
    assert torch.equal(ours(images, rng), torch.stack([theirs(image) for image in images]))


def test_flips_are_the_image_or_its_mirror(images, rng):
    out = random.random_horizontal_flip(p=0.5)(images, rng)
    flipped = [torch.equal(new, F.horizontal_flip(old)) for new, old in zip(out, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(out, images, strict=True)]
    assert [a != b for a, b in zip(flipped, kept, strict=True)] == [True] * 64
    assert 15 < sum(flipped) < 49


def test_crops_are_all_the_crops_of_torchvision(images, rng):
    out = random.random_crop(size=32, padding=2)(images[:1].expand(2000, -1, -1, -1), rng)
    padded = F.pad(images[0], [2])
    possible = {bytes(F.crop(padded, y, x, 32, 32).numpy().tobytes()) for y in range(5) for x in range(5)}
    assert {bytes(one.numpy().tobytes()) for one in out} == possible


def test_a_crop_larger_than_the_image_says_so(images, rng):
    with pytest.raises(ValueError, match="32×32 are smaller than the crop of 40×40"):
        random.random_crop(size=40)(images, rng)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_rotations_are_torchvisions(images, interpolation):
    """The angles are drawn again from the same generator, and each image is rotated by torchvision."""
    out = random.random_rotation(degrees=40, interpolation=interpolation)(images, torch.Generator().manual_seed(9))
    angles = (torch.rand(64, generator=torch.Generator().manual_seed(9)) * 2 - 1) * 40
    mode = InterpolationMode(interpolation)
    expected = torch.stack([F.rotate(i, -a, interpolation=mode) for i, a in zip(images, angles.tolist(), strict=True)])
    same = (out.int() - expected.int()).abs() <= 1
    other = torch.stack([F.rotate(i, a, interpolation=mode) for i, a in zip(images, angles.tolist(), strict=True)])
    assert max(same.float().mean(), ((out.int() - other.int()).abs() <= 1).float().mean()) > 0.99


@pytest.mark.parametrize("operation", range(4))
def test_each_part_of_color_jitter_is_torchvisions(images, operation):
    factors = torch.linspace(-0.3, 0.3, 64) if operation == 3 else torch.linspace(0.5, 1.5, 64)
    kernel = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)[operation]
    expected = torch.stack([kernel(i, f) for i, f in zip(images, factors.tolist(), strict=True)])
    assert (color.adjusted(images, operation, factors).int() - expected.int()).abs().max() <= 1


def test_erased_rectangles_have_the_area_and_ratio_asked_for(rng):
    images = torch.full((4000, 1, 32, 32), 9, dtype=torch.uint8)
    out = random.random_erasing(p=0.5, scale=(0.1, 0.3), ratio=(0.5, 2.0))(images, rng)
    erased = (out == 0).flatten(1)
    chosen = erased.any(1)
    assert 0.46 < chosen.float().mean() < 0.54
    areas = erased[chosen].float().mean(1)
    assert 0.08 < areas.min() <= areas.max() < 0.33
    rows, columns = ((out[chosen, 0] == 0).any(dimension).sum(1) for dimension in (2, 1))
    assert torch.equal(rows * columns, erased[chosen].sum(1)), "what is erased is a rectangle"
    reference = torch.stack([v2.RandomErasing(1.0, (0.1, 0.3), (0.5, 2.0))(image) for image in images[:1000]])
    assert abs(areas.mean() - (reference == 0).float().mean()) < 0.01


@pytest.mark.parametrize("name", ["auto_augment", "rand_augment", "trivial_augment", "augmix"])
def test_policies_say_where_they_belong(name, images, rng):
    with pytest.raises(TypeError, match="put it before normalize"):
        SINGLE[name]()(images.float(), rng)


CASES = [
    (v2.AutoAugment(), "Invert", policies.operation_space(10, 0.3, (150, 331), 30, 0.9, (8, 4), "Invert"), 10),
    (
        v2.RandAugment(),
        "Identity",
        [policies.Operation("Identity"), *policies.operation_space(31, 0.3, (150, 331), 30, 0.9, (8, 4))],
        31,
    ),
    (
        v2.TrivialAugmentWide(),
        "Identity",
        [policies.Operation("Identity"), *policies.operation_space(31, 0.99, 32.0, 135, 0.99, (8, 6))],
        31,
    ),
    (v2.AugMix(), "Rotate", policies.operation_space(10, 0.3, (1, 3), 30, 0.9, (4, 4)), 10),
]


@pytest.mark.slower
@pytest.mark.parametrize(("theirs", "name", "ours", "bins"), CASES, ids=["auto", "rand", "trivial", "augmix"])
def test_operations_and_magnitudes_are_torchvisions(theirs, name, ours, bins, images):
    """Every operation of the space, at its weakest and strongest: same names, magnitudes, signs and pixels."""
    space = theirs._AUGMENTATION_SPACE
    assert {op.name for op in ours} == set(space)
    assert name in space
    for op in ours:
        magnitudes, signed = space[op.name]
        expected = magnitudes(bins, 24, 32)
        assert op.signed == signed
        assert (op.magnitudes is None) == (expected is None), op.name
        for level in (0, bins - 1):
            value = 0.0 if expected is None else float(expected[level])
            own = 0.0 if op.magnitudes is None else float(op.magnitudes(24, 32)[level])
            assert math.isclose(own, value * (255 if op.name == "Solarize" else 1), rel_tol=1e-5, abs_tol=1e-6), op.name
            fill = theirs._fill
            reference = [
                theirs._apply_image_or_video_transform(i, op.name, value, InterpolationMode.NEAREST, fill) for i in images
            ]
            assert torch.equal(policies.operated(images, op.name, own, "nearest"), torch.stack(reference)), op.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "theirs"), [("cifar10", v2.AutoAugmentPolicy.CIFAR10), ("imagenet", v2.AutoAugmentPolicy.IMAGENET)]
)
def test_auto_augment_is_distributed_like_torchvisions(policy, theirs, images):
    """Moments of the pixels over many draws of one image, ours against torchvision's per image."""
    many = images[:1].expand(6000, -1, -1, -1)
    ours = policies.auto_augment(policy=policy)(many, torch.Generator().manual_seed(0)).float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transform = v2.AutoAugment(theirs)
        expected = torch.stack([transform(image) for image in many]).float()
    assert abs(ours.mean() - expected.mean()) < 2.5
    assert abs(ours.std() - expected.std()) < 2.5
    unchanged = [(x == many.float()).flatten(1).all(1).float().mean().item() for x in (ours, expected)]
    assert abs(unchanged[0] - unchanged[1]) < 0.03


@pytest.mark.slow
def test_augmix_is_distributed_like_torchvisions(images):
    many = images[:1].expand(1500, -1, -1, -1)
    ours = policies.augmix()(many, torch.Generator().manual_seed(0)).float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transform = v2.AugMix()
        expected = torch.stack([transform(image) for image in many]).float()
    distance = [(x - many.float()).abs().mean((1, 2, 3)) for x in (ours, expected)]
    assert abs(distance[0].mean() - distance[1].mean()) < 1.0
    assert abs(distance[0].std() - distance[1].std()) < 1.0


@pytest.mark.parametrize("make", [mixing.mixup, mixing.cutmix])
def test_mixing_keeps_the_sum_of_labels_and_mixes_images_alike(make, rng):
    """Image k is filled with the number k, so the mean of a mixed image tells its label's weights."""
    classes = torch.arange(32)
    images = classes.float()[:, None, None, None].expand(-1, 1, 32, 32).contiguous()
    mixed, targets = make(alpha=1.0).mix(images, torch.eye(32), rng)
    torch.testing.assert_close(targets.sum(1), torch.ones(32))
    torch.testing.assert_close(mixed.mean((1, 2, 3)), targets @ classes.float(), rtol=1e-4, atol=1e-3)
    assert len({round(value, 4) for value in targets.max(1).values.tolist()}) > 10, "each image has a weight of its own"


def test_mixing_with_probability_zero_changes_nothing(images, rng):
    mixed, targets = mixing.cutmix(p=0).mix(images, torch.eye(64), rng)
    assert torch.equal(mixed, images)
    assert torch.equal(targets, torch.eye(64))


def test_random_apply_refuses_a_transform_that_changes_the_form(images, rng):
    with pytest.raises(ValueError, match="has to keep both"):
        random.random_apply(transforms={"pad": basic.pad(padding=1)})(images, rng)


def test_any_torchvision_transform_is_available(images, rng):
    from ablate.registry import build

    spec = {"use": "torchvision", "name": "RandomSolarize", "arguments": {"threshold": 100, "p": 1.0}}
    out = build(default(), "transform", spec)(images, rng)
    assert torch.equal(out, F.solarize(images, 100))


ARGUMENTS = {
    "CenterCrop": {"size": 8},
    "GaussianBlur": {"kernel_size": 3},
    "JPEG": {"quality": [50, 90]},
    "Normalize": {"mean": [0.5], "std": [0.5]},
    "Pad": {"padding": 1},
    "RandomAdjustSharpness": {"sharpness_factor": 2.0},
    "RandomAffine": {"degrees": 10},
    "RandomCrop": {"size": 8},
    "RandomPosterize": {"bits": 3},
    "RandomResizedCrop": {"size": [8, 8]},
    "RandomRotation": {"degrees": 10},
    "RandomShortestSize": {"min_size": 8},
    "RandomSolarize": {"threshold": 0.5},
    "Resize": {"size": 8},
}


@pytest.mark.parametrize("name", per_image.names_of_torchvision())
def test_every_offered_transform_of_torchvision_works_on_tensors(name, images):
    transform = per_image.torchvision(name=name, arguments=ARGUMENTS.get(name, {}))
    forms = []
    for given in (images[:4], images[:4].float() / 255):
        with suppress(TypeError, RuntimeError, ValueError):  # some take one of the two alone
            out = transform(given, torch.Generator().manual_seed(0))
            forms.append(out.shape[0] == 4 and out.ndim == 4)
    assert forms
    assert all(forms)


def test_what_is_left_out_of_torchvisions_transforms_exists():
    assert [name for name in per_image.LEFT_OUT if not hasattr(v2, name)] == []
    assert not set(per_image.LEFT_OUT) & set(per_image.names_of_torchvision())
