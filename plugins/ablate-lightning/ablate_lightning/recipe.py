"""The fields of a recipe, without Lightning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.trainers.code import Target
from ablate.trainers.declared import Goals

PARTS = ("module", "data_module")


@dataclass(frozen=True)
class Recipe:
    """What a training has to know of a recipe; attributes as the parameters of `lightning`."""

    module: str
    data_module: str
    settings: Mapping[str, Mapping[str, Any]]
    metrics: Goals
    code: Sequence[str]
    max_epochs: int
    precision: str
    gradient_clip_val: float | None
    gradient_clip_algorithm: str
    accumulate_grad_batches: int
    threads: int

    @property
    def targets(self) -> list[Target]:
        return [Target.of(self.module), Target.of(self.data_module)]

    def of(self, part: str) -> dict[str, Any]:
        """The keyword arguments of one of `PARTS`."""
        return dict(self.settings.get(part, {}))
