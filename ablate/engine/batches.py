"""The batches of an epoch: its images in their order, transformed a chunk at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ablate.records import DataInfo

from .data import CHUNK, Part
from .pipeline import Pipeline

GPU_CHUNK = 256 << 20  # bytes of float32 images, in place of `data.CHUNK`: each kernel's launch costs, and so does memory


@dataclass(frozen=True)
class Images:
    """Some images of an epoch that are trained on together, before the last transforms.

    Attributes:
        images: As `Pipeline.on_chunk` gives them.
        labels: Theirs.
        indices: int64 `[N]`, which of the training images they are.
        view: Number of a view, from 1, to images and labels of the same samples, all transforms done.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    view: Callable[[int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Chunk:
    """Images that are transformed together.

    Attributes:
        part: The training images.
        indices: Which of them are in this chunk, in their order.
        pipeline: What they go through.
        seed: That of the cell.
        epoch: From 0.
        number: Which part of the epoch it is, from 0.
        views: Those that were asked for, by their numbers.
    """

    part: Part
    indices: Tensor
    pipeline: Pipeline
    seed: int
    epoch: int
    number: int
    views: dict[int, tuple[Tensor, Tensor]]

    def transformed(self, view: int = 0) -> tuple[Tensor, Tensor]:
        """All images and labels; the draws of other views than the first are named by their number.

        Raises:
            TransformError: A transform failed.
        """
        if view not in self.views:
            pipeline = self.pipeline if not view else replace(self.pipeline, purpose=f"{self.pipeline.purpose}/view {view}")
            images, labels = self.part.images[self.indices], self.part.labels[self.indices]
            self.views[view] = pipeline.on_chunk(images, labels, self.seed, self.epoch, self.number)
        return self.views[view]

    def batches(self, size: int, first: int) -> Iterator[Images]:
        """Its images in batches, without so many at the beginning."""
        images, labels = self.transformed()
        cut = zip(images.split(size), labels.split(size), self.indices.split(size), strict=True)
        for place, (some, targets, indices) in enumerate(cut):
            if place >= first:
                yield Images(some, targets, indices, partial(self._view, slice(place * size, place * size + len(some))))

    def _view(self, which: slice, number: int) -> tuple[Tensor, Tensor]:
        images, labels = self.transformed(number)
        return self.pipeline.on_batch(images[which]), labels[which]


def chunks(part: Part, order: Tensor, pipeline: Pipeline, seed: int, epoch: int, size: int, chunk: int) -> Iterator[Chunk]:
    """The chunks of an epoch, whole batches each."""
    for number, indices in enumerate(order.to(part.labels.device).split(size * max(1, chunk // size))):
        yield Chunk(part, indices, pipeline, seed, epoch, number, {})


def chunk_of(device: torch.device, forms: Sequence[DataInfo]) -> int:
    """How many images are transformed at once, of which the largest form decides."""
    if device.type != "cuda":
        return CHUNK
    return max(1, GPU_CHUNK // max(4 * form.channels * form.height * form.width for form in forms))


def form_of(pipeline: Pipeline, part: Part, classes: int) -> DataInfo:
    """What the model gets to see: the form of the images after the transforms."""
    images, _ = pipeline.on_chunk(part.images[:2], part.labels[:2], 0, 0, 0)
    channels, height, width = pipeline.on_batch(images).shape[1:]
    return DataInfo(channels, height, width, classes)
