"""Any of torchvision's transforms, image by image: slower, and always available."""

from typing import Annotated, Any

import torch
from torch import Generator, Tensor
from torchvision.transforms import v2

from ablate.params import Choices

from . import Transform

MIXING = {"CutMix", "MixUp"}  # they take batches with labels, and are components of their own


def _names() -> list[str]:
    classes = {name: value for name, value in vars(v2).items() if isinstance(value, type)}
    return sorted(n for n, c in classes.items() if issubclass(c, v2.Transform) and c is not v2.Transform and n not in MIXING)


def torchvision(*, name: Annotated[str, Choices(_names)], arguments: dict[str, Any] = {}) -> Transform:  # noqa: B006
    """A transform of `torchvision.transforms.v2`, called once for each image.

    Args:
        name: Name of its class, such as `GaussianBlur`.
        arguments: What its constructor is given.
    """
    transform = getattr(v2, name)(**arguments)

    def apply(images: Tensor, generator: Generator) -> Tensor:
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the global generator, and from nowhere else
            torch.manual_seed(seed)
            return torch.stack([transform(image) for image in images])

    return apply
