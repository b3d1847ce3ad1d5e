"""Losses that break their contract."""

from torch.nn.functional import cross_entropy, one_hot

CAUGHT = {
    "of_each_image": ("test_it_is_one_number_with_a_gradient", "it gives [12]: return one number"),
    "without_gradient": ("test_it_is_one_number_with_a_gradient", "it has no gradient"),
    "hardening": ("test_soft_labels_are_understood_or_refused_with_a_message", "count as the first alone"),
    "stumbling": ("test_soft_labels_are_understood_or_refused_with_a_message", "one_hot is only applicable to index tensor"),
    "summed": ("test_it_is_the_mean_over_the_images", "take the mean, not the sum"),
    "negative": ("test_right_logits_have_less_of_it_than_wrong_ones", "check its sign"),
    "growing": ("test_it_changes_and_keeps_nothing", "keep nothing between two calls"),
}
TRIED = {"stumbling": {"soft_labels": False}}


def of_each_image():
    """A number for each image."""
    return lambda logits, labels: cross_entropy(logits, labels, reduction="none")


def without_gradient():
    """Part of the images that are wrong, which has no gradient."""
    return lambda logits, labels: (logits.argmax(1) != labels).float().mean()


def hardening():
    """Of soft labels only the largest counts."""
    return lambda logits, labels: cross_entropy(logits, labels if labels.ndim == 1 else labels.argmax(1))


def stumbling():
    """Soft labels fail somewhere inside."""
    return lambda logits, labels: -(one_hot(labels, logits.shape[1]) * logits.log_softmax(1)).sum(1).mean()


def summed():
    """The sum over the images."""
    return lambda logits, labels: cross_entropy(logits, labels, reduction="sum")


def negative():
    """The sign is wrong."""
    return lambda logits, labels: -cross_entropy(logits, labels)


def growing():
    """A weight that grows with the calls."""
    calls = []

    def loss(logits, labels):
        calls.append(1)
        return cross_entropy(logits, labels) * len(calls)

    return loss
