"""Which outputs have a value in a metric, and what is said of them."""

import math

import pytest
import torch

from ablate.components import metrics
from ablate.engine.evaluation import measured

LABELS = torch.tensor([0, 0, 0, 1, 2, 2])
METRICS = {"accuracy": metrics.accuracy(3), "loss": metrics.loss(3)}


def logits_of(answers):
    return torch.nn.functional.one_hot(torch.tensor(answers), 3) * 5.0


def test_finite_logits_have_their_values():
    record = measured(logits_of([0, 0, 0, 1, 2, 2]), LABELS, METRICS, 0.1)
    assert record == {"accuracy": 1.0, "loss": pytest.approx(math.log(1 + 2 * math.exp(-5)))}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_logit_that_is_not_finite_takes_the_value_of_every_metric(value):
    logits = logits_of([0, 0, 0, 1, 2, 2])
    logits[4, 0] = value
    record = measured(logits, LABELS, METRICS, 0.1)
    assert record == {"accuracy": None, "loss": None, "diverged": "the logits of 1 of 6 evaluated images are not finite"}


def test_a_loss_that_is_not_finite_does_too():
    record = measured(logits_of([0, 0, 0, 1, 2, 2]), LABELS, METRICS, None)
    assert record == {"accuracy": None, "loss": None, "diverged": "the training loss is not finite"}


def test_a_metric_that_is_not_a_number_says_so_and_the_others_stand():
    record = measured(logits_of([0, 0, 0, 1, 2, 2]), LABELS, METRICS | {"odd": lambda logits, labels: math.nan}, 0.1)
    assert record["accuracy"] == 1.0
    assert record["odd"] is None
    assert record["missing"] == {"odd": "it is nan"}
    assert "diverged" not in record


def test_answers_that_are_guesses_are_said_to_be():
    same = measured(logits_of([0] * 6), LABELS, METRICS, 0.1)["at_chance"]
    assert same == "50 % of 6 images are right; saying the most frequent class every time gives 50 %, and that is what it does"
    worse = measured(logits_of([1, 0, 0, 0, 1, 1]), LABELS, METRICS, 0.1)["at_chance"]
    assert worse == "33.33 % of 6 images are right; saying the most frequent class every time gives 50 %"


def test_chance_has_its_noise():
    """Of 1,000 images of 10 classes, guesses are right for 100 ± 9.5: 115 are chance, 117 are not."""
    labels = torch.arange(1000) % 10
    for right, guesses in ((115, True), (117, False)):
        said = torch.where(torch.arange(1000) < right, labels, (labels + 1) % 10)
        record = measured(torch.nn.functional.one_hot(said, 10) * 5.0, labels, {}, 0.1)
        assert ("at_chance" in record) is guesses
