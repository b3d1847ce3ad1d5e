"""What a metric has to keep."""

import math
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from ablate.engine.evaluation import Evaluation

from .component import ComponentContract
from .other_targets import labels_of, outputs_of

IMAGES = 60


class MetricContract(ComponentContract):
    """Logits `[N, classes]` and labels `[N]` of all images to one number.

    Where the factory says by `targets` that it is for others, the first of them is tried.

    Attributes:
        classes: Number of classes.
    """

    kind: ClassVar[str] = "metric"
    classes: int = 10

    def engine_arguments(self) -> tuple[Any, ...]:
        return (self.classes,)

    def make(self, *engine_arguments: Any, **settings: Any) -> Any:
        """The metric as a function of logits and labels; one that asks for the model gets one that answers as they do."""
        metric = super().make(*engine_arguments, **settings)
        return partial(_of_a_network, metric) if hasattr(metric, "of_model") else metric

    def labels(self) -> Tensor:
        """Every class equally often, as near as that is."""
        return labels_of(self.targets(), self.told(), self.classes)

    def told(self) -> Tensor:
        return torch.arange(IMAGES) % self.classes

    def targets(self) -> str:
        return str((self.loaded().says("targets", self.resolve()[0]) or ("class",))[0])

    def logits(self, right: float) -> Tensor:
        """Logits of which this part says the right class, and the others the one that is farthest from it."""
        labels = self.told()
        said = torch.where(torch.arange(IMAGES) < right * IMAGES, labels, (labels + self.classes // 2) % self.classes)
        if self.targets() != "class":
            outputs = outputs_of(self.targets(), labels_of(self.targets(), said, self.classes), self.classes)
            return outputs + 0.1 * torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0))
        noise = torch.randn(IMAGES, self.classes, generator=torch.Generator().manual_seed(0))
        apart = (torch.arange(self.classes) - said[:, None]).abs()
        return 0.1 * noise + 8.0 * one_hot(said, self.classes) - torch.minimum(apart, self.classes - apart)

    def test_it_is_a_number(self, device: torch.device) -> None:
        for right in (0.0, 0.5, 1.0):
            value = self.make()(self.logits(right).to(device), self.labels().to(device))
            assert type(value) in (float, int), f"it gives a {type(value).__name__}: return a float, such as `value.item()`."
            assert math.isfinite(value), f"it is {value} where a part of {right} of the images is right: keep it finite."

    def test_its_direction_is_the_documented_one(self) -> None:
        metric, labels = self.make(), self.labels()
        worse, better = (metric(self.logits(right), labels) for right in (0.0, 1.0))
        name = self.loaded().component.target.rpartition(":")[2]
        lower = self.loaded().says("lower_is_better", self.resolve()[0])
        found = f"right logits give {better:.4g} and wrong ones {worse:.4g}"
        assert lower is not None, (
            f"it does not say which way is better, so that every spec has to: {found}, so set "
            f"`{name}.lower_is_better = {better < worse}` below the function, or a function of the parameters that gives it."
        )
        if isinstance(metric, partial):  # it measures something else of a model than whether its answers are right
            return
        hint = f"and `{name}.lower_is_better` is {lower}: change that, or check the sign."
        assert (better < worse) if lower else (better > worse), f"{found}, {hint}"

    def test_the_order_of_the_images_does_not_matter(self) -> None:
        metric, logits, labels = self.make(), self.logits(0.5), self.labels()
        order = torch.randperm(IMAGES, generator=torch.Generator().manual_seed(0))
        one, other = metric(logits, labels), metric(logits[order], labels[order])
        assert math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6), f"in another order of the images {one:.6g} is {other:.6g}."

    def test_it_changes_and_keeps_nothing(self) -> None:
        metric, logits, labels = self.make(), self.logits(0.5), self.labels()
        before = logits.clone(), labels.clone()
        first = metric(logits, labels)
        metric(self.logits(0.0), labels)
        assert metric(logits, labels) == first, "a second call gives another number: keep nothing between two calls."
        assert torch.equal(logits, before[0]), "the logits that came in are changed: work on a copy."
        assert torch.equal(labels, before[1]), "the labels that came in are changed: work on a copy."


def _of_a_network(metric: Any, logits: Tensor, labels: Tensor) -> Any:
    """What a metric says of a network that answers as these logits do, on images that leave no doubt of what they show."""
    classes = logits.shape[1]
    layer = nn.Linear(classes, classes, bias=False)
    nn.init.eye_(layer.weight)
    network = nn.Sequential(nn.Flatten(), layer).to(logits.device).eval()
    images = (255 * one_hot(logits.argmax(1), classes)).to(torch.uint8)[:, :, None, None]
    told = Evaluation(network, images, labels, logits, cross_entropy, lambda some: some.float() / 32, nullcontext)
    return metric.of_model(replace(told, logits=told.predict(images)))
