"""AutoAugment, RandAugment, TrivialAugment and AugMix.

For every image an operation and its magnitude are drawn; the images of a chunk are grouped by both, and each group goes through
torchvision's functional kernel at once. Magnitudes and policies are torchvision's.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.transforms import AutoAugment, AutoAugmentPolicy, InterpolationMode
from torchvision.transforms.v2 import functional as F

from ablate.registry.params import Bound, NonNegativeInt, Positive, PositiveInt

from . import Transform, moves_masks
from .random import groups, rand, randint

Interpolation = Literal["nearest", "bilinear"]
Severity = Annotated[int, Bound(minimum=1, maximum=10)]
Depth = Annotated[int, Bound(minimum=-1, maximum=100)]
Kernel = Callable[[Tensor, str, float], Tensor]  # images, operation and magnitude -> images
GEOMETRIC = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


@dataclass(frozen=True)
class Operation:
    """One operation of a space.

    Attributes:
        name: torchvision's name of it.
        magnitudes: Its magnitudes for an image of (height, width), from weak to strong; None where it has none.
        signed: Whether the magnitude is negated for half of the images.
    """

    name: str
    magnitudes: Callable[[int, int], Tensor] | None = None
    signed: bool = False


def _linear(last: float, bins: int) -> Callable[[int, int], Tensor]:
    return lambda height, width: torch.linspace(0.0, last, bins)


def _posterize(bits: int, range_: int, bins: int) -> Callable[[int, int], Tensor]:
    return lambda height, width: (bits - torch.arange(bins) / ((bins - 1) / range_)).round()


def operation_space(
    bins: int,
    shear: float,
    translate: tuple[float, float] | float,
    rotate: float,
    color: float | None,
    posterize: tuple[int, int],
    *more: str,
) -> list[Operation]:
    """A space of operations; `translate` is pixels, or (numerator, denominator) of the side's length."""
    if isinstance(translate, tuple):
        part = translate[0] / translate[1]
        across: Callable[[int, int], Tensor] = lambda height, width: torch.linspace(0.0, part * width, bins)  # noqa: E731
        down: Callable[[int, int], Tensor] = lambda height, width: torch.linspace(0.0, part * height, bins)  # noqa: E731
    else:
        across = down = _linear(translate, bins)
    colors = ("Brightness", "Color", "Contrast", "Sharpness") if color is not None else ()
    return [
        Operation("ShearX", _linear(shear, bins), True),
        Operation("ShearY", _linear(shear, bins), True),
        Operation("TranslateX", across, True),
        Operation("TranslateY", down, True),
        Operation("Rotate", _linear(rotate, bins), True),
        *(Operation(name, _linear(color or 0.0, bins), True) for name in colors),
        Operation("Posterize", _posterize(*posterize, bins)),
        Operation("Solarize", lambda height, width: torch.linspace(255.0, 0.0, bins)),
        Operation("AutoContrast"),
        Operation("Equalize"),
        *(Operation(name) for name in more),
    ]


def auto_augment(
    *, policy: Literal["cifar10", "imagenet", "svhn"] = "cifar10", interpolation: Interpolation = "nearest"
) -> Transform:
    """AutoAugment (Cubuk et al., 2018, arXiv 1805.09501): one of 25 pairs of operations for each image.

    Args:
        policy: The data that the pairs were found on.
        interpolation: How pixels between pixels are found.
    """
    space = {op.name: op for op in operation_space(10, 0.3, (150, 331), 30, 0.9, (8, 4), "Invert")}
    pairs = AutoAugment(AutoAugmentPolicy(policy)).policies
    operations = [space[name] for pair in pairs for name, _, _ in pair]
    probabilities = torch.tensor([p for pair in pairs for _, p, _ in pair])
    levels = torch.tensor([level or 0 for pair in pairs for _, _, level in pair])

    def apply(images: Tensor, generator: Generator, kernel: Kernel) -> Tensor:
        images, device = images.clone(), images.device
        pair = randint(len(pairs), len(images), generator, device)
        for step in range(2):
            entry = 2 * pair + step
            chosen = rand(len(images), generator, device) <= probabilities.to(device)[entry]
            negative = randint(2, len(images), generator, device)
            level = levels.to(device)[entry]
            _apply_drawn(images, operations, entry, level, negative, chosen, kernel)
        return images

    return _policy("auto_augment", apply, interpolation)


