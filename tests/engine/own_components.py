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
        assert isinstance(outputs, dict), "no dict of outputs"
        loss = training.loss(outputs["logits"], batch.labels) + training.loss(outputs["twice"], batch.labels)
        loss.backward()
        training.update()
        return loss

    return step


def every_other(samples, /, *, offset: int = 0):
    """Every second image, and in each epoch one less."""
    half = torch.arange(offset, len(samples.labels), 2)
    return lambda epoch, generator: half[torch.randperm(len(half), generator=generator)][: len(half) - epoch]


def shuffled(samples, /):
    """What a recipe without a sampler has."""
    return lambda epoch, generator: torch.randperm(len(samples.labels), generator=generator)


def many(samples, /):
    """Twice as many images as there are."""
    return lambda epoch, generator: torch.randint(len(samples.labels), (2 * len(samples.labels),), generator=generator)


def beyond(samples, /):
    """An image too many, in the last epoch."""
    return lambda epoch, generator: torch.arange(len(samples.labels)) + (epoch == samples.epochs - 1)


def nothing(samples, /):
    """No image."""
    return lambda epoch, generator: torch.arange(0)


def listed(samples, /):
    """A list."""
    return lambda epoch, generator: [0, 1]


class Growing:
    """Images of 8 pixels at first, and of 16 in the last epoch."""

    deterministic = True
    size = 8

    def at_epoch(self, epoch, horizon):
        self.size = 8 + 8 * epoch // max(1, horizon.epochs - 1)
        SEEN.append(("transform", epoch))

    def __call__(self, images, generator):
        return torch.nn.functional.interpolate(images.float(), size=self.size).to(images.dtype)


def growing():
    """Progressive resizing."""
    return Growing()


def growing_frame():
    """Progressive resizing of images of any size."""
    transform = Growing()
    transform.fixes_size = True
    return transform


def two_views(training, /):
    """Trains on both views of a batch, and notes them."""

    def step(batch):
        SEEN.append((batch.epoch, batch.indices.tolist(), batch.images, batch.view(1)[0]))
        return training.plain(batch)

    return step


def sharpness(classes, /):
    """A metric that asks for the images."""
    return Sharpness()


class Sharpness:
    higher_is_better = False

    def of_model(self, evaluation):
        return float(evaluation.predict(evaluation.images).std())


class Deep(nn.Module):
    """A network of any size of images whose output falls with the epochs."""

    def __init__(self, info):
        super().__init__()
        self.size = info.height
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * info.channels, info.classes))
        self.factor = 1.0

    def at_epoch(self, epoch, horizon):
        self.factor = 1 - epoch / horizon.epochs
        SEEN.append(("model", epoch))

    def forward(self, images):
        return self.body(images) * self.factor


def deep(info, /):
    """A model that follows the epoch."""
    return nn.Sequential(Deep(info))


class Halving(torch.optim.SGD):
    factor = 1.0

    def at_epoch(self, epoch, horizon):
        self.factor = 0.5**epoch
        SEEN.append(("optimizer", epoch))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(parameter.grad, alpha=self.factor * group["lr"])


def halving(model, /, *, lr: float = 0.1):
    """An optimizer that follows the epoch."""
    return Halving(model.parameters(), lr)


class LossOfDarker:
    def of_model(self, evaluation):
        return evaluation.loss(evaluation.predict(evaluation.images // 2), evaluation.labels)


def darker(classes, /):
    """The loss on images of half the brightness."""
    return LossOfDarker()


darker.lower_is_better = True
