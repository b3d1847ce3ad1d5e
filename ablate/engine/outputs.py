"""Of what a model returns, what its metrics and predictions are of."""

from typing import Any

from torch import Tensor, nn


def logits_of(model: nn.Module, output: Any) -> Tensor:
    """The output itself, or what the model's method `logits_of` takes of it where it returns several things.

    Args:
        model: Any network. Its `logits_of(output)` gives `[N, K]` of whatever the model returned, in training and in evaluation.
        output: What it returned. The loss of the recipe gets all of it.
    """
    take = getattr(model, "logits_of", None)
    logits: Tensor = output if take is None else take(output)
    return logits
