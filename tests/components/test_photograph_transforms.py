"""The transforms for photographs: each image against torchvision's kernel with the parameters that were drawn."""

import math

import pytest
import torch
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from ablate.components.transforms import filters, framing, geometry, normalize, random

MODES = {"nearest": InterpolationMode.NEAREST, "bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


@pytest.fixture
def wide() -> torch.Tensor:
    """Eight images of 60×90, smooth with some noise."""
    draws = torch.Generator().manual_seed(4)
    smooth = torch.nn.functional.interpolate(torch.rand(8, 3, 6, 9, generator=draws), size=(60, 90), mode="bicubic")
    return (smooth * 235 + torch.rand(8, 3, 60, 90, generator=draws) * 20).clamp(0, 255).to(torch.uint8)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(11)


def parts_of(transform: framing.Framing, height: int, width: int, count: int) -> torch.Tensor:
    """Top, left, height and width of the parts of so many images, `[count, 4]`."""
    return torch.tensor([(w.top, w.left, w.height, w.width) for w in transform.choose(height, width, count, seeded())])


def close(ours: torch.Tensor, theirs: torch.Tensor, share: float) -> None:
    """At least this share of the pixels is the same, and at most one level lies between the others."""
    difference = (ours.int() - theirs.int()).abs()
    assert difference.max() <= 1
    assert (difference == 0).float().mean() >= share


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("interpolation", MODES)
def test_random_resized_crops_are_torchvisions(wide, interpolation, antialias):
    transform = framing.random_resized_crop(size=(32, 24), interpolation=interpolation, antialias=antialias)
    out = transform(wide, seeded())
    windows = transform.choose(60, 90, 8, seeded())
    assert len(set(windows)) == 8
    for image, made, w in zip(wide, out, windows, strict=True):
        theirs = F.resized_crop(image, w.top, w.left, w.height, w.width, [32, 24], MODES[interpolation], antialias)
        assert torch.equal(made, theirs)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (400, 300), (20, 400), (400, 20)])
def test_parts_are_distributed_like_torchvisions(height, width):
    """Mean and spread of the place, the area and the shape of 4,000 parts; of an image that is too long for any of them, too."""
    ours = parts_of(framing.random_resized_crop(size=8), height, width, 4000).double()
    image = torch.empty(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.tensor(
            [list(v2.RandomResizedCrop(8).make_params([image]).values()) for _ in range(4000)], dtype=torch.float64
        )
    for sides in (ours, theirs):
        assert (sides[:, :2] >= 0).all()
        assert (sides[:, 0] + sides[:, 2] <= height).all()
        assert (sides[:, 1] + sides[:, 3] <= width).all()
    for measure in (lambda b: b[:, 0], lambda b: b[:, 1], lambda b: b[:, 2] * b[:, 3], lambda b: b[:, 3] / b[:, 2]):
        a, b = measure(ours), measure(theirs)
        error = math.sqrt((a.var() + b.var()) / 4000)
        assert abs(a.mean() - b.mean()) <= 4 * error + 1e-9
        assert abs(a.std() - b.std()) <= 4 * error + 1e-9


def test_the_scale_of_parts_is_the_one_asked_for():
    boxes = parts_of(framing.random_resized_crop(size=8, scale=(0.25, 0.5), ratio=(1.0, 1.0)), 100, 100, 1000)
    assert torch.equal(boxes[:, 2], boxes[:, 3])
    assert 50 <= boxes[:, 2].min() <= 52
    assert 69 <= boxes[:, 2].max() <= 71


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="smallest and the largest"):
        framing.random_resized_crop(size=8, scale=(1.0, 0.5))


@pytest.mark.parametrize("interpolation", MODES)
def test_a_part_of_one_image_keeps_its_memory_format_and_bits(wide, interpolation):
    transform = framing.random_resized_crop(size=(32, 24), interpolation=interpolation)
    planes = wide[:1]
    pixels = planes.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # as decoders give them
    window = framing.Window(7, 11, 40, 50, (32, 24))
    part = transform.cut(pixels, window)
    assert part.stride()[1:] == (1, 3 * 24, 3)
    assert torch.equal(part, transform.cut(planes, window))


