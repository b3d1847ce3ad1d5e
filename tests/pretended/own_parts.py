"""Components of a plugin, for workers on a pretended GPU."""

import torch
from torch import nn


class Breaking(nn.Module):
    """A network whose training makes the device fail for the whole process, as an access out of bounds does."""

    def __init__(self, info, steps):
        super().__init__()
        self.layer = nn.Linear(info.channels * info.height * info.width, info.classes)
        self.left = steps

    def forward(self, images):
        self.left -= self.training
        if self.left == 0 and images.is_cuda:
            from .machine import GPU

            GPU.before = fails
        return self.layer(images.flatten(1))


def fails(operation):
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


def breaking(info, /, *, steps: int = 8):
    """Breaks the device in its eighth batch.

    Args:
        steps: Batches until then.
    """
    return Breaking(info, steps)
