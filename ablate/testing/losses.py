"""What a loss has to keep."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from .component import ComponentContract, message_of
from .other_targets import labels_of, outputs_of

IMAGES = 12


class LossContract(ComponentContract):
    """Logits `[N, K]` and labels `[N]`, or soft labels `[N, K]`, to one number: the mean over the images.

    Where the factory says by `targets` that it is for others, the first of them is tried.

    Attributes:
        classes: Number of classes, K.
        soft_labels: Whether it takes soft labels; it has to refuse them with a ValueError or TypeError otherwise.
    """

    kind: ClassVar[str] = "loss"
    classes: int = 5
    soft_labels: bool = True

    def logits(self, device: torch.device | str = "cpu") -> Tensor:
        draws = torch.Generator().manual_seed(0)
        return torch.randn(IMAGES, self.classes, generator=draws).to(device).requires_grad_()

    def labels(self, device: torch.device | str = "cpu") -> Tensor:
        return labels_of(self.targets(), (torch.arange(IMAGES) % self.classes).to(device), self.classes)

    def targets(self) -> str:
        return str((self.loaded().says("targets", self.resolve()[0]) or ("class",))[0])

    def soft(self, device: torch.device | str = "cpu") -> Tensor:
        hard = one_hot(self.labels(device), self.classes).float()
        return 0.7 * hard + 0.3 * hard.roll(1, 0)

    def test_it_is_one_number_with_a_gradient(self, device: torch.device) -> None:
        soft = self.soft_labels and self.targets() == "class"
        targets = [self.labels(device), *([self.soft(device)] if soft else [])]
        for target in targets:
            logits = self.logits(device)
            value, form = self.make()(logits, target), f"labels {list(target.shape)}"
            assert isinstance(value, Tensor), f"with {form} it gives a {type(value).__name__}: return a tensor."
            assert value.ndim == 0, f"with {form} it gives {list(value.shape)}: return one number, the mean over the images."
            assert torch.isfinite(value), f"with {form} it is not finite."
            assert value.requires_grad, f"with {form} it has no gradient: use no `detach`, `item` or `argmax` on the way."
            value.backward()
            assert logits.grad is not None, f"with {form} no gradient reaches the logits."
            assert torch.isfinite(logits.grad).all(), f"with {form} the gradient is not finite."
            assert (logits.grad != 0).any(), f"with {form} the gradient is 0 everywhere."

    def test_soft_labels_are_understood_or_refused_with_a_message(self) -> None:
        loss = self.make()
        if self.targets() != "class":
            return
        if not self.soft_labels:
            message = message_of(lambda: loss(self.logits(), self.soft()), ValueError, TypeError)
            assert message, "soft labels [N, K] are not refused with a message: raise a ValueError, or set `soft_labels` to True."
            return
        hard, soft = loss(self.logits(), self.labels()), loss(self.logits(), one_hot(self.labels(), self.classes).float())
        torch.testing.assert_close(soft, hard, msg=lambda text: f"labels and the same as soft labels give two losses. {text}")
        mixed = loss(self.logits(), self.soft())
        assert not torch.isclose(mixed, hard), "70 % of one label and 30 % of another count as the first alone: weigh them."

    def test_it_is_the_mean_over_the_images(self) -> None:
        """The last batch of an epoch is smaller, and `train_loss` weighs batches by their images."""
        loss, logits, labels = self.make(), self.logits(), self.labels()
        once, twice = loss(logits, labels), loss(torch.cat([logits] * 2), torch.cat([labels] * 2))
        torch.testing.assert_close(
            twice, once, msg=lambda text: f"the same images twice change it: take the mean, not the sum. {text}"
        )

    def test_right_logits_have_less_of_it_than_wrong_ones(self) -> None:
        loss, labels = self.make(), self.labels()
        right = outputs_of(self.targets(), labels, self.classes)
        good, bad = loss(right, labels).item(), loss(right.roll(1, 1), labels).item()
        assert good < bad, f"right logits have {good:.4g} and wrong ones {bad:.4g}: it is minimised, so check its sign."

    def test_it_changes_and_keeps_nothing(self) -> None:
        loss, logits, labels = self.make(), self.logits(), self.labels()
        before = logits.detach().clone(), labels.clone()
        first, second = loss(logits, labels), loss(logits, labels)
        assert torch.equal(first, second), "a second call gives another number: keep nothing between two calls, and draw nothing."
        assert torch.equal(logits, before[0]), "the logits that came in are changed: work on a copy."
        assert torch.equal(labels, before[1]), "the labels that came in are changed: work on a copy."
