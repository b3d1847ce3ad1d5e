"""A recipe's images as tensors, loaded once a process for all cells that use them."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.errors import EnvironmentProblem
from ablate.identity import canonical_json, data_fingerprint
from ablate.recipe import Recipe
from ablate.records import Data, DataInfo, Environment, Split
from ablate.registry import Registry, build

from .pipeline import Pipeline
from .seeding import generator

SAMPLE = 64  # images
CHUNK = 4096  # images that are transformed at once


@dataclass(frozen=True)
class Part:
    """Images uint8 `[N, C, H, W]` and labels int64 `[N]`, on the device where they are used."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Tensors:
    """What a cell trains and evaluates on.

    Attributes:
        train: Training images.
        evaluation: The images of the recipe's `eval_split`.
        test: The test images.
        info: Their channels, size and number of classes, before any transform.
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
        loaded = _load(dataset, environment, device, fingerprint)
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
def _load(dataset: _Spec, environment: Environment, device: torch.device, fingerprint: str | None) -> _Loaded:
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
    channels, height, width = data.train.images.shape[1:]
    info = DataInfo(channels, height, width, len(data.class_names))
    validation = None if data.validation is None else _part(data.validation, device)
    return _Loaded(_part(data.train, device), validation, _part(data.test, device), info, tuple(map(str, data.class_names)))


@lru_cache(maxsize=2)
def _load_anew(dataset: _Spec, seed: int, environment: Environment, device: torch.device, fingerprint: str | None) -> _Loaded:
    """The same images, shared out to the parts by this seed."""
    own = _load(dataset, environment, torch.device("cpu"), fingerprint)
    train, test, *validation = shared_out([own.train, own.test, *([own.validation] if own.validation else [])], seed)
    parts = [Part(part.images.to(device), part.labels.to(device)) for part in (train, test, *validation)]
    return _Loaded(parts[0], parts[2] if validation else None, parts[1], own.info, own.class_names)


def copies(registry: Registry, recipe: Recipe, environment: Environment) -> int:
    """How many images of a recipe's dataset, all parts together, equal another one of it in every pixel."""
    return _copies(_Spec(registry, recipe["dataset"], canonical_json(recipe["dataset"])), environment)


@lru_cache(maxsize=2)
def _copies(dataset: _Spec, environment: Environment) -> int:
    own = _load(dataset, environment, torch.device("cpu"), None)
    parts = [own.train, own.test, *([own.validation] if own.validation else [])]
    counts = Counter(
        hashlib.blake2b(image.contiguous().numpy(), digest_size=16).digest() for part in parts for image in part.images
    )
    return sum(count for count in counts.values() if count > 1)


def shared_out(parts: Sequence[Part], seed: int) -> list[Part]:
    """The images of all parts, drawn anew for each; every part keeps its labels, so it has as many of each class as before.

    Nothing but the seed decides, so all variants of one seed have the same parts. The images of each part are copied.
    """
    labels = torch.cat([part.labels for part in parts])
    source = torch.arange(len(labels))
    for label in labels.unique():
        places = (labels == label).nonzero().flatten()
        source[places] = places[torch.randperm(len(places), generator=generator(seed, "split", 0, int(label)))]
    indices = source.split([len(part.labels) for part in parts])
    return [Part(_taken([of.images for of in parts], wanted), part.labels) for part, wanted in zip(parts, indices, strict=True)]


def _taken(images: Sequence[Tensor], indices: Tensor) -> Tensor:
    """Images by their places in all of these together, which may be memory-mapped and are not put together."""
    taken = torch.empty(len(indices), *images[0].shape[1:], dtype=images[0].dtype)
    first = 0
    for some in images:
        here = (indices >= first) & (indices < first + len(some))
        taken[here] = some[indices[here] - first]
        first += len(some)
    return taken