@pytest.mark.parametrize("numbers", [1, 3])
@pytest.mark.parametrize("size", [(5, 7), (64, 48), (400, 500)])
def test_channels_last_normalizes_to_the_bits_of_planes(numbers, size):
    planes = torch.randint(0, 256, (9, 3, *size), dtype=torch.uint8, generator=seeded())
    transform = normalize.normalize(mean=[0.485, 0.456, 0.406][:numbers], std=[0.229, 0.224, 0.225][:numbers])
    made = transform(planes.contiguous(memory_format=torch.channels_last), None)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, transform(planes, None))


@pytest.mark.parametrize("flip", [random.random_horizontal_flip, random.random_vertical_flip])
@pytest.mark.parametrize("form", [torch.channels_last, torch.contiguous_format])
def test_large_images_are_flipped_like_small_ones(flip, form, monkeypatch):
    images = torch.randint(0, 256, (16, 3, 110, 100), dtype=torch.uint8, generator=seeded()).contiguous(memory_format=form)
    assert images[0].numel() >= random.LARGE
    large = flip()(images, seeded())
    monkeypatch.setattr(random, "LARGE", 1 << 30)
    assert torch.equal(large, flip()(images, seeded()))
    assert large.stride() == images.stride()


@pytest.mark.parametrize("form", [(60, 90), (90, 60), (61, 61), (37, 101)])
@pytest.mark.parametrize("size", [32, (20, 40)])
def test_resize_is_torchvisions(form, size, wide, rng):
    images = F.resize(wide, list(form))
    expected = v2.Resize(size if isinstance(size, int) else list(size))(images)
    assert torch.equal(framing.resize(size=size)(images, None), expected)


