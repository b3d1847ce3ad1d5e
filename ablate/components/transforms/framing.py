"""Parts of images at one size: what photographs of any size go through first."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import torch
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ablate.registry.params import Bound, Positive, PositiveInt

Interpolation = Literal["nearest", "bilinear", "bicubic"]
Share = Annotated[float, Bound(above=0, maximum=1)]
CROP_ATTEMPTS = 10  # as torchvision's RandomResizedCrop


@dataclass(frozen=True)
class Window:
    """A part of an image, in pixels, and the height and width that it gets."""

    top: int
    left: int
    height: int
    width: int
    size: tuple[int, int]

    def on_smaller(self, scale: int, height: int, width: int) -> "Window":
        """The same part of the image at this height and width, which was decoded so much smaller."""
        top, left = round(self.top / scale), round(self.left / scale)
        bottom = min(height, round((self.top + self.height) / scale))
        right = min(width, round((self.left + self.width) / scale))
        return Window(top, left, bottom - top, right - left, self.size)


@dataclass(frozen=True)
class Framing:
    """A transform that takes a part of each image and changes its size.

    What it takes depends on an image's height and width alone. So the engine asks for it before it decodes a photograph.

    Attributes:
        choose: (height, width, number of images, generator) -> their windows.
        interpolation: How pixels between pixels are found.
        antialias: Whether images that get smaller are smoothed first.
        deterministic: Whether it draws nothing.
        fixes_size: Whether all images have one size afterwards, whatever comes in.
    """

    choose: Callable[[int, int, int, Any], list[Window]]
    interpolation: Interpolation
    antialias: bool
    deterministic: bool
    fixes_size: bool

    def __call__(self, images: Tensor, generator: Generator | None) -> Tensor:
        return self._cut_each(images, self._windows(images, generator))

    def with_masks(self, images: Tensor, masks: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor]:
        """The same parts of images and of their masks `[N, 1, H, W]`, which take the nearest pixels."""
        windows = self._windows(images, generator)
        nearest = replace(self, interpolation="nearest", antialias=False)
        return self._cut_each(images, windows), nearest._cut_each(masks, windows)

    def _windows(self, images: Tensor, generator: Generator | None) -> list[Window]:
        height, width = images.shape[2:]
        return self.choose(height, width, len(images), generator)

    def _cut_each(self, images: Tensor, windows: list[Window]) -> Tensor:
        if len(set(windows)) == 1:
            return self.cut(images, windows[0])
        return torch.cat([self.cut(images[place : place + 1], window) for place, window in enumerate(windows)])

    def cut(self, images: Tensor, window: Window) -> Tensor:
        """The window of images `[N, C, H, W]`, at its size; as torchvision's `resized_crop`."""
        part = images[:, :, window.top : window.top + window.height, window.left : window.left + window.width]
        if images.is_contiguous(memory_format=torch.channels_last):
            part = part.contiguous(memory_format=torch.channels_last)  # torchvision would give a part of one image another format
        mode = InterpolationMode(self.interpolation)
        out: Tensor = F.resize(part, list(window.size), mode, antialias=self.antialias)
        return out


def random_resized_crop(
    *,
    size: tuple[PositiveInt, PositiveInt] | PositiveInt,
    scale: tuple[Share, Share] = (0.08, 1.0),
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3),
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Framing:
    """A part of each image with a random area and shape, at one size (Szegedy et al., 2014, arXiv 1409.4842).

    A large JPEG photograph is decoded at 1/2, 1/4 or 1/8 of its size where the part then still has twice the pixels of `size`.

    Args:
        size: Height and width, or one number for both.
        scale: Smallest and largest part of the image's area.
        ratio: Smallest and largest ratio of width to height.
        interpolation: How pixels between pixels are found.
        antialias: Whether parts that get smaller are smoothed first.
    """
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        raise ValueError(f"scale {list(scale)} and ratio {list(ratio)} are each the smallest and the largest")
    wanted = (size, size) if isinstance(size, int) else (size[0], size[1])

    def choose(height: int, width: int, count: int, generator: Generator) -> list[Window]:
        boxes = _boxes(height, width, count, scale, ratio, generator)
        return [Window(top, left, h, w, wanted) for top, left, h, w in boxes]

    return Framing(choose, interpolation, antialias, deterministic=False, fixes_size=True)


def _boxes(
    height: int, width: int, count: int, scale: tuple[float, float], ratio: tuple[float, float], generator: Generator
) -> list[tuple[int, int, int, int]]:
    """Top, left, height and width of a part of each image, as torchvision's RandomResizedCrop chooses them."""
    numbers = torch.rand(count, 2 * CROP_ATTEMPTS + 2, generator=generator, device=generator.device, dtype=torch.float64)
    return [_box(height, width, scale, ratio, row) for row in numbers.tolist()]


def _box(
    height: int, width: int, scale: tuple[float, float], ratio: tuple[float, float], numbers: Sequence[float]
) -> tuple[int, int, int, int]:
    """The box that uniform numbers in [0, 1) stand for: two an attempt, and two for the place."""
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for attempt in range(CROP_ATTEMPTS):
        area = height * width * (scale[0] + numbers[2 * attempt] * (scale[1] - scale[0]))
        aspect = math.exp(low + numbers[2 * attempt + 1] * (high - low))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(numbers[-2] * (height - h + 1)), int(numbers[-1] * (width - w + 1)), h, w
    return _middle(height, width, ratio)


def _middle(height: int, width: int, ratio: tuple[float, float]) -> tuple[int, int, int, int]:
    """The largest part in the middle with a ratio that is allowed, which torchvision takes where no draw fits."""
    h, w = height, width
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    return (height - h) // 2, (width - w) // 2, h, w


def resize(
    *,
    size: tuple[PositiveInt, PositiveInt] | PositiveInt,
    interpolation: Interpolation = "bilinear",
    antialias: bool = True,
) -> Framing:
    """Changes the size of the images.

    A large JPEG photograph is decoded at 1/2, 1/4 or 1/8 of its size where it then still has twice the pixels that are wanted.

    Args:
        size: Height and width, or the length of the shorter side.
        interpolation: How pixels between pixels are found.
        antialias: Whether images that get smaller are smoothed first.
    """

    def choose(height: int, width: int, count: int, _: None) -> list[Window]:
        if isinstance(size, int):
            short, long = min(height, width), max(height, width)
            other = int(size * long / short)
            wanted = (size, other) if height <= width else (other, size)
        else:
            wanted = size[0], size[1]
        return [Window(0, 0, height, width, wanted)] * count

    return Framing(choose, interpolation, antialias, deterministic=True, fixes_size=not isinstance(size, int))