def rand_augment(
    *,
    num_ops: NonNegativeInt = 2,
    magnitude: NonNegativeInt = 9,
    num_magnitude_bins: PositiveInt = 31,
    interpolation: Interpolation = "nearest",
) -> Transform:
    """RandAugment (Cubuk et al., 2019, arXiv 1909.13719): random operations at one magnitude.

    Args:
        num_ops: Operations an image.
        magnitude: Which of the magnitudes, from 0.
        num_magnitude_bins: Number of magnitudes.
        interpolation: How pixels between pixels are found.
    """
    if magnitude >= num_magnitude_bins:
        raise ValueError(f"magnitude {magnitude} is not below num_magnitude_bins {num_magnitude_bins}")
    space = [Operation("Identity"), *operation_space(num_magnitude_bins, 0.3, (150, 331), 30, 0.9, (8, 4))]

    def apply(images: Tensor, generator: Generator, kernel: Kernel) -> Tensor:
        images = images.clone()
        level = torch.full((len(images),), magnitude, device=images.device)
        for _ in range(num_ops):
            _apply_random(images, space, level, generator, kernel)
        return images

    return _policy("rand_augment", apply, interpolation)


def trivial_augment(*, num_magnitude_bins: PositiveInt = 31, interpolation: Interpolation = "nearest") -> Transform:
    """TrivialAugment, wide (Müller and Hutter, 2021, arXiv 2103.10158): one operation at a random magnitude.

    Args:
        num_magnitude_bins: Number of magnitudes.
        interpolation: How pixels between pixels are found.
    """
    space = [Operation("Identity"), *operation_space(num_magnitude_bins, 0.99, 32.0, 135, 0.99, (8, 6))]

    def apply(images: Tensor, generator: Generator, kernel: Kernel) -> Tensor:
        images = images.clone()
        level = randint(num_magnitude_bins, len(images), generator, images.device)
        _apply_random(images, space, level, generator, kernel)
        return images

    return _policy("trivial_augment", apply, interpolation)


def augmix(
    *,
    severity: Severity = 3,
    mixture_width: PositiveInt = 3,
    chain_depth: Depth = -1,
    alpha: Positive = 1.0,
    all_ops: bool = True,
    interpolation: Interpolation = "bilinear",
) -> Transform:
    """AugMix (Hendrycks et al., 2020, arXiv 1912.02781): a random mixture of the image and of chains of operations on it.

    Not for masks: what is mixed lies in several places.

    Args:
        severity: The strongest magnitude, of 10.
        mixture_width: Number of chains.
        chain_depth: Operations a chain; -1 or 0 for a random number from 1 to 3.
        alpha: Parameter of the Dirichlet and Beta distributions of the weights.
        all_ops: Whether brightness, colour, contrast and sharpness, which overlap with ImageNet-C, are among the operations.
        interpolation: How pixels between pixels are found.
    """
    space = operation_space(10, 0.3, (1, 3), 30, 0.9 if all_ops else None, (4, 4))
    kernel = partial(operated, interpolation=interpolation)

    def apply(images: Tensor, generator: Generator) -> Tensor:
        count, device = len(_uint8(images, "augmix")), images.device
        beta = _dirichlet(alpha, 2, count, generator, device)
        weights = _dirichlet(alpha, mixture_width, count, generator, device) * beta[:, 1:]
        mixed = images * beta[:, :1, None, None]
        for chain in range(mixture_width):
            changed = images.clone()
            depth = 1 + randint(3, count, generator, device) if chain_depth <= 0 else torch.full((count,), chain_depth)
            for step in range(int(depth.max())):
                level = randint(severity, count, generator, device)
                _apply_random(changed, space, level, generator, kernel, depth.to(device) > step)
            mixed += changed * weights[:, chain, None, None, None]
        return mixed.to(images.dtype)

    return apply


def _dirichlet(alpha: float, parts: int, count: int, generator: Generator, device: torch.device) -> Tensor:
    """Symmetric Dirichlet weights `[count, parts]`."""
    concentration = torch.full((count, parts), alpha, device=generator.device)
    return torch._sample_dirichlet(concentration, generator=generator).to(device)


