"""Steps, samplers and what follows the epoch, for tests of the engine."""

import torch
from torch import nn

SEEN = []  # what was called, in the order of the calls


def plain(training, /):
    """What a recipe without a step does."""
    return training.plain


def direct(training, /):
    """The same in torch's own words."""

    def step(batch):
        loss = training.loss(training.model(batch.images), batch.labels)
        loss.backward()
        training.optimizer.step()
        training.optimizer.zero_grad()
        return loss

    return step


def looking(training, /):
    """A plain step that notes what it was given."""

    def step(batch):
        SEEN.append(batch)
        return training.plain(batch)

    return step


class Head(nn.Module):
    """A step with weights of its own, a memory, and gradients that wait for the next batch."""

    def __init__(self, training):
        super().__init__()
        self.head = nn.Linear(training.classes, training.classes)
        self.register_buffer("losses", torch.ones(training.images))
        self.given = [training]  # no module of this one
        training.optimizer.add_param_group({"params": list(self.head.parameters())})

    def forward(self, batch):
        (training,) = self.given
        one = training.model(batch.images)
        other = training.model(batch.view(1)[0] + 0.1 * torch.randn(batch.images.shape, generator=batch.generator))
        apart = (self.head(one) - other.detach()).square().mean(1)
        weights = self.losses[batch.indices]
        loss = training.loss(one, batch.labels)
        (loss + (weights * apart).mean()).backward()
        self.losses[batch.indices] = apart.detach()
        if batch.number % 3 == 2:
            training.update()
        return loss


def with_memory(training, /):
    """Everything that a step can keep."""
    return Head(training)


class UntilFlat:
    def __init__(self, training, metric):
        self.training, self.metric = training, metric

    def __call__(self, batch):
        return self.training.plain(batch)

    def stop(self, records):
        return len(records) >= 2 and records[-1].get(self.metric) is not None


def until(training, /, *, metric: str = "loss"):
    """Ends after the second epoch that was evaluated."""
    return UntilFlat(training, metric)


until.stops = True


def undeclared(training, /):
    """Stops, and does not say so."""
    return UntilFlat(training, "train_loss")


def idle(training, /):
    """No update."""
    return lambda batch: training.backward(batch.images, batch.labels)


def wordless(training, /):
    """No loss."""
    return lambda batch: None


def unsaveable(training, /):
    """A state that no file can have."""

    class Step:
        def __call__(self, batch):
            return training.plain(batch)

        def state_dict(self):
            return {"seen": {1, 2}}

    return Step()


class Pair(nn.Module):
    def __init__(self, info):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(info.channels * info.height * info.width, info.classes))

    def forward(self, images):
        logits = self.body(images)
        return {"logits": logits, "twice": 2 * logits} if self.training else logits


def pair(info, /):
    """A dict of outputs in training."""
    return Pair(info)


def of_a_pair(training, /):
    """Both outputs count."""

    def step(batch):
        outputs = training.model(batch.images)
        loss = training.loss(outputs["logits"], batch.labels) + training.loss(outputs["twice"], batch.labels)
        loss.backward()
        training.update()
        return loss

    return step
