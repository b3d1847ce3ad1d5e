"""A recipe's images, loaded once a process for all cells that use them: as tensors, or as photographs of any size."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.contracts import Data, DataInfo, Environment, Split, Targets
from ablate.errors import EnvironmentProblem, UsageError
from ablate.photographs import Photographs, joined
from ablate.registry import Registry, build
from ablate.spec.identity import canonical_json, data_fingerprint
from ablate.spec.recipe import Recipe

from .seeding import generator
from .targets import KNOWN, as_tensor, dtype_problems, label_problems, name_problems

SAMPLE = 64  # images
CHUNK = 4096  # images that are transformed at once


@dataclass(frozen=True)
class Part:
    """Images uint8 `[N, C, H, W]`, or photographs, which are on disk; and labels, where they are used.

    Labels are int64 `[N]`; or float32 `[N, D]` or int64 `[N, H, W]`, where the dataset's targets are no classes.
    """

    images: Tensor | Photographs
    labels: Tensor


@dataclass(frozen=True)
class Tensors:
    """What a cell trains and evaluates on.

    Attributes:
        train: Training images.
        evaluation: The images of the recipe's `eval_split`.
        test: The test images.
        info: Their channels, size and number of classes, before any transform; photographs have the size 0.
        class_names: One a class.
    """

    train: Part
    evaluation: Part
    test: Part
    info: DataInfo
    class_names: tuple[str, ...]


def load(
    registry: Registry,
    recipe: Recipe,
    seed: int,
    environment: Environment,
    device: torch.device,
    fingerprint: str | None = None,
) -> Tensors:
    """The images of a recipe and a seed, which matters where the recipe has a split by seed.

    Args:
        registry: What is installed.
        recipe: The resolved recipe.
        seed: That of the cell.
        environment: Where data is.
        device: Where the images are to be.
        fingerprint: What `data_fingerprint` gave when the study was planned; None for whatever is there now.

    Raises:
        EnvironmentProblem: The data is missing or damaged, is not what was planned, or has no validation part and the recipe
            evaluates on it.
    """
    dataset = _Spec(registry, recipe["dataset"], canonical_json(recipe["dataset"]))
    if recipe.get("split") == "by_seed":
        loaded = _load_anew(dataset, seed, environment, device, fingerprint)
    else:
        loaded = dataset_on(dataset, environment, device, fingerprint)
    evaluation = loaded.validation if recipe["eval_split"] == "validation" else loaded.test
    if evaluation is None:
        raise EnvironmentProblem(
            "eval_split is 'validation', and the dataset holds out no images for it. "
            "Give the dataset a `validation` part, such as 0.1."
        )
    return Tensors(loaded.train, evaluation, loaded.test, loaded.info, loaded.class_names)


@dataclass(frozen=True)
class _Spec:
    """A dataset's spec, compared by its canonical text, so that a loaded one can be found again."""

    registry: Registry = field(compare=False)
    spec: Recipe = field(compare=False)
    text: str


@dataclass(frozen=True)
class _Loaded:
    """A dataset on a device."""

    train: Part
    validation: Part | None
    test: Part
    info: DataInfo
    class_names: tuple[str, ...]


@lru_cache(maxsize=2)
def dataset_on(dataset: _Spec, environment: Environment, device: torch.device, fingerprint: str | None) -> _Loaded:
    data: Data = build(dataset.registry, "dataset", dataset.spec, environment).load()
    if fingerprint is not None:  # asked after loading: what the files were before is in the key
        now = data_fingerprint(dataset.registry, dataset.spec, environment)
        if now != fingerprint:
            raise EnvironmentProblem(
                f"the data of {dataset.spec['use']!r} was changed while the study ran (its fingerprint was {fingerprint[:16]}, "
                f"and is {now[:16]}). Run it again."
            )
    if found := problems(data):
        raise EnvironmentProblem(f"dataset {dataset.spec['use']!r} cannot be trained on: {'; '.join(found)}")
    info = DataInfo(*_form(data.train.images), len(data.class_names), data.targets)
    train, test, *held_out = (
        _part(split, data.targets, device) for split in (data.train, data.test, data.validation) if split is not None
    )
    return _Loaded(train, held_out[0] if held_out else None, test, info, tuple(map(str, data.class_names)))


@lru_cache(maxsize=2)
def _load_anew(dataset: _Spec, seed: int, environment: Environment, device: torch.device, fingerprint: str | None) -> _Loaded:
    """The same images, shared out to the parts by this seed."""
    own = dataset_on(dataset, environment, torch.device("cpu"), fingerprint)
    if own.info.targets != "class":
        raise UsageError('split "by_seed" is stratified by class, and the dataset\'s targets are no classes. Remove `split`.')
    train, test, *validation = shared_out([own.train, own.test, *([own.validation] if own.validation else [])], seed)
    parts = [_on(device, part) for part in (train, test, *validation)]
    return _Loaded(parts[0], parts[2] if validation else None, parts[1], own.info, own.class_names)


def copies(registry: Registry, recipe: Recipe, environment: Environment) -> int:
    """How many images of a recipe's dataset, all parts together, equal another one of it in every pixel.

    Photographs are not decoded for it: of them, those count whose files are the same.
    """
    return _copies(_Spec(registry, recipe["dataset"], canonical_json(recipe["dataset"])), environment)


