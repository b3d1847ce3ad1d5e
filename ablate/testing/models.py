"""What a model has to keep."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ablate.contracts import DataInfo, Targets
from ablate.engine import checkpoint
from ablate.engine.outputs import logits_of
from ablate.engine.seeding import global_rng
from ablate.engine.targets import output_form

from .component import ComponentContract
from .randomness import global_generators

IMAGES = 4
Shape = tuple[int, int, int]


class ModelContract(ComponentContract):
    """Images `[N, C, H, W]` to logits `[N, classes]`, or to anything of which its `logits_of` takes them.

    Attributes:
        image_shapes: Channels, height and width of the images that it is tried with.
        classes: Number of classes, or of what else it has an output for each.
        targets: What labels it is for; of `mask`, logits are `[N, classes, H, W]`.
    """

    kind: ClassVar[str] = "model"
    image_shapes: Sequence[Shape] = ((3, 32, 32), (1, 28, 28))
    classes: int = 10
    targets: Targets = "class"

    def info(self, shape: Shape, classes: int | None = None) -> DataInfo:
        return DataInfo(*shape, classes or self.classes, self.targets)

    def engine_arguments(self) -> tuple[Any, ...]:
        return (self.info(self.image_shapes[0]),)

    def model(self, shape: Shape, device: torch.device, seed: int = 0) -> nn.Module:
        """The model as the engine builds it, in training mode."""
        with global_rng(seed, "model"):
            model = self.make(self.info(shape))
        assert isinstance(model, nn.Module), f"the factory gives a {type(model).__name__}: return an nn.Module."
        return model.to(device).to(memory_format=torch.channels_last).train()

    def images(self, shape: Shape, device: torch.device, seed: int = 0) -> Tensor:
        """Standard normal images."""
        images = torch.randn(IMAGES, *shape, generator=torch.Generator().manual_seed(seed)).to(device)
        return images.contiguous(memory_format=torch.channels_last)

    def small(self) -> tuple[nn.Module, Tensor]:
        """The model and images of the first shape, on the CPU."""
        shape, device = self.image_shapes[0], torch.device("cpu")
        return self.model(shape, device), self.images(shape, device)

    def test_it_gives_logits_for_every_class(self, device: torch.device) -> None:
        for shape in self.image_shapes:
            model, images = self.model(shape, device), self.images(shape, device)
            for training in (True, False):
                model.train(training)
                with torch.no_grad():
                    logits = logits_of(model, model(images))
                mode, size = "training" if training else "evaluation", "×".join(map(str, shape))
                assert isinstance(logits, Tensor), (
                    f"in {mode} it gives a {type(logits).__name__}: return the logits alone, or have a method "
                    "`logits_of(output)` that takes them from what it returns."
                )
                expected = output_form(self.info(shape), IMAGES)
                advice = (
                    "say a class for each pixel of the images, such as by `interpolate` to their height and width."
                    if self.targets == "mask"
                    else "take the size of the last layer from the `classes` of the DataInfo, and flatten what comes before it."
                )
                assert logits.shape == expected, (
                    f"in {mode}, {IMAGES} images of {size} and {self.classes} classes give {list(logits.shape)}; expected "
                    f"{list(expected)}: {advice}"
                )
                assert torch.isfinite(logits).all(), f"in {mode}, images of {size} give logits that are not finite."

    def test_it_takes_one_image_in_evaluation(self) -> None:
        model, images = self.small()
        with torch.no_grad():
            logits = logits_of(model, model.eval()(images[:1]))
        expected = output_form(self.info(self.image_shapes[0]), 1)
        assert logits.shape == expected, f"one image gives {list(logits.shape)}: squeeze no dimension that may be 1."

    def test_gradients_reach_every_trainable_parameter(self, device: torch.device) -> None:
        shape = self.image_shapes[0]
        model = self.model(shape, device)
        trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert trainable, "no parameter is trainable: leave `requires_grad` of the last layer at least."
        with global_rng(0, "step"):
            output = model(self.images(shape, device))
            logits = logits_of(model, output)
            classes = torch.arange(IMAGES, device=device) % self.classes
            labels = classes[:, None, None].expand(-1, *shape[1:]) if self.targets == "mask" else classes
            loss = nn.functional.cross_entropy(logits, labels)
            beside = [part for part in tree_leaves(output) if isinstance(part, Tensor) and part.requires_grad]
            (loss + sum(part.float().square().mean() for part in beside)).backward()
        missing = [name for name, parameter in trainable.items() if parameter.grad is None]
        assert not missing, (
            f"no gradient reaches {', '.join(missing[:5])}: use them in `forward`, without `detach`, or remove them."
        )
        wild = [name for name, p in trainable.items() if p.grad is not None and not torch.isfinite(p.grad).all()]
        assert not wild, f"the gradient of {', '.join(wild[:5])} is not finite."

    def test_its_state_restores_it_bit_for_bit(self, tmp_path: Path) -> None:
        model, images = self.small()
        with global_rng(0, "step"), torch.no_grad():
            model(images)  # running statistics move
        checkpoint.save(tmp_path / "state", "key", {"model": model.state_dict()})
        state = checkpoint.load(tmp_path / "state", "key", torch.device("cpu"))
        assert state is not None
        other = self.model(self.image_shapes[0], torch.device("cpu"), seed=1)
        other.load_state_dict(state["model"])
        with torch.no_grad():
            same = torch.equal(*(logits_of(some, some.eval()(images)) for some in (model, other)))
        assert same, (
            "a model of another seed that loads the state gives other logits: keep what the output depends on in parameters and "
            "buffers (`register_buffer`), so that it is in `state_dict`."
        )

    def test_equal_seeds_give_equal_models(self) -> None:
        states = []
        for other in range(2):
            with global_generators(other, torch_too=False):
                states.append(self.small()[0].state_dict())
        assert states[0].keys() == states[1].keys(), "two models of one seed differ in the names of their weights."
        differ = [name for name, value in states[0].items() if not torch.equal(value, states[1][name])]
        assert not differ, f"two models of one seed differ in {', '.join(differ[:5])}: draw weights with torch's functions alone."

    def test_equal_steps_give_equal_logits(self) -> None:
        """Dropout and its like draw from torch's global generator, which the engine sets before each step."""
        model, images = self.small()
        results = []
        for other in range(2):
            with global_generators(other, torch_too=False), global_rng(0, "step"), torch.no_grad():
                results.append(logits_of(model, model(images)))
        assert torch.equal(*results), "in training, equal steps give other logits: draw with torch's functions, keep no counters."

    def test_evaluation_changes_and_draws_nothing(self) -> None:
        model, images = self.small()
        model.eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        results = []
        for other in range(2):
            with global_generators(other), torch.no_grad():
                results.append(logits_of(model, model(images)))
        assert torch.equal(*results), "in evaluation, logits are random: switch off in `eval()` what draws, as nn.Dropout does."
        changed = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
        assert not changed, f"evaluating changes {', '.join(changed[:5])}: change buffers where `self.training` is true only."

    def test_evaluation_takes_each_image_by_itself(self) -> None:
        model, images = self.small()
        others = torch.cat([images[:1], self.images(self.image_shapes[0], images.device, seed=1)[1:] * 3])
        with torch.no_grad():
            one, two = (logits_of(model, model.eval()(batch))[0] for batch in (images, others))
        torch.testing.assert_close(
            one,
            two,
            rtol=1e-3,
            atol=1e-4,
            msg="in evaluation, an image's logits depend on the images beside it: use running statistics, as BatchNorm2d does.",
        )

    @pytest.mark.parametrize("classes", [2, 7])
    def test_the_number_of_classes_is_the_datas(self, classes: int) -> None:
        shape = self.image_shapes[0]
        model = self.make(self.info(shape, classes))
        with torch.no_grad():
            logits = logits_of(model, model.eval()(self.images(shape, torch.device("cpu"))))
        expected = output_form(self.info(shape, classes), IMAGES)
        assert logits.shape == expected, f"for {classes} classes it gives {list(logits.shape)}: use `info.classes`."
