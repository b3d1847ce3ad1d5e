"""A small network that learns CIFAR-10 in few epochs, and the optimizer for it.

The ideas are those of the DAWNBench entries (Page, 2018, "How to train your ResNet") and of Jordan (2024, arXiv 2404.00498).
"""

import torch
from torch import Tensor, nn, optim
from torch.nn import functional, init

from ablate.components.optimizers import fused
from ablate.plugin import DataInfo, Fraction, NonNegative, Positive, PositiveInt, trainable

PATCH = 2  # side of the patches that are whitened
LEAST_VARIANCE = 5e-4  # added to the variance of each component of a patch, so that noise is not blown up


class Whitening(nn.Module):
    """Patches → their principal components with variance 1, once as they are and once negated (Page, 2018; Jordan, 2024).

    The first batch of a training decides on the filters, which is an initialisation that depends on data (Krähenbühl et al.,
    2015, arXiv 1511.06856). They are not trained; a bias is.

    Args:
        channels: Channels of the images.
    """

    filters: Tensor  # [2 · channels · PATCH², channels, PATCH, PATCH]; 0 until the first batch

    def __init__(self, channels: int):
        super().__init__()
        self.width = 2 * channels * PATCH**2
        self.register_buffer("filters", torch.zeros(self.width, channels, PATCH, PATCH))
        self.bias = nn.Parameter(torch.zeros(self.width))
        self._decided = False  # known to the host, because asking the device in every step would wait for it

    def forward(self, images: Tensor) -> Tensor:
        if self.training and not self._decided:
            self._decide(images)
        return functional.conv2d(images, self.filters, self.bias)

    @torch.no_grad()
    def _decide(self, images: Tensor) -> None:
        self._decided = True
        if self.filters.any():  # they came with a checkpoint
            return
        patches = functional.unfold(images.float(), PATCH).transpose(1, 2).flatten(0, 1)
        variances, components = torch.linalg.eigh(torch.cov(patches.T.double(), correction=0).cpu())
        filters = (components / (variances + LEAST_VARIANCE).sqrt()).T.reshape(-1, *self.filters.shape[1:])
        self.filters.copy_(torch.cat([filters, -filters]))


class Block(nn.Module):
    """A convolution with a pooling that halves the sides, and a residual one behind it (He et al., 2015, arXiv 1512.03385).

    Args:
        before: Channels that come in.
        after: Channels that go out.
    """

    def __init__(self, before: int, after: int):
        super().__init__()
        self.narrowing = nn.Sequential(_convolution(before, after), nn.MaxPool2d(2), _normalization(after), nn.GELU())
        self.residual = nn.Sequential(_convolution(after, after), _normalization(after), nn.GELU())

    def forward(self, images: Tensor) -> Tensor:
        images = self.narrowing(images)
        return images + self.residual(images)


def _convolution(before: int, after: int) -> nn.Conv2d:
    """3×3; it begins as the identity on the channels that it has on both sides (Jordan, 2024)."""
    layer = nn.Conv2d(before, after, 3, padding=1, bias=False)
    with torch.no_grad():
        init.dirac_(layer.weight[: min(before, after)])
    return layer


def _normalization(channels: int) -> nn.BatchNorm2d:
    """Without trained scales, and with running statistics of few batches, because a training has few (Page, 2018)."""
    layer = nn.BatchNorm2d(channels, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer


class Network(nn.Module):
    """Whitening, three blocks, the maximum over the image, and a linear layer.

    Args:
        info: Form of the images.
        widths: Channels of the three blocks.
        scale: Factor of the logits.
        mirror: Whether logits are averaged with those of the mirrored image in evaluation.
    """

    def __init__(self, info: DataInfo, widths: tuple[int, int, int], scale: float, mirror: bool):
        super().__init__()
        self.whitening = Whitening(info.channels)
        channels = (self.whitening.width, *widths)
        self.blocks = nn.Sequential(nn.GELU(), *(Block(before, after) for before, after in zip(channels, widths, strict=False)))
        self.head = nn.Linear(widths[-1], info.classes, bias=False)
        self.scale, self.mirror = scale, mirror

    def forward(self, images: Tensor) -> Tensor:
        if self.training or not self.mirror:
            return self._logits(images)
        return (self._logits(images) + self._logits(images.flip(-1))) / 2

    def _logits(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(self.whitening(images)).amax((2, 3))) * self.scale
        return logits


def network(
    info: DataInfo,
    /,
    *,
    widths: tuple[PositiveInt, PositiveInt, PositiveInt] = (64, 256, 256),
    scale: Positive = 0.125,
    mirror: bool = True,
) -> nn.Module:
    """A whitening layer, three residual blocks and a linear layer (after Page, 2018, and Jordan, 2024, arXiv 2404.00498).

    Args:
        widths: Channels of the three blocks.
        scale: Factor of the logits, against a loss that is sure too early.
        mirror: Whether logits are averaged with those of the mirrored image in evaluation.
    """
    least = PATCH - 1 + 2 ** len(widths)
    if min(info.height, info.width) < least:
        raise ValueError(f"images of {info.height}×{info.width} are too small for three poolings: {least}×{least} is the least")
    return Network(info, widths, scale, mirror)


def optimizer(
    model: nn.Module,
    /,
    *,
    lr: Positive = 1.0,
    momentum: Fraction = 0.85,
    weight_decay: NonNegative = 0.001,
    bias_factor: Positive = 64,
) -> optim.Optimizer:
    """SGD with Nesterov momentum, and a larger learning rate for biases (Page, 2018; Jordan, 2024, arXiv 2404.00498).

    Args:
        lr: Learning rate.
        momentum: Factor of the running sum of gradients.
        weight_decay: L2 penalty, added to the gradient; that of biases is smaller by `bias_factor`.
        bias_factor: The learning rate of parameters with one dimension is larger by this.
    """
    biases = [parameter for parameter in trainable(model) if parameter.ndim == 1]
    weights = [parameter for parameter in trainable(model) if parameter.ndim != 1]
    groups = [
        {"params": weights, "lr": lr, "weight_decay": weight_decay},
        {"params": biases, "lr": lr * bias_factor, "weight_decay": weight_decay / bias_factor},
    ]
    return optim.SGD(
        [group for group in groups if group["params"]], lr=lr, momentum=momentum, nesterov=momentum > 0, fused=fused(model)
    )