@lru_cache(maxsize=2)
def _copies(dataset: _Spec, environment: Environment) -> int:
    own = dataset_on(dataset, environment, torch.device("cpu"), None)
    parts = [own.train, own.test, *([own.validation] if own.validation else [])]
    counts = Counter(blake2b(content, digest_size=16).digest() for part in parts for content in _contents(part.images))
    return sum(count for count in counts.values() if count > 1)


def _contents(images: Tensor | Photographs) -> Iterator[bytes]:
    if isinstance(images, Photographs):
        return (images.encoded(place) for place in range(len(images)))
    return (image.numpy().tobytes() for image in images)


def shared_out(parts: Sequence[Part], seed: int) -> list[Part]:
    """The images of all parts, drawn anew for each; every part keeps its labels, so it has as many of each class as before.

    Nothing but the seed decides, so all variants of one seed have the same parts. The images of each part are copied; photographs
    stay on disk.
    """
    labels = torch.cat([part.labels for part in parts])
    source = torch.arange(len(labels))
    for label in labels.unique():
        places = (labels == label).nonzero().flatten()
        source[places] = places[torch.randperm(len(places), generator=generator(seed, "split", 0, int(label)))]
    indices = source.split([len(part.labels) for part in parts])
    return [Part(_taken([of.images for of in parts], wanted), part.labels) for part, wanted in zip(parts, indices, strict=True)]


def _taken(images: Sequence[Tensor | Photographs], indices: Tensor) -> Tensor | Photographs:
    """Images by their places in all of these together, which may be memory-mapped and are not put together."""
    photographs = [some for some in images if isinstance(some, Photographs)]
    tensors = [some for some in images if isinstance(some, Tensor)]
    if photographs:
        return joined(photographs)[indices.numpy()]
    taken = torch.empty(len(indices), *tensors[0].shape[1:], dtype=tensors[0].dtype)
    first = 0
    for some in tensors:
        here = (indices >= first) & (indices < first + len(some))
        taken[here] = some[indices[here] - first]
        first += len(some)
    return taken


def sample_digest(part: Part) -> str:
    """What tells whether two cells saw the same images: of the form and labels of all, and of the pixels of 64 among them.

    Of photographs, it is of 64 files.
    """
    count = len(part.labels)
    places = torch.linspace(0, count - 1, min(count, SAMPLE)).long()
    if isinstance(part.images, Photographs):
        form, contents = "any size", [part.images.encoded(place) for place in places.tolist()]
    else:
        some = part.images[places.to(part.images.device)].cpu().contiguous()
        form, contents = f"{list(some.shape)}", [some.numpy().tobytes()]
    made = sha256(f"{count} {form}".encode())
    made.update(part.labels.cpu().numpy().tobytes())
    for content in contents:
        made.update(content)
    return made.hexdigest()[:16]


def problems(data: Any) -> list[str]:
    """Everything in which data is not what a dataset has to give; the engine trains on nothing else, and contract tests ask it.

    Args:
        data: What a dataset's `load` gave.
    """
    if not isinstance(data, Data):
        return [f"`load` gave a {type(data).__name__}: give an ablate.contracts.Data"]
    found = list(name_problems(data.class_names, data.targets))
    parts = {"training": data.train, "test": data.test, **({"validation": data.validation} if data.validation else {})}
    if data.targets in KNOWN:
        found += [problem for name, split in parts.items() for problem in _split_problems(name, split, data)]
    if not found:
        shapes = {_form(split.images): None for split in parts.values()}
        if len(shapes) > 1:
            words = " and ".join(str(list(shape)) for shape in shapes)
            found.append(f"the parts have images of {words}: give all the same channels and size")
    return found


def _form(images: Any) -> tuple[int, int, int]:
    """Channels, height and width; of photographs, each of which has others, 0 and 0."""
    return (images.channels, 0, 0) if isinstance(images, Photographs) else images.shape[1:]


def _split_problems(name: str, split: Split, data: Data) -> Iterator[str]:
    images: Any = split.images
    array = isinstance(images, np.ndarray)
    if not isinstance(images, Photographs) and not (array and images.dtype == np.uint8):
        is_a = images.dtype if array else f"a {type(images).__name__}"
        yield f"{name} images are {is_a}: give a numpy array of uint8 from 0 to 255"
    if array and (images.ndim != 4 or 0 in images.shape[1:]):
        yield f"{name} images are {list(images.shape)}: give [N, C, H, W]"
    if array or isinstance(images, Photographs):
        yield from label_problems(name, split.labels, images, len(data.class_names), data.targets)
    else:
        yield from dtype_problems(name, split.labels, data.targets)


def _part(split: Split, targets: Targets, device: torch.device) -> Part:
    images = split.images if isinstance(split.images, Photographs) else torch.from_numpy(split.images)
    return _on(device, Part(images, as_tensor(split.labels, targets)))


def _on(device: torch.device, part: Part) -> Part:
    """The part on a device; photographs go there when they are decoded."""
    images = part.images if isinstance(part.images, Photographs) else part.images.to(device)
    return Part(images, part.labels.to(device))
