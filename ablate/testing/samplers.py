"""What a sampler has to keep."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ablate.engine.sampling import Samples, checked

from .component import ComponentContract
from .randomness import REMEDY, global_generators

EPOCHS = 5


class SamplerContract(ComponentContract):
    """From `Samples` to a function of the epoch and a generator that gives the numbers of its images.

    Attributes:
        counts: Images of each class that it is tried with.
    """

    kind: ClassVar[str] = "sampler"
    counts: Mapping[int, int] = {0: 40, 1: 20, 2: 10, 3: 30}

    def engine_arguments(self) -> tuple[Samples]:
        labels = torch.tensor([label for label, count in self.counts.items() for _ in range(count)])
        return (
            Samples(labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))], len(self.counts), EPOCHS),
        )

    def sampled(self, epoch: int, seed: int = 0) -> Tensor:
        """What a sampler that was just made gives for an epoch."""
        given: Tensor = self.make()(epoch, torch.Generator().manual_seed(seed))
        return given

    def test_every_epoch_has_images_that_there_are(self) -> None:
        images, sampler = sum(self.counts.values()), self.make()
        for epoch in range(EPOCHS):
            given = sampler(epoch, torch.Generator().manual_seed(epoch))
            try:
                checked(given, epoch, images)
            except (TypeError, ValueError) as error:
                raise AssertionError(f"it {error}.") from None

    def test_the_epoch_and_the_generator_alone_decide(self) -> None:
        """An interrupted cell asks for an epoch again, and for no epoch before it."""
        sampler = self.make()
        forwards = [sampler(epoch, torch.Generator().manual_seed(epoch)) for epoch in range(EPOCHS)]
        fresh = []
        for epoch in range(EPOCHS):
            with global_generators(epoch):
                fresh.append(self.sampled(epoch, epoch))
        assert all(torch.equal(one, other) for one, other in zip(forwards, fresh, strict=True)), (
            f"an epoch has other images when the sampler is made anew: keep nothing between two epochs. {REMEDY}"
        )

    def test_it_leaves_the_labels_as_they_are(self) -> None:
        (samples,) = self.engine_arguments()
        before = samples.labels.clone()
        sampler = self.make(samples)
        for epoch in range(EPOCHS):
            sampler(epoch, torch.Generator().manual_seed(0))
        assert torch.equal(samples.labels, before), "the labels that came in are changed: work on a copy."
