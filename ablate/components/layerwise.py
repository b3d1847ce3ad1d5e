"""Learning rates that fall from the last layer to the first, around any optimizer."""

import re
from typing import Annotated

from torch import nn, optim

from ablate.registry.params import Bound, Nested

Decay = Annotated[float, Bound(above=0, maximum=1)]


def layers(model: nn.Module) -> dict[str, int]:
    """The place of each parameter's layer, from 0.

    A layer is what the first number counts that stands by itself in a name, such as `layer1.0` or `blocks.11`. Where none does,
    it is the module at the top, such as `conv1`. Layers are in the order in which the model has them.
    """
    names = [name for name, _ in model.named_parameters()]
    places: dict[str, int] = {}
    return {name: places.setdefault(_layer(name), len(places)) for name in names}


def _layer(name: str) -> str:
    numbered = re.match(r"(.*?(?:^|[._])\d+)(?:\.|$)", name)
    return numbered[1] if numbered else name.partition(".")[0]


def layerwise(
    model: nn.Module, /, *, optimizer: Annotated[optim.Optimizer, Nested("optimizer")], decay: Decay = 0.75
) -> optim.Optimizer:
    """Lower learning rates for earlier layers, as fine-tuning has them (Clark et al., 2020, arXiv 2003.10555).

    Args:
        optimizer: Of which each group of parameters is divided by layers; its learning rate is that of the last layer.
        decay: Factor of the learning rate from a layer to the one before it.
    """
    place_of = layers(model)
    by_parameter = {parameter: place_of[name] for name, parameter in model.named_parameters()}
    last = max(place_of.values())
    groups = []
    for group in optimizer.param_groups:
        parts: dict[int, list[nn.Parameter]] = {}
        for parameter in group["params"]:
            parts.setdefault(by_parameter.get(parameter, last), []).append(parameter)
        groups += [
            {**group, "params": params, "lr": group["lr"] * decay ** (last - place)} for place, params in sorted(parts.items())
        ]
    optimizer.param_groups = sorted(groups, key=lambda group: -group["lr"])  # the first one's rate is the one that is recorded
    return optimizer
