"""The best loop that we can write by hand for two cores: tensors in memory, channels_last, one thread, several runs a process.

It starts each run from the same weights and takes the same batches as the engine does, so that the results can be compared.

    python -m ablate.bench.by_hand images.npz '{"epochs": 3, "runs": [["sgd", 0], ["adam", 0]]}'
"""

import json
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from ablate.components.models import net
from ablate.engine.seeding import generator, global_rng
from ablate.records import DataInfo


def main(path: str, settings: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    arrays = np.load(path)
    images, test = (_normalized(arrays[f"{part}_images"]) for part in ("train", "test"))
    labels, test_labels = (torch.from_numpy(arrays[f"{part}_labels"]) for part in ("train", "test"))
    results = []
    for name, seed in settings["runs"]:
        results.append([name, seed, _run(images, labels, test, test_labels, settings["epochs"], name, seed)])
    sys.stdout.write(json.dumps(results))


def _normalized(images: Any) -> Tensor:
    return ((torch.from_numpy(images).float() - 127.5) / 127.5).contiguous(memory_format=torch.channels_last)


def _run(images: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, epochs: int, name: str, seed: int) -> float:
    with global_rng(seed, "model"):
        model = net(DataInfo(*images.shape[1:], int(labels.max()) + 1))  # type: ignore[call-arg]
    model.to(memory_format=torch.channels_last)
    if name == "sgd":
        optimizer: optim.Optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9, fused=True)
    else:
        optimizer = optim.Adam(model.parameters(), lr=0.001, fused=True)
    accuracy = 0.0
    for epoch in range(epochs):
        model.train()
        for batch in torch.randperm(len(labels), generator=generator(seed, "order", epoch)).split(64):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            logits = torch.cat([model(part) for part in test.split(1000)])
        accuracy = (logits.argmax(1) == test_labels).double().mean().item()
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
