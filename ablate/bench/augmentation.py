"""Images a second on one core: each transform and the whole pipeline, against torchvision's version on PIL images, one by one."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from torchvision import transforms

from ablate.components.transforms import color, normalize, policies, random
from ablate.contracts import Json
from ablate.engine.data import CHUNK
from ablate.registry import build, default

from .common import Size, augmented, compare, figure


def _pairs(side: int) -> dict[str, tuple[Callable[..., Any], Any, str]]:
    """Ours, torchvision's, and the goal of the ratio."""
    pipeline = [build(default(), "transform", spec) for spec in augmented(side).values()]

    def ours(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        for transform in pipeline:
            images = transform(images, generator)
        return images

    theirs = [
        transforms.RandomHorizontalFlip(),
        transforms.Pad(2),
        transforms.RandomCrop(side),
        transforms.RandomApply([transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)], p=0.6),
        transforms.ToTensor(),
        transforms.Normalize([0.5], [0.5]),
    ]
    return {
        "the pipeline of q7": (ours, transforms.Compose(theirs), "≥ 6"),
        "random_horizontal_flip": (random.random_horizontal_flip(), transforms.RandomHorizontalFlip(), ""),
        "random_crop, padding 4": (random.random_crop(size=side, padding=4), transforms.RandomCrop(side, 4), ""),
        "random_rotation": (random.random_rotation(degrees=15), transforms.RandomRotation(15), ""),
        "color_jitter": (
            color.color_jitter(brightness=0.4, contrast=0.4, saturation=0.4),
            transforms.ColorJitter(0.4, 0.4, 0.4),
            "",
        ),
        "auto_augment": (policies.auto_augment(), transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10), ""),
        "rand_augment": (policies.rand_augment(), transforms.RandAugment(), ""),
        "trivial_augment": (policies.trivial_augment(), transforms.TrivialAugmentWide(), ""),
        "augmix": (policies.augmix(), transforms.AugMix(), "≥ 8"),
        "normalize": (
            normalize.normalize(mean=[0.5], std=[0.5]),
            transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]),
            "",
        ),
    }


def augmentation(size: Size) -> list[Json]:
    """Ratios of images a second, over chunks as the engine has them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    images = torch.from_numpy(size.data().train.images[: size.images])
    pictures = [Image.fromarray(image) for image in images[: max(64, size.images // 8)].permute(0, 2, 3, 1).squeeze(-1).numpy()]
    made = []
    try:
        for name, (ours, theirs, goal) in _pairs(images.shape[-1]).items():
            ways = {"ablate": partial(_chunks, ours, images), "torchvision": partial(_one_by_one, theirs, pictures)}
            seconds, _ = compare(ways, size.repeats + 1)
            rates = {"ablate": len(images) / seconds["ablate"], "torchvision": len(pictures) / seconds["torchvision"]}
            ratio = rates["ablate"] / rates["torchvision"]
            made.append(figure(f"{name}: ablate / torchvision", ratio, "×", goal, images_per_second=rates))
    finally:
        torch.set_num_threads(threads)
    return made


def _chunks(transform: Callable[..., Any], images: torch.Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    for chunk in images.split(CHUNK):
        transform(chunk, generator)


def _one_by_one(transform: Callable[..., Any], pictures: Sequence[Any]) -> None:
    for picture in pictures:
        transform(picture)
