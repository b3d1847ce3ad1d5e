"""kornia's augmentations as a transform of ablate: those that draw for every image."""

import inspect
import typing
from collections.abc import Mapping
from typing import Annotated, Any

import torch
from kornia import augmentation as library
from torch import Generator, Tensor

from ablate.engine.seeding import seed_global
from ablate.plugin import Choices, Transform

BATCH = 256  # images that kornia gets at once: enough to be fast, and few enough for what it keeps in memory beside them
BASES = {"AugmentationBase2D", "GeometricAugmentationBase2D", "IntensityAugmentationBase2D", "RigidAffineAugmentationBase2D"}
_NO_DRAW = "draws nothing, and the core has transforms for it"
_ORDER = "draws the order of its operations once a batch"
LEFT_OUT = {
    "CenterCrop": _NO_DRAW,
    "ColorJiggle": _ORDER,
    "ColorJitter": _ORDER,
    "Denormalize": _NO_DRAW,
    "LongestMaxSize": _NO_DRAW,
    "Normalize": _NO_DRAW,
    "PadTo": _NO_DRAW,
    "RandomDissolving": "needs a diffusion model",
    "RandomMotionBlur": "draws the size of its kernel once a batch",
    "Resize": _NO_DRAW,
    "SmallestMaxSize": _NO_DRAW,
}
PER_BATCH = {"keepdim", "p_batch", "same_on_batch"}  # arguments that belong to batches


def names() -> list[str]:
    """The augmentations of images that draw for every image."""
    base = library.AugmentationBase2D
    found = [name for name, value in vars(library).items() if isinstance(value, type) and issubclass(value, base)]
    return sorted(set(found) - BASES - set(LEFT_OUT))


def kornia(*, name: Annotated[str, Choices(names)], arguments: dict[str, Any] = {}) -> Transform:  # noqa: B006
    """An augmentation of kornia (Riba et al., 2020, arXiv 1910.02190), with a draw of its own for every image.

    kornia works on numbers in [0, 1]. uint8 images are divided by 255 for it, and come back cut to [0, 1], multiplied by 255
    and rounded to the nearest number, halves to the even one. float32 images go through as they are.

    Args:
        name: Name of its class in `kornia.augmentation`, such as `RandomGaussianBlur`.
        arguments: What its constructor is given; lists stand for tuples and tensors.

    Raises:
        ValueError: The class has no such argument, or does not work with its value.
    """
    settings = _settings(name, arguments)
    augmentation = _make(name, settings)
    always = _make(name, settings | {"p": 1.0})
    tried: set[tuple[int, ...]] = set()

    def apply(images: Tensor, generator: Generator) -> Tensor:
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.no_grad(), torch.random.fork_rng([images.device] if images.is_cuda else []):
            if images.shape[1:] not in tried:  # with p < 1 the images of a trial may all be left as they are
                _augment(always, images[:1])
                tried.add(images.shape[1:])
            seed_global(seed)  # kornia draws from the global generator, and from nowhere else
            return torch.cat([_augment(augmentation, batch) for batch in images.split(BATCH)])

    return apply


def _settings(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the constructor wants them."""
    constructor = getattr(library, name).__init__
    parameters = list(inspect.signature(constructor).parameters.values())[1:]
    known = {p.name for p in parameters if p.kind is not p.VAR_KEYWORD} - PER_BATCH
    unknown = [argument for argument in arguments if argument not in known]
    if unknown:
        raise ValueError(f"{name!r} has no argument {unknown[0]!r}. It takes: {', '.join(sorted(known))}.")
    missing = [p.name for p in parameters if p.name in known and p.default is p.empty and p.name not in arguments]
    if missing:
        raise ValueError(f"{name!r} needs {', '.join(missing)} in `arguments`. It takes: {', '.join(sorted(known))}.")
    hints = typing.get_type_hints(constructor)
    return {key: _value(value, hints[key]) for key, value in arguments.items()}


def _value(value: Any, hint: Any) -> Any:
    """Lists are tuples, or tensors where kornia takes nothing else."""
    if not isinstance(value, list):
        return value
    kinds = {typing.get_origin(kind) or kind for kind in typing.get_args(hint) or (hint,)}
    return torch.tensor(value) if kinds <= {Tensor, type(None)} else tuple(value)


def _make(name: str, settings: Mapping[str, Any]) -> Any:
    try:
        made = getattr(library, name)(**settings)
    except Exception as error:  # kornia's classes may complain in any way
        raise ValueError(f"{name!r} does not work with {dict(settings)}: {error}") from error
    if made.p_batch != 1:
        raise ValueError(f"{name!r} draws once a batch whether it is applied, so its `p` must be 1")
    return made


def _augment(augmentation: Any, images: Tensor) -> Tensor:
    if images.dtype != torch.uint8:
        floats: Tensor = augmentation(images)
        return floats
    floats = augmentation(images.float().div_(255))
    return floats.clamp(0, 1).mul(255).round().to(torch.uint8)
