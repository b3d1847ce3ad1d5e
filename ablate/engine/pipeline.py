"""A recipe's transforms as one function of a chunk of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ablate.contracts import Targets
from ablate.errors import describe

from .masks import as_images, as_labels, stays, together
from .seeding import generator

_FRAME = (
    'begin with {"use": "random_resized_crop", "size": 224}, or with {"use": "resize", "size": 256} and '
    '{"use": "center_crop", "size": 224}, as evaluation does; or give the dataset a `size`'
)


class TransformError(ValueError):
    """A transform does not fit the images that it gets; `name` says which."""

    def __init__(self, name: str, message: str):
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Pipeline:
    """Transforms by name, in their order.

    Random ones take a large chunk, so that images with the same draw are many. The last ones that are `deterministic` take a
    batch, which fits into the processor's cache.

    Attributes:
        transforms: Callables `(images, generator) -> images`, or objects with `mix(images, soft_labels, generator)`.
        purpose: `train` or `eval`; part of the names of the draws.
        classes: Number of classes, for soft labels.
        targets: What the labels are: masks go through the transforms with the images.
    """

    transforms: Mapping[str, Any]
    purpose: str
    classes: int
    targets: Targets = "class"

    @cached_property
    def _last(self) -> list[str]:
        """The names of the transforms at the end that need neither draws nor labels."""
        backwards = reversed(list(self.transforms.items()))
        return [name for name, _ in takewhile(lambda item: self._of_images_alone(item[1]), backwards)][::-1]

    def _of_images_alone(self, transform: Any) -> bool:
        """Whether a transform draws nothing, and what it does to images leaves their labels as they are."""
        return getattr(transform, "deterministic", False) and (self.targets != "mask" or stays(transform))

    def prefix(self, images: Tensor) -> list[str]:
        """The names of the first transforms that draw nothing and keep uint8: what they make of an image is always the same.

        Where labels are masks, only those that leave masks alone.

        Args:
            images: A few of those that go in.
        """
        names = []
        for name, transform in self.transforms.items():
            if not self._of_images_alone(transform) or hasattr(transform, "at_epoch"):
                break
            images, _ = self.apply(name, transform, images, images, None)
            if images.dtype != torch.uint8:
                break
            names.append(name)
        return names

    def head(self) -> "Pipeline":
        """The first transforms, up to the one after which images of any size have one.

        Raises:
            TransformError: There is none, or one of them mixes images.
        """
        names = []
        for name, transform in self.transforms.items():
            names.append(name)
            if hasattr(transform, "mix"):
                raise TransformError(name, f"it mixes images, which have sizes of their own there: {_FRAME}")
            if getattr(transform, "fixes_size", False):
                return replace(self, transforms={name: self.transforms[name] for name in names})
        raise TransformError("", f"the images have sizes of their own, and no transform gives them one: {_FRAME}")

    def without(self, names: Sequence[str]) -> "Pipeline":
        """The pipeline that has only the other transforms; they draw what they would have drawn."""
        return replace(self, transforms={name: t for name, t in self.transforms.items() if name not in names})

    def on_chunk(self, images: Tensor, labels: Tensor, seed: int, epoch: int, chunk: int) -> tuple[Tensor, Tensor]:
        """All transforms but the last deterministic ones. Each has draws of its own, named by seed, epoch and chunk.

        Args:
            images: uint8 `[N, C, H, W]`.
            labels: int64 `[N]`, or what else the dataset's targets are.
            seed: The cell's seed.
            epoch: From 0.
            chunk: Which part of the epoch, from 0.

        Returns:
            Images `[N, C', H', W']`, and labels: as they came, or float32 `[N, classes]` where images were mixed, or masks
            `[N, H', W']`.

        Raises:
            TransformError: A transform failed.
        """
        for name, transform in self.transforms.items():
            if name in self._last:
                break
            draws = generator(seed, f"{self.purpose}/{name}", epoch, chunk)
            images, labels = self.apply(name, transform, images, labels, draws)
        return images, labels

    def exactly(self, images: Tensor) -> Tensor:
        """All transforms of a pipeline that has only deterministic ones.

        Raises:
            TransformError: A transform failed.
        """
        return self._exactly(list(self.transforms), images)

    def _exactly(self, names: Sequence[str], images: Tensor) -> Tensor:
        for name in names:
            images, _ = self.apply(name, self.transforms[name], images, images, None)
        return images

    def on_batch(self, images: Tensor) -> Tensor:
        """The last deterministic transforms: images as `on_chunk` gives them -> float32 `[N, C', H', W']`, channels last.

        Raises:
            TransformError: A transform failed, or what comes out is not float32.
        """
        images = self._exactly(self._last, images)
        if images.dtype != torch.float32:
            name = next(reversed(list(self.transforms)), "")
            raise TransformError(name, f"the images are {images.dtype} at the end, and the model needs float32: add `normalize`")
        return images.contiguous(memory_format=torch.channels_last)

    def apply(
        self, name: str, transform: Any, images: Tensor, labels: Tensor, draws: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """One of the transforms; masks `[N, H, W]` go through it with their images, other labels only where it mixes.

        Raises:
            TransformError: It failed, or what comes out is not as many images.
        """
        count = len(images)
        try:
            if labels.ndim == 3:
                images, masks = together(transform, images, as_images(labels), draws)
                labels = as_labels(masks)
            elif hasattr(transform, "mix"):
                soft = labels if labels.is_floating_point() else one_hot(labels, self.classes).float()
                images, labels = transform.mix(images, soft, draws)
            else:
                images = transform(images, draws)
        except Exception as error:  # any library may complain in any way; the name of the transform is what helps
            raise TransformError(name, describe(error)) from error
        if not isinstance(images, Tensor) or images.ndim != 4 or len(images) != count:
            got = f"{tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
            raise TransformError(name, f"gave {got} for {count} images; expected a tensor [{count}, C, H, W]")
        return images, labels
