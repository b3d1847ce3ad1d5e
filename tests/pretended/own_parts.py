"""Components of a plugin, for workers on a pretended GPU."""

from weakref import WeakSet

import torch
from torch import nn

from .machine import GPU

STEPS = 16  # batches after which something happens: by then the worker has had room for another cell, and that one has begun


class Counting(nn.Module):
    """A network that does something in one batch of its training."""

    def __init__(self, info):
        super().__init__()
        self.layer = nn.Linear(info.channels * info.height * info.width, info.classes)
        self.left = STEPS

    def forward(self, images):
        self.left -= self.training
        if self.left == 0:
            self.happens()
        return self.layer(images.flatten(1))


class Breaking(Counting):
    """Makes the device fail for the whole process, as an access out of bounds does."""

    def happens(self):
        GPU.before = fails


hungry_ones = WeakSet()  # of this process


class Hungry(Counting):
    """Finds no memory beside another one."""

    def __init__(self, info):
        super().__init__(info)
        hungry_ones.add(self)

    def happens(self):
        if len(hungry_ones) > 1:
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


class Mixed(Counting):
    """Makes a tensor on the CPU, as much code does that was written there."""

    def forward(self, images):
        return self.layer(images.flatten(1)) + torch.zeros(10)


def fails(operation):
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


def breaking(info, /):
    """Breaks the device in the middle of a training."""
    return Breaking(info)


def hungry(info, /):
    """Needs the memory for itself."""
    return Hungry(info)


def mixed(info, /):
    """Works on a CPU."""
    return Mixed(info)


def drawing(images, generator):
    """Draws on the device of the images from a generator of the CPU."""
    return images + torch.rand(images.shape, generator=generator, device=images.device)


def of_the_host():
    """Works on a CPU."""
    return drawing
