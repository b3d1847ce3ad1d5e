"""Networks."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import MethodType
from typing import Annotated, Any, Literal

from torch import nn

from ablate.contracts import DataInfo
from ablate.registry.params import Choices, FilePath, Fraction, PositiveInt

from .weights import last_layer, load_weights


def net(
    info: DataInfo,
    /,
    *,
    channels: tuple[PositiveInt, PositiveInt] = (6, 16),
    batch_norm: bool = False,
    dropout: Fraction = 0,
) -> nn.Module:
    """The small network of the PyTorch tutorial: two 5×5 convolutions and three linear layers.

    Args:
        channels: Output channels of the two convolutions.
        batch_norm: Whether there is a batch normalisation after both poolings and after the ReLU of the first linear layer.
        dropout: Probability of a dropout after each of these places; 0 for none.
    """
    height, width = (((side - 4) // 2 - 4) // 2 for side in (info.height, info.width))
    if height < 1 or width < 1:
        raise ValueError(f"images of {info.height}×{info.width} are too small for two 5×5 convolutions: 16×16 is the least")
    layers: OrderedDict[str, nn.Module] = OrderedDict()

    def regularize(place: str, normalization: nn.Module) -> None:
        if batch_norm:
            layers[f"bn{place}"] = normalization
        if dropout:
            layers[f"dropout{place}"] = nn.Dropout(dropout)

    for place, (before, after) in enumerate([(info.channels, channels[0]), (channels[0], channels[1])], start=1):
        layers[f"conv{place}"] = nn.Conv2d(before, after, 5)
        layers[f"relu{place}"] = nn.ReLU()
        layers[f"pool{place}"] = nn.MaxPool2d(2)
        regularize(f"{place}", nn.BatchNorm2d(after))
    layers["flatten"] = nn.Flatten()
    layers["fc1"] = nn.Linear(channels[1] * height * width, 120)
    layers["relu3"] = nn.ReLU()
    regularize("3", nn.BatchNorm1d(120))
    layers["fc2"] = nn.Linear(120, 84)
    layers["relu4"] = nn.ReLU()
    layers["fc3"] = nn.Linear(84, info.classes)
    return nn.Sequential(layers)


AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}  # weights of more outputs, which are left off


def _architectures() -> list[str]:
    from torchvision import models

    return list(models.list_models(module=models))


def torchvision(
    info: DataInfo,
    /,
    *,
    arch: Annotated[str, Choices(_architectures)],
    weights_path: FilePath | None = None,
    freeze_backbone: bool | Literal["weights"] = False,
) -> nn.Module:
    """A classification network of torchvision, with a last layer for the data's classes.

    GoogLeNet and Inception have their last output alone, without the auxiliary ones of their training.

    Args:
        arch: Its name in torchvision, such as `resnet18`.
        weights_path: A file of weights, safetensors or what `torch.save` made of a `state_dict`, such as torchvision's own; those
            of the last layer are left out where they are for other classes.
        freeze_backbone: Whether only the last layer is trained, and all before it works as in evaluation: batch normalisation
            keeps its statistics, and nothing is dropped. With `weights`, the weights alone are kept.
    """
    from torchvision import models

    settings = {"aux_logits": False} if arch in AUXILIARY else {}
    model: nn.Module = models.get_model(arch, weights=None, num_classes=info.classes, **settings)
    head = last_layer(model)
    if weights_path is not None:
        load_weights(model, Path(weights_path).expanduser(), head, AUXILIARY.get(arch, ()))
    if freeze_backbone:
        freeze_all_but(model, head, weights_alone=freeze_backbone == "weights")
    return model


def frozen_semantics(spec: Mapping[str, Any]) -> int:
    """2 where a backbone is frozen with all that it does: before, its batch normalisation went on learning."""
    return 2 if spec["freeze_backbone"] is True else 1


torchvision.semantics = frozen_semantics  # type: ignore[attr-defined]


def freeze_all_but(model: nn.Module, head: str, weights_alone: bool = False) -> None:
    """Freezes everything before the module of this name, which goes on to be trained.

    What is frozen stays as in evaluation, whatever `train()` says: statistics of batch normalisation stay what they are, and
    dropout and stochastic depth drop nothing. That is all up to the last module with weights or buffers before the head, and what
    lies in it; a dropout between it and the head is the head's.

    Args:
        model: The network; its modules are in the order in which they are used.
        head: Name of a module of it.
        weights_alone: Whether the rest of what is frozen works as in training.
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(f"{head}."))
    if weights_alone:
        return
    others = [
        (name, module)
        for name, module in model.named_modules()
        if name and not f"{head}.".startswith(f"{name}.") and not name.startswith(f"{head}.")
    ]
    stateful = [i for i, (_, module) in enumerate(others) if module.state_dict()]
    for _, module in others[: stateful[-1] + 1 if stateful else 0]:
        module.train = MethodType(_stay_in_evaluation, module)  # a copy of the module has one of its own
        module.eval()


def _stay_in_evaluation(module: nn.Module, mode: bool = True) -> nn.Module:
    return type(module).train(module, False)
