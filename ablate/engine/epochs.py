"""What follows the epoch: a training transform, an optimizer, or a part of the model or the loss that has `at_epoch`.

It is told the epoch before each, and again where a training goes on. Until it is told, it is as in the first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ablate.contracts import Horizon
from ablate.errors import describe

from .build import Parts, blame
from .prepared import Prepared
from .seeding import global_rng


def follows(part: Any) -> bool:
    """Whether something is to be told the epoch."""
    return any(hasattr(one, "at_epoch") for one in _pieces(part))


def tell(epoch: int, horizon: Horizon, *parts: Any) -> None:
    """Tells each of these, as far as it wants to know, which epoch begins, from 0."""
    for part in parts:
        for one in _pieces(part):
            if hasattr(one, "at_epoch"):
                one.at_epoch(epoch, horizon)


def followed_by(parts: Parts) -> str:
    """Why a CUDA graph would keep the first epoch; empty where nothing in it follows the epoch."""
    named = {"model": parts.model, "loss": parts.loss, "optimizer": parts.optimizer}
    return next((f"the {name} changes with the epoch" for name, part in named.items() if follows(part)), "")


def _pieces(part: Any) -> Iterator[Any]:
    yield from part.modules() if isinstance(part, nn.Module) else (part,)


def tell_transforms(epoch: int, horizon: Horizon, transforms: Mapping[str, Any], field: str) -> None:
    """Tells transforms the epoch; what goes wrong is theirs.

    Raises:
        PartError: One of them fails.
    """
    for name, transform in transforms.items():
        with blame(f"{field}.{name}"):
            tell(epoch, horizon, transform)


def try_epochs(parts: Parts, transforms: Mapping[str, Any], part: Prepared) -> None:
    """Trains forward in the first, a middle and the last epoch, where something follows the epoch.

    Args:
        parts: What is trained.
        transforms: All of the training, by name.
        part: A few images.

    Raises:
        PartError: With the place of what cannot work.
    """
    anything = [parts.model, parts.loss, parts.optimizer, *transforms.values()]
    if not any(map(follows, anything)):
        return
    epochs = parts.horizon.epochs
    parts.model.train()
    for epoch in sorted({epochs // 2, epochs - 1, 0}, reverse=True):  # it is left as at the beginning
        tell_transforms(epoch, parts.horizon, transforms, "train_transforms")
        for name in ("model", "loss", "optimizer"):
            with blame(name):
                tell(epoch, parts.horizon, getattr(parts, name))
        chunk = part.chunk(epoch, 0, torch.arange(len(part.labels)))
        images = part.pipeline.on_batch(part.pipeline.on_chunk(*chunk, 0, epoch, 0)[0])
        with blame("model"), global_rng(0, "preflight"), torch.no_grad():
            _forward(parts.model, images, epoch)


def _forward(model: nn.Module, images: Tensor, epoch: int) -> None:
    try:
        model(images)
    except Exception as error:  # a model is anybody's code
        form = "×".join(map(str, images.shape[1:]))
        raise ValueError(f"does not take the images of epoch {epoch + 1}, which are {form}: {describe(error)}") from error
