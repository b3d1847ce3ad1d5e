"""What loading photographs adds to a training of ResNet18 at 224, in batches of 16 on one core.

python -m ablate.bench.tax FOLDER STEPS

The folder is one that `ablate.bench.photographs` made. Steps on batches that are decoded, cropped, flipped and normalised take
turns with steps on a batch that is kept. Prints the CPU seconds of both; what threads take that decode ahead is the former's.
"""

import json
import sys
import time
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from .loading import ours

BATCH, CLASSES = 16, 10


def main(folder: Path, steps: int) -> None:
    from torchvision.models import resnet18

    torch.set_num_threads(1)
    model = resnet18(num_classes=CLASSES).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    labels = torch.arange(BATCH) % CLASSES
    loss = torch.nn.CrossEntropyLoss()

    def step(images: Tensor) -> None:
        optimizer.zero_grad()
        loss(model(images), labels[: len(images)]).backward()
        optimizer.step()

    batches = ours(folder, "encoded", BATCH, BATCH)
    kept = next(batches)
    step(kept)  # what is imported and made once
    kept_seconds, began = 0.0, time.process_time()
    for loaded in islice(batches, steps):
        step(loaded)
        at_kept = time.thread_time()
        step(kept)
        kept_seconds += time.thread_time() - at_kept
    print(json.dumps({"loaded": time.process_time() - began - kept_seconds, "kept": kept_seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
