"""The way of a script: Dataset, DataLoader, and torchvision's transforms on PIL images; one run a process.

python -m ablate.bench.script images.npz '{"optimizer": "sgd", "seed": 0, "epochs": 3, "augment": false}'
"""

import json
import sys
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn, optim
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ablate.components.models import net
from ablate.records import DataInfo


class Images(Dataset[tuple[Any, int]]):
    """Arrays as PIL images, one at a time."""

    def __init__(self, images: Any, labels: Any, transform: Any):
        self.images, self.labels, self.transform = images.transpose(0, 2, 3, 1), labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.transform(Image.fromarray(self.images[index].squeeze())), int(self.labels[index])


def main(path: str, settings: dict[str, Any]) -> None:
    if settings.get("threads"):
        torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    arrays = np.load(path)
    channels, side = arrays["train_images"].shape[1], arrays["train_images"].shape[2]
    plain = [transforms.ToTensor(), transforms.Normalize([0.5] * channels, [0.5] * channels)]
    augment = [
        transforms.RandomHorizontalFlip(),
        transforms.Pad(2),
        transforms.RandomCrop(side),
        transforms.RandomApply([transforms.AutoAugment(transforms.AutoAugmentPolicy.CIFAR10)], p=0.6),
    ]
    train_transform = transforms.Compose([*(augment if settings["augment"] else []), *plain])
    train = Images(arrays["train_images"], arrays["train_labels"], train_transform)
    test = Images(arrays["test_images"], arrays["test_labels"], transforms.Compose(plain))
    loaders = DataLoader(train, batch_size=64, shuffle=True), DataLoader(test, batch_size=64)
    model = net(DataInfo(channels, side, side, int(arrays["train_labels"].max()) + 1))
    if settings["optimizer"] == "sgd":
        optimizer: optim.Optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    else:
        optimizer = optim.Adam(model.parameters(), lr=0.001)
    for _ in range(settings["epochs"]):
        model.train()
        for images, labels in loaders[0]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for images, labels in loaders[1]:
                correct += int((model(images).argmax(1) == labels).sum())
    sys.stdout.write(json.dumps({"accuracy": correct / len(test)}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