def sample_digest(part: Part) -> str:
    """What tells whether two cells saw the same images: of the form and labels of all, and of the pixels of 64 among them."""
    count = len(part.labels)
    some = part.images[torch.linspace(0, count - 1, min(count, SAMPLE)).long().to(part.images.device)].cpu().contiguous()
    made = hashlib.sha256(f"{count} {list(some.shape)}".encode())
    made.update(part.labels.cpu().numpy().tobytes())
    made.update(some.numpy().tobytes())
    return made.hexdigest()[:16]


def problems(data: Any) -> list[str]:
    """Everything in which data is not what a dataset has to give; the engine trains on nothing else, and contract tests ask it.

    Args:
        data: What a dataset's `load` gave.
    """
    if not isinstance(data, Data):
        return [f"`load` gave a {type(data).__name__}: give an ablate.records.Data"]
    classes = len(data.class_names)
    found = []
    if not classes == len(set(data.class_names)) >= 2:
        found.append(f"class_names are {list(data.class_names)}: give at least two, each a name of its own")
    parts = {"training": data.train, "test": data.test, **({"validation": data.validation} if data.validation else {})}
    found += [problem for name, split in parts.items() for problem in _split_problems(name, split, classes)]
    if not found:
        shapes = {split.images.shape[1:]: None for split in parts.values()}
        if len(shapes) > 1:
            words = " and ".join(str(list(shape)) for shape in shapes)
            found.append(f"the parts have images of {words}: give all the same channels and size")
    return found


def _split_problems(name: str, split: Split, classes: int) -> Iterator[str]:
    images, labels = split.images, split.labels
    for kind, array, dtype in (("images", images, "uint8"), ("labels", labels, "int64")):
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            is_a = array.dtype if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            scale = " from 0 to 255" if kind == "images" else ""
            yield f"{name} {kind} are {is_a}: give a numpy array of {dtype}{scale}"
    if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
        return
    if images.ndim != 4 or 0 in images.shape[1:]:
        yield f"{name} images are {list(images.shape)}: give [N, C, H, W]"
    if labels.shape != images.shape[:1]:
        yield f"there are {len(images)} {name} images and labels of {list(labels.shape)}: give one label an image"
    elif not len(labels):
        yield f"there are no {name} images: give at least one"
    elif labels.dtype == np.int64 and not 0 <= labels.min() <= labels.max() < classes:
        yield f"{name} labels are from {labels.min()} to {labels.max()}, and there are {classes} class_names: count from 0"


@dataclass(frozen=True)
class _Once:
    """Images and what is done to them once, compared by a text that says both."""

    images: Tensor = field(compare=False)
    pipeline: Pipeline = field(compare=False)
    text: str


def prepare(part: Part, pipeline: Pipeline, recipe: Recipe, transforms: str) -> tuple[Part, Pipeline]:
    """Does what a pipeline would do to every image in every epoch alike once, for all cells of this process.

    Args:
        part: Images of the recipe's dataset.
        pipeline: What they go through.
        recipe: The recipe.
        transforms: The field of the recipe that the pipeline was made from.

    Returns:
        The images, and the rest of the pipeline.

    Raises:
        TransformError: A transform failed.
    """
    names = pipeline.prefix(part.images[:2])
    if not names:
        return part, pipeline
    done = [[name, recipe[transforms][name]] for name in names]
    which = [part.images.data_ptr(), list(part.images.shape), str(part.images.device), done]  # the cache keeps the images alive
    rest = pipeline.without(names)
    once = pipeline.without(list(rest.transforms))
    return Part(_applied(_Once(part.images, once, canonical_json(which))), part.labels), rest


@lru_cache(maxsize=4)
def _applied(once: _Once) -> Tensor:
    done = torch.cat([once.pipeline.exactly(chunk) for chunk in once.images.split(CHUNK)])
    if done.is_cuda:
        torch.cuda.current_stream(done.device).synchronize()  # other cells, with streams of their own, will have it too
    return done


def _part(split: Split, device: torch.device) -> Part:
    return Part(torch.from_numpy(split.images).to(device), torch.from_numpy(split.labels).to(device))
