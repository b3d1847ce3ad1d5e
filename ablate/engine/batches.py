"""The batches of an epoch: its images in their order, transformed a chunk at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from .prepared import Prepared


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
        places: Those of this chunk's images, in their order, as `Prepared.places` gives them.
        seed: That of the cell.
        epoch: From 0.
        number: Which part of the epoch it is, from 0.
        begin_next: Has photographs decoded that come after this chunk.
        views: Those that were asked for, by their numbers.
    """

    part: Prepared
    places: Tensor
    seed: int
    epoch: int
    number: int
    begin_next: Callable[[], None]
    views: dict[int, tuple[Tensor, Tensor]]

    @property
    def indices(self) -> Tensor:
        """Which of the training images they are."""
        return self.places % len(self.part.labels)

    def transformed(self, view: int = 0) -> tuple[Tensor, Tensor]:
        """All images and labels; the draws of other views than the first are named by their number.

        Raises:
            TransformError: A transform failed.
        """
        if view not in self.views:
            part = self.part.view(view)
            images, labels = part.chunk(self.epoch, self.number, self.places)
            if not view:
                self.begin_next()
            self.views[view] = part.pipeline.on_chunk(images, labels, self.seed, self.epoch, self.number)
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
        return self.part.pipeline.on_batch(images[which]), labels[which]


def chunks(
    part: Prepared, order: Tensor, seed: int, epoch: int, size: int, chunk: int, begin_next: Callable[[], None]
) -> Iterator[Chunk]:
    """The chunks of an epoch, whole batches each.

    Args:
        part: The training images.
        order: int64 `[M]`, which of them the epoch sees.
        seed: That of the cell.
        epoch: From 0.
        size: Images of a batch.
        chunk: Images of a chunk, about.
        begin_next: Has photographs decoded that come after the epoch.
    """
    cut = split(part, order, size, chunk)
    for number, places in enumerate(cut):
        following = [partial(part.begin, epoch, number + 1, later) for later in cut[number + 1 : number + 2]]
        yield Chunk(part, places, seed, epoch, number, following[0] if following else begin_next, {})


def split(part: Prepared, order: Tensor, size: int, chunk: int) -> tuple[Tensor, ...]:
    """The places of the images of each chunk."""
    cut: tuple[Tensor, ...] = part.places(order).split(size * max(1, chunk // size))
    return cut