def test_vertical_flips_are_the_image_or_its_mirror(images, rng):
    out = random.random_vertical_flip()(images, rng)
    flipped = [torch.equal(new, F.vertical_flip(old)) for new, old in zip(out, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(out, images, strict=True)]
    assert [a != b for a, b in zip(flipped, kept, strict=True)] == [True] * 64
    assert 15 < sum(flipped) < 49


def draws(count: int, generator: torch.Generator, low: float, high: float) -> list[float]:
    return (low + torch.rand(count, generator=generator).double() * (high - low)).tolist()


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_affine_transforms_are_torchvisions(wide, interpolation):
    """What is drawn is drawn again, and each image changed by torchvision."""
    settings = {"degrees": 30, "translate": (0.2, 0.1), "scale": (0.8, 1.3), "shear": (15, 10)}
    out = geometry.random_affine(**settings, interpolation=interpolation)(wide, seeded())
    again = seeded()
    angles, x, y = draws(8, again, -30, 30), draws(8, again, -18, 18), draws(8, again, -6, 6)
    factors, along_x, along_y = draws(8, again, 0.8, 1.3), draws(8, again, -15, 15), draws(8, again, -10, 10)
    for i, (image, made) in enumerate(zip(wide, out, strict=True)):
        shift, shear = [round(x[i]), round(y[i])], [along_x[i], along_y[i]]
        theirs = F.affine(image, angles[i], shift, factors[i], shear, interpolation=MODES[interpolation])
        if interpolation == "bilinear":
            close(made, theirs, 0.99)
        else:  # a point in the middle of two pixels may belong to either
            assert (made == theirs).float().mean() > 0.999


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_perspectives_are_torchvisions(wide, interpolation):
    moved = torch.randint(0, 14, (8, 4, 2), generator=seeded())
    out = geometry.warped(wide, moved, interpolation)
    corners = [[0, 0], [89, 0], [89, 59], [0, 59]]
    signs = [[1, 1], [-1, 1], [-1, -1], [1, -1]]
    for image, made, by in zip(wide, out, moved.tolist(), strict=True):
        ends = [[c[k] + s[k] * b[k] for k in (0, 1)] for c, s, b in zip(corners, signs, by, strict=True)]
        theirs = F.perspective(image, corners, ends, interpolation=MODES[interpolation])
        if interpolation == "bilinear":
            close(made, theirs, 0.99)
        else:
            assert (made == theirs).float().mean() > 0.995


def test_corners_move_as_far_as_torchvisions():
    """The mean of the pixels that are black afterwards, over many draws of a white image."""
    white = torch.full((500, 1, 24, 36), 255, dtype=torch.uint8)
    ours = geometry.random_perspective(distortion_scale=0.6, p=1, interpolation="nearest")(white, seeded())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.stack([v2.RandomPerspective(0.6, 1, InterpolationMode.NEAREST)(image) for image in white])
    assert abs(ours.float().mean() - theirs.float().mean()) < 4


@pytest.mark.parametrize("size", [5, (3, 9)])
def test_blurs_are_torchvisions(wide, size):
    out = filters.gaussian_blur(kernel_size=size, sigma=(0.3, 2.5))(wide, seeded())
    sigmas = (0.3 + torch.rand(8, generator=seeded()) * 2.2).tolist()
    sides = [size, size] if isinstance(size, int) else [size[1], size[0]]  # torchvision has the width first
    theirs = torch.stack([F.gaussian_blur(i, sides, [s, s]) for i, s in zip(wide, sigmas, strict=True)])
    close(out, theirs, 0.999)
    floats = filters.gaussian_blur(kernel_size=size, sigma=(0.3, 2.5))(wide.float() / 255, seeded())
    exact = torch.stack([F.gaussian_blur(i, sides, [s, s]) for i, s in zip(wide.float() / 255, sigmas, strict=True)])
    torch.testing.assert_close(floats, exact, rtol=1e-5, atol=1e-6)


def test_a_blur_larger_than_the_image_says_so(images, rng):
    with pytest.raises(ValueError, match="a kernel of 65 does not fit images of 32×32"):
        filters.gaussian_blur(kernel_size=65)(images, rng)
    with pytest.raises(ValueError, match="is odd"):
        filters.gaussian_blur(kernel_size=4)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (filters.solarize(threshold=100, p=1), lambda image: F.solarize(image, 100)),
        (filters.posterize(bits=3, p=1), lambda image: F.posterize(image, 3)),
        (filters.equalize(p=1), F.equalize),
    ],
)
def test_colour_operations_are_torchvisions(ours, theirs, images, rng):
    assert torch.equal(ours(images, rng), torch.stack([theirs(image) for image in images]))


def test_a_threshold_means_the_same_for_floats(images, rng):
    out = filters.solarize(threshold=100, p=1)(images.float() / 255, rng)
    assert torch.equal(out.mul(255).round().to(torch.uint8), torch.stack([F.solarize(image, 100) for image in images]))


def test_three_augment_is_one_of_three_for_each_image(images, rng):
    """Each image is what torchvision makes of it with one of the three, each of which happens to a third of the images."""
    many = images.repeat(12, 1, 1, 1)
    out = filters.three_augment()(many, seeded())
    again = seeded()
    choices = torch.randint(3, (len(many),), generator=again).tolist()
    sigmas = (0.1 + torch.rand(len(many), generator=again) * 1.9).tolist()
    for image, made, choice, sigma in zip(many, out, choices, sigmas, strict=True):
        if choice == 0:
            assert torch.equal(made, F.rgb_to_grayscale(image, 3))
        elif choice == 1:
            assert torch.equal(made, F.solarize(image, 128))
        else:
            close(made, F.gaussian_blur(image, [17, 17], [sigma, sigma]), 0.99)
    assert all(0.28 < choices.count(choice) / len(many) < 0.39 for choice in range(3))


def test_three_augment_needs_colours(rng):
    with pytest.raises(ValueError, match="these have 1 channel"):
        filters.three_augment()(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), rng)
