"""The way of a script: Dataset, DataLoader, and torchvision's transforms on PIL images; one run a process.

python -m ablate.bench.script images.npz '{"recipe": …, "seed": 0, "epochs": 3, "device": "cpu", "threads": 1, "workers": 0}'
"""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import optim
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ablate.contracts import DataInfo, Horizon
from ablate.registry import build, default
from ablate.spec.recipe import Recipe

CORE = "ablate-core:"
OPTIMIZERS: Mapping[str, Any] = {"sgd": optim.SGD, "adam": optim.Adam, "adamw": optim.AdamW}
UNUSED = ("grad_clip", "ema", "select", "step", "sampler")


class Images(Dataset[tuple[Any, int]]):
    """Arrays as PIL images, one at a time."""

    def __init__(self, images: Any, labels: Any, transform: Any):
        self.images, self.labels, self.transform = images.transpose(0, 2, 3, 1), labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index].squeeze())), int(self.labels[index])


def transform_of(spec: Mapping[str, Any]) -> Any:
    """torchvision's version of one of the core's transforms.

    Raises:
        ValueError: The script does not know it.
    """
    match spec["use"].removeprefix(CORE):
        case "normalize":
            return transforms.Compose([transforms.ToTensor(), transforms.Normalize(spec["mean"], spec["std"])])
        case "random_horizontal_flip":
            return transforms.RandomHorizontalFlip(spec["p"])
        case "pad":
            return transforms.Pad(spec["padding"], int(spec["fill"]), spec["mode"])
        case "random_crop":
            return transforms.RandomCrop(spec["size"], spec["padding"] or None)
        case "random_apply":
            return transforms.RandomApply([transform_of(inner) for inner in spec["transforms"].values()], spec["p"])
        case "auto_augment":
            return transforms.AutoAugment(transforms.AutoAugmentPolicy(spec["policy"]))
        case name:
            raise ValueError(f"the script has no transform {name!r}")


def check(recipe: Recipe) -> None:
    """Whether the script can do what a resolved recipe says.

    Raises:
        ValueError: It cannot.
    """
    for field in ("train_transforms", "eval_transforms"):
        for spec in recipe[field].values():
            transform_of(spec)
    if recipe["optimizer"]["use"].removeprefix(CORE) not in OPTIMIZERS:
        raise ValueError(f"the script has no optimizer {recipe['optimizer']['use']!r}")
    used = [field for field in UNUSED if recipe.get(field) is not None]
    if used or recipe["accumulate"] != 1:
        raise ValueError(f"the script has no {', '.join(used) or 'accumulate'}")


def main(path: str, settings: dict[str, Any]) -> None:
    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    recipe, device, registry = settings["recipe"], torch.device(settings["device"]), default()
    arrays = np.load(path)
    sets = [
        Images(
            arrays[f"{part}_images"],
            arrays[f"{part}_labels"],
            transforms.Compose([transform_of(spec) for spec in recipe[field].values()]),
        )
        for part, field in (("train", "train_transforms"), ("test", "eval_transforms"))
    ]
    more: dict[str, Any] = {"num_workers": settings["workers"], "persistent_workers": settings["workers"] > 0}
    more |= {"batch_size": recipe["batch_size"], "pin_memory": device.type == "cuda"}
    loaders = DataLoader(sets[0], shuffle=True, **more), DataLoader(sets[1], **more)
    channels, side = arrays["train_images"].shape[1], arrays["train_images"].shape[2]
    model = build(registry, "model", recipe["model"], DataInfo(channels, side, side, int(arrays["train_labels"].max()) + 1))
    build(registry, "initializer", recipe["initializer"], model, torch.default_generator)
    model.to(device)
    parameters = {name: value for name, value in recipe["optimizer"].items() if name != "use"}
    optimizer = OPTIMIZERS[recipe["optimizer"]["use"].removeprefix(CORE)](model.parameters(), **parameters)
    factor = build(registry, "scheduler", recipe["scheduler"], Horizon(settings["epochs"], len(loaders[0])))
    scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: factor(epoch * len(loaders[0])))
    loss = build(registry, "loss", recipe["loss"])
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=recipe["precision"] == "bfloat16")
    seconds = []
    for _ in range(settings["epochs"]):
        started = time.perf_counter()
        model.train()
        for images, labels in loaders[0]:
            optimizer.zero_grad()
            with autocast:
                value = loss(model(images.to(device, non_blocking=True)), labels.to(device, non_blocking=True))
            value.backward()
            optimizer.step()
        scheduler.step()
        model.eval()
        correct = 0
        with torch.no_grad(), autocast:
            for images, labels in loaders[1]:
                correct += int((model(images.to(device)).argmax(1) == labels.to(device)).sum())
        seconds.append(time.perf_counter() - started)
    sys.stdout.write(json.dumps({"accuracy": correct / len(sets[1]), "seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
