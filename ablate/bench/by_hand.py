"""The best loop that we can write by hand: tensors in memory, channels_last, a thread, several runs a process; a graph on a GPU.

It starts each run from the same weights and takes the same batches as the engine does, so that the results can be compared.

    python -m ablate.bench.by_hand images.npz '{"recipe": …, "epochs": 3, "device": "cpu", "runs": [["sgd", 0], ["adam", 0]]}'
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from ablate.contracts import DataInfo
from ablate.engine.seeding import generator, global_rng
from ablate.engine.turns import arithmetic
from ablate.registry import build, default

EAGER_STEPS = 3  # before the capture, as the engine has them

Train = Callable[[Tensor], None]  # on a batch, by its indices


def main(path: str, settings: dict[str, Any]) -> None:
    torch.set_num_threads(1)
    device = torch.device(settings["device"])
    images = on_device(Path(path), device)
    with arithmetic(settings["recipe"]["precision"]) if device.type == "cuda" else nullcontext():  # what the engine computes with
        results = [[name, seed, trained(images, settings, name, seed)[0]] for name, seed in settings["runs"]]
    sys.stdout.write(json.dumps(results))


def on_device(path: Path, device: torch.device) -> dict[str, Tensor]:
    """The arrays of a file as tensors, images normalised and channels last, as `train_images` and so on."""
    arrays = np.load(path)
    return {
        name: _normalized(values, device) if name.endswith("images") else torch.from_numpy(values).to(device)
        for name, values in arrays.items()
    }


def _normalized(images: Any, device: torch.device) -> Tensor:
    tensor = (torch.from_numpy(images).to(device).float() - 127.5) / 127.5
    return tensor.contiguous(memory_format=torch.channels_last)


def trained(data: Mapping[str, Tensor], settings: Mapping[str, Any], name: str, seed: int) -> tuple[float, list[float]]:
    """Trains once.

    Args:
        data: As `on_device` gives it.
        settings: A resolved `recipe`, of which this knows what the study of the benchmark needs, and the number of `epochs`.
        name: `sgd` or `adam`.
        seed: Of the weights and the order of the images.

    Returns:
        The test accuracy after the last epoch, and the seconds of training in each.
    """
    device = data["train_images"].device
    if device.type != "cuda":
        return _trained(data, settings, name, seed)
    stream = torch.cuda.Stream(device)  # none but such is captured
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        return _trained(data, settings, name, seed)


def _trained(data: Mapping[str, Tensor], settings: Mapping[str, Any], name: str, seed: int) -> tuple[float, list[float]]:
    images, labels, test = (data[part] for part in ("train_images", "train_labels", "test_images"))
    recipe, device = settings["recipe"], images.device
    with global_rng(seed, "model"):
        info = DataInfo(*images.shape[1:], int(labels.max()) + 1)  # type: ignore[call-arg]
        model: nn.Module = build(default(), "model", recipe["model"], info)
    model.to(device).to(memory_format=torch.channels_last)
    if name == "sgd":
        optimizer: optim.Optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9, fused=True)
    else:
        optimizer = optim.Adam(model.parameters(), lr=0.001, fused=True, capturable=device.type == "cuda")
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=recipe["precision"] == "bfloat16")

    def step(batch: Tensor, targets: Tensor) -> None:
        with autocast:
            loss = nn.functional.cross_entropy(model(batch), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    size = recipe["batch_size"]
    train = _captured(step, images, labels, size) if device.type == "cuda" else lambda batch: step(images[batch], labels[batch])
    accuracy, seconds = 0.0, []
    for epoch in range(settings["epochs"]):
        model.train()
        started = time.perf_counter()
        for batch in torch.randperm(len(labels), generator=generator(seed, "order", epoch)).to(device).split(size):
            train(batch)
        if device.type == "cuda":
            torch.cuda.current_stream(device).synchronize()
        seconds.append(time.perf_counter() - started)
        model.eval()
        with torch.no_grad(), autocast:
            logits = torch.cat([model(part) for part in test.split(1000)])
        accuracy = (logits.argmax(1) == data["test_labels"]).double().mean().item()
    return accuracy, seconds


def _captured(step: Callable[[Tensor, Tensor], None], images: Tensor, labels: Tensor, size: int) -> Train:
    """The step as a CUDA graph, after the first few; batches that are not full stay eager."""
    batch, targets = images[:size].clone(), labels[:size].clone()
    graph: torch.cuda.CUDAGraph | None = None
    steps = 0

    def train(indices: Tensor) -> None:
        nonlocal graph, steps
        steps += 1
        if steps <= EAGER_STEPS or len(indices) < size:
            step(images[indices], labels[indices])
            return
        if graph is None:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                step(batch, targets)
        batch.copy_(images[indices])
        targets.copy_(labels[indices])
        graph.replay()

    return train


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
