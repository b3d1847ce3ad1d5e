"""Photographs on their way to tensors of one size: decoded and framed by threads, ahead of the training that uses them.

What is drawn for an image is named by the image, so that it does not matter which thread draws it, or when.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor

from ablate.photographs import Photographs

from .pipeline import Pipeline, TransformError
from .seeding import generator

TOGETHER = 4  # images that a thread takes at a time


@cache
def decoding_threads() -> ThreadPoolExecutor:
    """As many as this process may use cores, for all its cells."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ThreadPoolExecutor(cores, thread_name_prefix="decoding")


class Chunk:
    """Images of one size that are being made.

    Args:
        frame: Makes the image at a place.
        places: Which ones, as `numbered` has them.
        in_threads: Whether threads make them; else `images` does.
    """

    def __init__(self, frame: "Frame", epoch: int, places: Sequence[int], in_threads: bool):
        self.frame, self.epoch, self.places = frame, epoch, places
        first = frame(epoch, places[0])
        shape = (len(places), *first.shape)
        self.made = torch.empty(shape, dtype=first.dtype, memory_format=torch.channels_last)
        self.made[0] = first
        starts = range(1, len(places), TOGETHER)
        self.futures: list[Future[None]] = (
            [decoding_threads().submit(self._make, start) for start in starts] if in_threads else []
        )
        self.left = [] if in_threads else starts

    def images(self) -> Tensor:
        """All of them `[N, C, H, W]`, channels last, when they are made."""
        for future in self.futures:
            future.result()
        for start in self.left:
            self._make(start)
        return self.made

    def _make(self, start: int) -> None:
        for row in range(start, min(start + TOGETHER, len(self.places))):
            image = self.frame(self.epoch, self.places[row])
            if image.shape != self.made.shape[1:] or image.dtype != self.made.dtype:
                forms = " and ".join(f"{form.dtype} {list(form.shape)}" for form in (self.made[0], image))
                raise TransformError(next(reversed(list(self.frame.head.transforms))), f"makes {forms} of two photographs")
            self.made[row] = image


class Frame:
    """Makes single images: decoded, and as a pipeline's head leaves them.

    Args:
        photographs: All images of a part.
        head: As `Pipeline.head` gives it.
        seed: The cell's seed.
    """

    def __init__(self, photographs: Photographs, head: Pipeline, seed: int):
        self.photographs, self.head, self.seed = photographs, head, seed

    def __call__(self, epoch: int, place: int) -> Tensor:
        """The image `[C, H, W]` at a place of the part, with the draws of this epoch. From the number of images on, places are
        those of the same images again, with other draws.

        Raises:
            TransformError: A transform failed.
            DiskProblem: The image cannot be read.
        """
        images: Tensor | None = None
        for name, transform in self.head.transforms.items():
            draws = self._draws(name, transform, epoch, place)
            if images is None and hasattr(transform, "choose"):
                images = self._window(transform, place % len(self.photographs), draws)
            else:
                images = photograph(self.photographs, place % len(self.photographs)) if images is None else images
                images = self.head.apply(name, transform, images, torch.zeros(1), draws)[0]
        return (photograph(self.photographs, place % len(self.photographs)) if images is None else images)[0]

    def _draws(self, name: str, transform: Any, epoch: int, place: int) -> Generator | None:
        if getattr(transform, "deterministic", False):
            return None
        return generator(self.seed, f"{self.head.purpose}/{name}", epoch, place)

    def _window(self, transform: Any, place: int, draws: Generator | None) -> Tensor:
        """What a `Framing` makes of an image, which is decoded as small as that allows."""
        height, width = self.photographs.size(place)
        (window,) = transform.choose(height, width, 1, draws)
        scale = self.photographs.scale(place, (window.height, window.width), window.size)
        images = photograph(self.photographs, place, scale)
        if scale > 1:
            window = window.on_smaller(scale, *images.shape[2:])
        out: Tensor = transform.cut(images, window)
        return out


class Ahead:
    """The chunks of a part, one after another; while one is used, the next one is being made."""

    def __init__(self, photographs: Photographs, head: Pipeline, seed: int):
        self.frame = Frame(photographs, head, seed)
        self.in_threads = all(
            getattr(transform, "deterministic", False) or getattr(transform, "fixes_size", False)
            for transform in head.transforms.values()
        )
        self.next: tuple[tuple[int, int], Chunk] | None = None

    def begin(self, epoch: int, number: int, places: Sequence[int]) -> Chunk:
        """Begins to make a chunk of an epoch, and remembers it for `take`."""
        chunk = Chunk(self.frame, epoch, places, self.in_threads)
        self.next = (epoch, number), chunk
        return chunk

    def take(self, epoch: int, number: int, places: Sequence[int]) -> Tensor:
        """The images of a chunk, which was begun before or is made now."""
        begun, self.next = self.next, None
        chunk = begun[1] if begun and begun[0] == (epoch, number) else self.begin(epoch, number, places)
        self.next = None
        return chunk.images()


def numbered(order: Tensor, images: int) -> Tensor:
    """The places of an epoch's images, where those that come again have places behind all others: `images` more each time.

    Args:
        order: int64 `[M]`, each from 0 to `images`.
        images: How many there are.
    """
    order_of_images = order.argsort(stable=True)
    sorted_places = order[order_of_images]
    first = torch.searchsorted(sorted_places, sorted_places)
    times = torch.empty_like(order)
    times[order_of_images] = torch.arange(len(order), device=order.device) - first
    return order + images * times


def photograph(photographs: Photographs, place: int, scale: int = 1) -> Tensor:
    """An image as a batch `[1, C, H, W]`."""
    pixels = photographs.decoded(place, scale)
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy("K"))[None]