def _policy(name: str, apply: Callable[[Tensor, Generator, Kernel], Tensor], interpolation: Interpolation) -> Transform:
    """The transform of a policy; of masks, its geometric operations alone.

    Args:
        name: What it is called.
        apply: Images of integers, a generator and a kernel to images.
        interpolation: Of the images.
    """

    def on_images(images: Tensor, generator: Generator) -> Tensor:
        return apply(_uint8(images, name), generator, partial(operated, interpolation=interpolation))

    def on_masks(masks: Tensor, generator: Generator) -> Tensor:
        return apply(masks, generator, _moved)

    return moves_masks(on_images, on_masks)


def _uint8(images: Tensor, name: str) -> Tensor:
    if images.dtype != torch.uint8:
        raise TypeError(f"{name} takes uint8 images, and these are {images.dtype}: put it before normalize")
    return images


def _apply_random(
    images: Tensor,
    space: list[Operation],
    level: Tensor,
    generator: Generator,
    kernel: Kernel,
    chosen: Tensor | None = None,
) -> None:
    """Draws an operation and a sign for every image, and applies them in place, where `chosen`."""
    operation = randint(len(space), len(images), generator, images.device)
    negative = randint(2, len(images), generator, images.device)
    _apply_drawn(images, space, operation, level, negative, chosen, kernel)


def _apply_drawn(
    images: Tensor,
    operations: list[Operation],
    operation: Tensor,
    level: Tensor,
    negative: Tensor,
    chosen: Tensor | None,
    kernel: Kernel,
) -> None:
    """Applies to each image, in place, the operation of its index at its level and sign."""
    height, width = images.shape[2:]
    names = sorted({op.name for op in operations})
    tables = [op.magnitudes(height, width) if op.magnitudes else torch.zeros(1) for op in operations]
    table = pad_sequence(tables, batch_first=True).to(images.device)
    signed = torch.tensor([op.signed for op in operations], device=images.device)
    has_levels = torch.tensor([op.magnitudes is not None for op in operations], device=images.device)
    magnitude = table[operation, level * has_levels[operation]]
    magnitude = torch.where(signed[operation] & (negative == 1), -magnitude, magnitude)
    name = torch.tensor([names.index(op.name) for op in operations], device=images.device)[operation]
    _, magnitude_code = torch.unique(magnitude, return_inverse=True)
    codes = name * len(images) + magnitude_code
    if chosen is not None:
        codes = torch.where(chosen, codes, -1)
    for code, members in groups(codes):
        if code >= 0:
            images[members] = kernel(images[members], names[code // len(images)], float(magnitude[members[0]]))


def operated(images: Tensor, name: str, magnitude: float, interpolation: Interpolation) -> Tensor:
    """One of torchvision's operations on a whole group; the affine ones as its AutoAugment calls them."""
    mode = InterpolationMode(interpolation)
    match name:
        case "ShearX" | "ShearY":
            angle = math.degrees(math.atan(magnitude))
            shear = [angle, 0.0] if name == "ShearX" else [0.0, angle]
            return F.affine(images, 0.0, [0, 0], 1.0, shear, interpolation=mode, center=[0, 0])
        case "TranslateX" | "TranslateY":
            shift = [int(magnitude), 0] if name == "TranslateX" else [0, int(magnitude)]
            return F.affine(images, 0.0, shift, 1.0, [0.0, 0.0], interpolation=mode)
        case "Rotate":
            return F.rotate(images, magnitude, interpolation=mode)
        case "Brightness":
            return F.adjust_brightness(images, 1.0 + magnitude)
        case "Color":
            return F.adjust_saturation(images, 1.0 + magnitude)
        case "Contrast":
            return F.adjust_contrast(images, 1.0 + magnitude)
        case "Sharpness":
            return F.adjust_sharpness(images, 1.0 + magnitude)
        case "Posterize":
            return F.posterize(images, int(magnitude))
        case "Solarize":
            return F.solarize(images, magnitude)
        case "AutoContrast":
            return F.autocontrast(images)
        case "Equalize":
            return F.equalize(images)
        case "Invert":
            return F.invert(images)
        case _:
            return images


def _moved(masks: Tensor, name: str, magnitude: float) -> Tensor:
    return operated(masks, name, magnitude, "nearest") if name in GEOMETRIC else masks
