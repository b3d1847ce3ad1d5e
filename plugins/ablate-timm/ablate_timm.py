"""timm's models and optimizers as components of ablate."""

from typing import Annotated, Any

import timm
import timm.optim
import torch
from torch import nn

from ablate.errors import EnvironmentProblem
from ablate.params import Choices, NonNegative, Positive
from ablate.records import DataInfo


def model(
    info: DataInfo,
    /,
    *,
    arch: Annotated[str, Choices(timm.list_models)],
    pretrained: bool = False,
    freeze_backbone: bool = False,
    arguments: dict[str, Any] = {},  # noqa: B006
) -> nn.Module:
    """A model of timm, with a last layer for the data's classes and a first one for its channels.

    Args:
        arch: Its name in timm, such as `resnet18`.
        pretrained: Whether it starts from timm's weights, which are downloaded on first use.
        freeze_backbone: Whether only the last layer is trained.
        arguments: What `timm.create_model` is given beside these, such as `drop_rate` or `img_size`.
    """
    try:
        made: nn.Module = timm.create_model(
            arch, pretrained=pretrained, in_chans=info.channels, num_classes=info.classes, **arguments
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"timm's weights of {arch!r} cannot be had: {error}. Run once with a network, or set pretrained to false."
        ) from error
    if freeze_backbone:
        head = {id(parameter) for parameter in made.get_classifier().parameters()}
        for parameter in made.parameters():
            parameter.requires_grad_(id(parameter) in head)
    return made


def optimizer(
    model: nn.Module,
    /,
    *,
    name: Annotated[str, Choices(timm.optim.list_optimizers)],
    lr: Positive = 0.001,
    weight_decay: NonNegative = 0,
    momentum: NonNegative = 0.9,
    decay_bias_and_norm: bool = False,
    arguments: dict[str, Any] = {},  # noqa: B006
) -> torch.optim.Optimizer:
    """An optimizer of timm.

    Args:
        name: Its name in timm, such as `lamb` or `lion`.
        lr: Learning rate.
        weight_decay: Weight decay, as the optimizer understands it.
        momentum: Momentum, for optimizers that have one.
        decay_bias_and_norm: Whether biases and normalisation layers decay too.
        arguments: What the optimizer is given beside these, such as `betas`.
    """
    return timm.optim.create_optimizer_v2(
        model,
        opt=name,
        lr=lr,
        weight_decay=weight_decay,
        momentum=momentum,
        filter_bias_and_bn=not decay_bias_and_norm,
        **arguments,
    )
