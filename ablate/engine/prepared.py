"""Images as a training takes them, with what every epoch would do to them alike done once for all cells of a process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256

import torch
from torch import Tensor

from ablate.contracts import DataInfo
from ablate.photographs import Photographs
from ablate.spec.identity import canonical_json
from ablate.spec.recipe import Recipe

from .ahead import Ahead, Frame, numbered
from .data import CHUNK, Part
from .pipeline import Pipeline

GPU_CHUNK = 256 << 20  # bytes of float32 images, in place of `data.CHUNK`: each kernel's launch costs, and so does memory
EVAL_BATCH = 1000
EVAL_BYTES = 32 << 20  # of float32 images, in place of `EVAL_BATCH` where they were photographs
ONCE = 512 << 20  # bytes up to which photographs are kept as transforms without draws leave them


@dataclass(frozen=True)
class _Once:
    """Images and what is done to them once, compared by a text that says both."""

    images: Tensor | Photographs = field(compare=False)
    pipeline: Pipeline = field(compare=False)
    text: str


@dataclass(frozen=True)
class Prepared:
    """A part of a dataset as a training takes images from it.

    Attributes:
        images: `[N, C, H, W]`; or photographs on their way to tensors of one size.
        labels: One an image, as of `Part`.
        pipeline: What is still to be done to chunks of them.
    """

    images: Tensor | Ahead
    labels: Tensor
    pipeline: Pipeline

    def chunk(self, epoch: int, number: int, places: Tensor) -> tuple[Tensor, Tensor]:
        """The images and labels of a chunk of an epoch, on the device, by their places as `places` gives them."""
        which = places % len(self.labels)
        if isinstance(self.images, Ahead):
            images = self.images.take(epoch, number, places.tolist()).to(self.labels.device)
        else:
            images = self.images[which]
        return images, self.labels[which]

    def places(self, order: Tensor) -> Tensor:
        """The places of an epoch's images. Photographs have draws of their own each, so those that come again are told apart."""
        order = order.to(self.labels.device)
        return numbered(order, len(self.labels)) if isinstance(self.images, Ahead) else order

    def view(self, number: int) -> "Prepared":
        """The same images with other draws, which the number names; 0 is this one."""
        if not number:
            return self

        def named(pipeline: Pipeline) -> Pipeline:
            return replace(pipeline, purpose=f"{pipeline.purpose}/view {number}")

        images = self.images
        if isinstance(images, Ahead):
            images = Ahead(images.frame.photographs, named(images.frame.head), images.frame.seed)
        return replace(self, images=images, pipeline=named(self.pipeline))

    def begin(self, epoch: int, number: int, places: Tensor) -> None:
        """Has photographs of a chunk decoded that is taken later; other images are there already."""
        if isinstance(self.images, Ahead):
            self.images.begin(epoch, number, places.tolist())

    def in_memory(self) -> Tensor:
        """All images.

        Raises:
            ValueError: They are photographs, and too many to be kept.
        """
        if isinstance(self.images, Ahead):
            raise ValueError(
                "it asks for the evaluated images, and these are photographs that are too many to be kept in memory. Use a "
                "metric of logits and labels, give the dataset a `limit`, or begin evaluation with transforms that draw nothing."
            )
        return self.images

    def in_order(self, epoch: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All of them, so many at a time."""
        if not isinstance(self.images, Ahead):
            yield from zip(self.images.split(size), self.labels.split(size), strict=True)
            return
        chunks = torch.arange(len(self.labels)).split(size)
        for number, places in enumerate(chunks):
            images, labels = self.chunk(epoch, number, places)
            if number + 1 < len(chunks):
                self.begin(epoch, number + 1, chunks[number + 1])
            yield images, labels


def prepare(part: Part, pipeline: Pipeline, recipe: Recipe, transforms: str, seed: int) -> Prepared:
    """Does what a pipeline would do to every image in every epoch alike once, for all cells of this process.

    Args:
        part: Images of the recipe's dataset.
        pipeline: What they go through.
        recipe: The recipe.
        transforms: The field of the recipe that the pipeline was made from.
        seed: The cell's seed.

    Raises:
        TransformError: A transform failed.
    """
    if isinstance(part.images, Photographs):
        return _prepared_photographs(part.images, part.labels, pipeline, [recipe[transforms], recipe["dataset"]], seed)
    names = pipeline.prefix(part.images[:2])
    if not names:
        return Prepared(part.images, part.labels, pipeline)
    done = [[name, recipe[transforms][name]] for name in names]
    which = [part.images.data_ptr(), list(part.images.shape), str(part.images.device), done]  # the cache keeps the images alive
    rest = pipeline.without(names)
    once = pipeline.without(list(rest.transforms))
    return Prepared(_applied(_Once(part.images, once, canonical_json(which)), part.labels.device), part.labels, rest)


def _prepared_photographs(
    photographs: Photographs, labels: Tensor, pipeline: Pipeline, which: Sequence[Recipe], seed: int
) -> Prepared:
    head = pipeline.head()
    rest = pipeline.without(list(head.transforms))
    if made_once(photographs, head):
        files = [str(of_part.folder) for of_part in photographs.files]
        parts = [files, sha256(photographs.index.tobytes()).hexdigest(), str(labels.device), *which]
        return Prepared(_applied(_Once(photographs, head, canonical_json(parts)), labels.device), labels, rest)
    return as_they_come(Part(photographs, labels), pipeline, seed)


def as_they_come(part: Part, pipeline: Pipeline, seed: int) -> Prepared:
    """Images of which nothing is made before it is asked for.

    Raises:
        TransformError: They are photographs, and the pipeline does not bring them to one size.
    """
    if not isinstance(part.images, Photographs):
        return Prepared(part.images, part.labels, pipeline)
    head = pipeline.head()
    return Prepared(Ahead(part.images, head, seed), part.labels, pipeline.without(list(head.transforms)))


def made_once(photographs: Photographs, head: Pipeline) -> bool:
    """Whether photographs are kept in memory as a pipeline's head leaves them: always alike, and not too large."""
    if not all(getattr(one, "deterministic", False) and not hasattr(one, "at_epoch") for one in head.transforms.values()):
        return False
    first = Frame(photographs, head, 0)(0, 0)
    return first.dtype == torch.uint8 and first.nbytes * len(photographs) <= ONCE


@lru_cache(maxsize=4)
def _applied(once: _Once, device: torch.device) -> Tensor:
    if isinstance(once.images, Photographs):
        done = Ahead(once.images, once.pipeline, 0).take(0, 0, range(len(once.images))).to(device)
    else:
        done = torch.cat([once.pipeline.exactly(chunk) for chunk in once.images.split(CHUNK)])
    if done.is_cuda:
        torch.cuda.current_stream(done.device).synchronize()  # other cells, with streams of their own, will have it too
    return done


def chunk_of(device: torch.device, forms: Sequence[DataInfo]) -> int:
    """How many images are transformed at once, of which the largest form decides on a GPU, and wherever they were photographs.

    Args:
        device: Where.
        forms: Of the images before the transforms, and after them.
    """
    if device.type == "cpu" and not forms[0].any_size:
        return CHUNK
    return max(1, GPU_CHUNK // max(form.float32_bytes for form in forms))


def eval_batch_of(before: DataInfo, after: DataInfo) -> int:
    """How many images are evaluated at once, by their forms before and after the transforms."""
    return max(1, EVAL_BYTES // after.float32_bytes) if before.any_size else EVAL_BATCH


def form_of(part: Prepared, info: DataInfo) -> DataInfo:
    """What the model gets to see: the form of the images after the transforms, of which it says what `info` has."""
    few = torch.arange(min(2, len(part.labels)))
    images, _ = part.pipeline.on_chunk(*part.chunk(0, 0, few), 0, 0, 0)
    channels, height, width = part.pipeline.on_batch(images).shape[1:]
    return replace(info, channels=channels, height=height, width=width)
