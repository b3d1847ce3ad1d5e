"""timm's models and optimizers as components of ablate."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import timm
import timm.optim
import torch
from torch import nn

from ablate.components.models import freeze_all_but, frozen_semantics
from ablate.plugin import Choices, DataInfo, EnvironmentProblem, NonNegative, Positive


def model(
    info: DataInfo,
    /,
    *,
    arch: Annotated[str, Choices(timm.list_models)],
    pretrained: bool = False,
    freeze_backbone: bool | Literal["weights"] = False,
    arguments: dict[str, Any] = {},  # noqa: B006
) -> nn.Module:
    """A model of timm, with a last layer for the data's classes and a first one for its channels.

    Args:
        arch: Its name in timm, such as `resnet18`.
        pretrained: Whether it starts from timm's weights, which are downloaded on first use.
        freeze_backbone: Whether only the last layer is trained, and all before it works as in evaluation: batch normalisation
            keeps its statistics, and nothing is dropped. With `weights`, the weights alone are kept.
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
        head = next((name for name, module in made.named_modules() if module is made.get_classifier()), "")
        if not head:
            raise ValueError(f"{arch} has no single last layer, so that nothing says what is to be frozen")
        freeze_all_but(made, head, weights_alone=freeze_backbone == "weights")
    return made


model.semantics = frozen_semantics  # type: ignore[attr-defined]


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
        arguments: What the optimizer is given beside these, such as `betas` or `layer_decay`.
    """
    made: torch.optim.Optimizer = timm.optim.create_optimizer_v2(
        model,
        opt=name,
        lr=lr,
        weight_decay=weight_decay,
        momentum=momentum,
        filter_bias_and_bn=not decay_bias_and_norm,
        **arguments,
    )
    for group in made.param_groups:  # timm leaves this to its own schedulers
        group["lr"] *= group.get("lr_scale", 1.0)
    made.param_groups.sort(key=lambda group: -group["lr"])  # the first one's rate is the one that is recorded
    return made


def scaled_semantics(spec: Mapping[str, Any]) -> int:
    """2 where layers have rates of their own: before, all had the same."""
    return 2 if "layer_decay" in spec["arguments"] else 1


optimizer.semantics = scaled_semantics  # type: ignore[attr-defined]
