"""What an initializer has to keep."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ablate.engine.seeding import global_rng

from .component import ComponentContract
from .randomness import REMEDY, global_generators, global_states


class InitializerContract(ComponentContract):
    """Sets the weights of a model in place, from a generator."""

    kind: ClassVar[str] = "initializer"

    def engine_arguments(self) -> tuple[Any, ...]:
        return network(), torch.Generator().manual_seed(0)

    def weights(self, seed: int) -> tuple[dict[str, Tensor], bool]:
        """The state of a small network after it, and whether it drew anything."""
        model, draws = network(), torch.Generator().manual_seed(seed)
        before = draws.get_state()
        self.make(model, draws)
        return dict(model.state_dict()), not torch.equal(before, draws.get_state())

    def test_the_generator_alone_decides(self) -> None:
        results = []
        for other in range(2):
            with global_generators(other):
                before = global_states()
                results.append(self.weights(seed=1)[0])
                assert global_states() == before, f"it uses a global random generator. {REMEDY}"
        differ = [name for name, value in results[0].items() if not torch.equal(value, results[1][name])]
        assert not differ, f"the same seed gives other weights in {', '.join(differ)}. {REMEDY}"

    def test_other_seeds_give_other_weights(self) -> None:
        (one, drew), (other, _) = self.weights(seed=1), self.weights(seed=2)
        same = all(torch.equal(value, other[name]) for name, value in one.items())
        assert same != drew, "it draws from the generator, and every seed gives the same weights: use what is drawn."

    def test_weights_are_finite_and_keep_their_form(self) -> None:
        before, (after, _) = network().state_dict(), self.weights(seed=1)
        assert before.keys() == after.keys(), "it adds or removes weights: fill those that are there."
        for name, value in after.items():
            assert value.shape == before[name].shape, f"{name} had {list(before[name].shape)} and has {list(value.shape)}."
            assert value.dtype == before[name].dtype, f"{name} was {before[name].dtype} and is {value.dtype}."
            assert torch.isfinite(value.float()).all(), f"{name} is not finite."

    def test_parameters_stay_the_same_objects_and_trainable(self) -> None:
        model = network()
        before = {name: (parameter, parameter.requires_grad) for name, parameter in model.named_parameters()}
        self.make(model, torch.Generator().manual_seed(0))
        for name, parameter in model.named_parameters():
            assert parameter is before[name][0], f"{name} is another object: fill it in place, with functions that end in `_`."
            assert parameter.requires_grad == before[name][1], f"requires_grad of {name} changes: leave it."

    def test_frozen_weights_stay(self) -> None:
        frozen = "0.weight"
        before = network().state_dict()[frozen]
        after = self.weights(seed=1)[0][frozen]
        assert torch.equal(before, after), (
            "frozen weights change: leave out what has `requires_grad` False; they may be pretrained."
        )


def network() -> nn.Module:
    """A network with the usual layers, always the same; the first weights are frozen."""
    with global_rng(0, "contract"):
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(24, 8), nn.Linear(8, 5)
        )
    model[0].weight.requires_grad_(False)
    return model
