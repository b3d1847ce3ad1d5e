"""Any of torchvision's transforms, image by image: slower, and always available."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import torch
from torch import Generator, Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from ablate.engine.seeding import global_generators_kept
from ablate.registry.params import Choices

from . import Transform

_BOXES = "is for boxes, points or videos"
_FORM = "gives images of many forms, or none"
_INPUT = "takes what JSON does not have, such as other transforms"
_NOTHING = "does nothing to a tensor"
_OWN = "takes labels, and is a component of its own"
LEFT_OUT = {
    "ClampBoundingBoxes": _BOXES,
    "ClampKeyPoints": _BOXES,
    "Compose": _INPUT,
    "ConvertBoundingBoxFormat": _BOXES,
    "CutMix": _OWN,
    "FiveCrop": _FORM,
    "Lambda": _INPUT,
    "LinearTransformation": _INPUT,
    "MixUp": _OWN,
    "PILToTensor": _NOTHING,
    "RandomApply": _INPUT,
    "RandomChoice": _INPUT,
    "RandomIoUCrop": _BOXES,
    "RandomOrder": _INPUT,
    "RandomResize": _FORM,
    "RandomZoomOut": _FORM,
    "SanitizeBoundingBoxes": _BOXES,
    "SanitizeKeyPoints": _BOXES,
    "ScaleJitter": _FORM,
    "SetClampingMode": _BOXES,
    "TenCrop": _FORM,
    "ToDtype": _INPUT,
    "ToImage": _NOTHING,
    "ToPILImage": _FORM,
    "ToPureTensor": _NOTHING,
    "ToTensor": _NOTHING,
    "UniformTemporalSubsample": _BOXES,
}


def names_of_torchvision() -> list[str]:
    classes = {name: value for name, value in vars(v2).items() if isinstance(value, type)}
    found = {name for name, value in classes.items() if issubclass(value, v2.Transform) and value is not v2.Transform}
    return sorted(found - set(LEFT_OUT))


def torchvision(*, name: Annotated[str, Choices(names_of_torchvision)], arguments: dict[str, Any] = {}) -> Transform:  # noqa: B006
    """A transform of `torchvision.transforms.v2`, called once for each image. Masks go through it as its `Mask` does.

    Args:
        name: Name of its class, such as `GaussianBlur`.
        arguments: What its constructor is given.
    """
    transform = getattr(v2, name)(**arguments)
    for_masks = {"fill": {tv_tensors.Mask: 0, "others": arguments["fill"]}} if "fill" in arguments else {}
    with_both = getattr(v2, name)(**arguments | for_masks)

    def apply(images: Tensor, generator: Generator) -> Tensor:
        with _seeded(generator):
            return torch.stack([transform(image) for image in images])

    def with_masks(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        with _seeded(generator):
            pairs = [with_both(image, tv_tensors.Mask(mask)) for image, mask in zip(images, masks, strict=True)]
        return torch.stack([image for image, _ in pairs]), torch.stack([mask.as_subclass(Tensor) for _, mask in pairs])

    apply.with_masks = with_masks  # type: ignore[attr-defined]
    return apply


@contextmanager
def _seeded(generator: Generator) -> Iterator[None]:
    """The global generators, from which torchvision draws, and from nowhere else, seeded by a draw."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with global_generators_kept():
        torch.manual_seed(seed)
        yield
