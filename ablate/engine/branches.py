"""Every branch of a recipe's transforms, tried: what a draw decides in training is made to happen here."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ablate.contracts import Json
from ablate.errors import Problem
from ablate.registry import Registry, build
from ablate.spec.patch import join

from .build import PartError, blame
from .masks import UNKNOWN, knows_masks
from .pipeline import Pipeline, TransformError
from .seeding import generator

COPIES = 64  # of images, so that each outcome of a draw without a probability in the spec happens to some of them
MOST_BYTES = 64 << 20  # of the copies
PROBABILITIES = {"p", "prob", "probability"}  # what such a parameter is called, here and in torchvision and kornia


def try_transforms(
    registry: Registry, specs: Mapping[str, Json], field: str, pipeline: Pipeline, images: Tensor, labels: Tensor
) -> None:
    """Tries each transform in its place: what it is made of by itself, applied to every image, and applied to none.

    Args:
        registry: What is installed.
        specs: The transforms' resolved specs, by name.
        field: `train_transforms` or `eval_transforms`.
        pipeline: What they make.
        images: A few of those that come in.
        labels: Theirs.

    Raises:
        PartError: With the place of what cannot work.
        TransformError: A transform fails.
    """
    copies = min(-(-COPIES // len(images)), max(1, MOST_BYTES // images.nbytes))
    images, labels = torch.cat([images] * copies), torch.cat([labels] * copies)
    for name, spec in specs.items():
        path, transform = f"{field}.{name}", pipeline.transforms[name]
        if field == "eval_transforms" and hasattr(transform, "mix"):
            raise PartError(path, "it mixes images and their labels, and metrics need images of one class: remove it here")
        if field == "eval_transforms" and hasattr(transform, "at_epoch"):
            raise PartError(path, "it changes with the epoch, and every epoch is evaluated alike: remove it here")
        _try_nested(registry, spec, path, images, transform, masks=labels.ndim == 3)
        outcomes = []
        for probability in (1.0, 0.0):
            forced = with_probability(spec, probability)
            if forced != spec:
                with blame(path):
                    other = build(registry, "transform", forced)
                outcomes.append(_applied(pipeline, name, other, images, labels)[0])
        out, out_labels = _applied(pipeline, name, transform, images, labels)
        _must_be_alike(path, [out, *outcomes])
        images, labels = out, out_labels


def with_probability(spec: Json, probability: float) -> Json:
    """The spec with each probability in it that leaves something to chance at this value, at any depth."""
    if isinstance(spec, Mapping):
        return {
            name: probability
            if name in PROBABILITIES and isinstance(value, float | int) and 0 < value < 1
            else with_probability(value, probability)
            for name, value in spec.items()
        }
    return [with_probability(item, probability) for item in spec] if isinstance(spec, list) else spec


def _applied(pipeline: Pipeline, name: str, transform: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    draws = None if getattr(transform, "deterministic", False) else generator(0, f"preflight/{name}")
    return pipeline.apply(name, transform, images, labels, draws)


def _must_be_alike(path: str, outcomes: list[Tensor]) -> None:
    """What a draw decides on cannot change the form of the images, which are one tensor afterwards."""
    forms = {f"{str(out.dtype).removeprefix('torch.')} {list(out.shape[1:])}" for out in outcomes}
    if len(forms) > 1:
        raise PartError(path, f"makes {' or '.join(sorted(forms))} of an image, as its draw is; images of one batch are alike")


def _try_nested(registry: Registry, spec: Mapping[str, Json], path: str, images: Tensor, holder: Any, masks: bool) -> None:
    """Tries each transform inside of another one, on the images that come in or as the one before it leaves them."""
    outer = spec["use"].rpartition(":")[2]
    for parameter, described in registry.load("transform", spec["use"]).signature.parameters.items():
        nested, value = described.nested, spec[parameter]
        if nested is None or nested.kind != "transform" or value is None:
            continue
        seen = [images]
        for member, inner in value.items() if nested.many else [("", value)]:
            if inner is None:
                continue
            place = join(join(path, parameter), member) if member else join(path, parameter)
            with blame(place):
                transform = build(registry, "transform", inner)
            if hasattr(transform, "at_epoch") and not hasattr(holder, "at_epoch"):
                raise PartError(place, f"it changes with the epoch, and {outer} hands no epoch on: name it beside {outer}")
            if hasattr(transform, "mix") and not hasattr(holder, "mix"):
                message = f"it mixes images and their labels, and {outer} hands no labels on"
                raise PartError(place, f"{message}: name it beside {outer}, with its own `p`")
            if masks and not knows_masks(transform):
                raise PartError(place, UNKNOWN)
            _try_nested(registry, inner, place, images, transform, masks)
            if not hasattr(transform, "mix"):
                seen.append(_first_that_works(place, transform, seen))


def _first_that_works(place: str, transform: Any, inputs: list[Tensor]) -> Tensor:
    pipeline = Pipeline({}, "preflight", 0)
    errors = []
    for images in (inputs[0], inputs[-1]):
        try:
            return _applied(pipeline, place, transform, images, images)[0]
        except TransformError as error:
            errors.append(error)
    raise PartError(place, str(errors[0])) from errors[0]


def notes_of_random_evaluation(pipeline: Pipeline, images: Tensor) -> Iterator[Problem]:
    """Names the transforms of evaluation that draw: what they draw is noise in the result."""
    for name, transform in pipeline.transforms.items():
        draws = generator(0, f"preflight/{name}")
        before = draws.get_state()
        given = None if getattr(transform, "deterministic", False) else draws
        images, _ = pipeline.apply(name, transform, images, images, given)
        if not torch.equal(before, draws.get_state()):
            yield Problem(f"eval_transforms.{name}", "draws at random, so that metrics depend on what it draws for each image")
