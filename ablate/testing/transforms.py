"""What a transform has to keep."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
import torch
from scipy import stats
from torch import Tensor

from ablate.contracts import Horizon
from ablate.engine.masks import knows_masks

from .component import ComponentContract, message_of
from .masks import mistake
from .randomness import REMEDY, global_generators, global_states

IMAGES = 8
SEEDS = range(16)
COPIES = 32
CHANCE = 1e-6  # so unlikely must it be that draws of their own look as alike as those of a batch


class TransformContract(ComponentContract):
    """Images to images, or with `mix` images and soft labels to both.

    Attributes:
        image_shape: Channels, height and width that it is tried with.
        dtypes: What it takes, of uint8 and float32; it has to refuse the other with a ValueError or TypeError.
        output_shape: Channels, height and width that it gives; None for those that it gets.
        output_dtype: What it gives; None for what it gets.
        recolors: Whether it changes colours beside moving pixels, so that an image does not say where its pixels were.
    """

    kind: ClassVar[str] = "transform"
    image_shape: tuple[int, int, int] = (3, 32, 32)
    dtypes: Sequence[str] = ("uint8", "float32")
    output_shape: tuple[int, int, int] | None = None
    output_dtype: str | None = None
    recolors: bool = False

    def images(self, dtype: str, count: int = IMAGES) -> Tensor:
        """Smooth noise `[count, *image_shape]`: uint8, or float32 in [0, 1]."""
        channels, height, width = self.image_shape
        noise = torch.rand(count, channels, 6, 6, generator=torch.Generator().manual_seed(0))
        smooth = torch.nn.functional.interpolate(noise, size=(height, width), mode="bicubic").clamp(0, 1)
        return smooth if dtype == "float32" else (smooth * 255).round().to(torch.uint8)

    def apply(self, transform: Any, images: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """What comes out, images and soft labels; each image goes in with a class of its own."""
        draws = None if getattr(transform, "deterministic", False) else torch.Generator().manual_seed(seed)
        labels = torch.eye(len(images), device=images.device)
        if hasattr(transform, "mix"):
            mixed, targets = transform.mix(images, labels, draws)
            return mixed, targets
        out: Tensor = transform(images, draws)
        return out, labels

    def draws(self, transform: Any) -> bool:
        """Whether it draws anything."""
        if getattr(transform, "deterministic", False):
            return False
        generator = torch.Generator().manual_seed(0)
        before = generator.get_state()
        images = self.images(self.dtypes[0])
        if hasattr(transform, "mix"):
            transform.mix(images, torch.eye(len(images)), generator)
        else:
            transform(images, generator)
        return not torch.equal(before, generator.get_state())

    @pytest.mark.parametrize("count", [IMAGES, 1])
    def test_images_have_the_form_that_is_documented(self, device: torch.device, count: int) -> None:
        for dtype in self.dtypes:
            images = self.images(dtype, count).to(device)
            out, labels = self.apply(self.make(), images)
            assert isinstance(out, Tensor), f"{dtype} images become a {type(out).__name__}: return a tensor."
            shape = (count, *(self.output_shape or self.image_shape))
            assert tuple(out.shape) == shape, f"{count} {dtype} images become {list(out.shape)}; expected {list(shape)}."
            given = f"torch.{self.output_dtype or dtype}"
            assert str(out.dtype) == given, f"{dtype} images become {out.dtype}; expected {given}. Or set `output_dtype`."
            assert out.device.type == device.type, f"images on {device} become images on {out.device}: leave them there."
            assert torch.isfinite(out.float()).all(), f"{dtype} images get values that are not finite."
            assert labels.shape == (count, count), f"soft labels [{count}, {count}] become {list(labels.shape)}: keep their form."
            assert (labels >= 0).all(), "soft labels become negative."
            torch.testing.assert_close(labels.sum(1), torch.ones_like(labels[:, 0]), msg="soft labels no longer sum to 1.")

    def test_other_dtypes_are_refused_with_a_message(self) -> None:
        for dtype in {"uint8", "float32"} - set(self.dtypes):
            message = message_of(lambda dtype=dtype: self.apply(self.make(), self.images(dtype)), ValueError, TypeError)  # type: ignore[misc]
            assert message, f"{dtype} images are not refused with a message: raise a TypeError, or add {dtype} to `dtypes`."

    def test_it_does_not_change_its_input(self, device: torch.device) -> None:
        for dtype in self.dtypes:
            images = self.images(dtype).to(device)
            before = images.clone()
            for seed in SEEDS[:4]:
                self.apply(self.make(), images, seed)
            assert torch.equal(images, before), "the images that came in are changed: work on a copy, such as `images.clone()`."

    def test_the_generator_alone_decides(self, device: torch.device) -> None:
        images = self.images(self.dtypes[0]).to(device)
        for seed in SEEDS[:4]:
            results = []
            for other in range(2):
                with global_generators(other):
                    before = global_states()
                    results.append(self.apply(self.make(), images, seed))
                    assert global_states() == before, f"it uses a global random generator. {REMEDY}"
            same = all(torch.equal(one, other) for one, other in zip(*results, strict=True))
            assert same, f"the same images with the same seed become others the second time. {REMEDY}"

    def test_it_goes_on_where_its_generator_is(self) -> None:
        """What a transform remembers from an earlier call would be lost where a cell is interrupted."""
        transform, images = self.make(), self.images(self.dtypes[0])
        first = self.apply(transform, images, 1)
        self.apply(transform, images, 2)
        again = self.apply(transform, images, 1)
        same = all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
        assert same, "a second call gives something else than the first: keep nothing between two calls."

    def test_the_epoch_alone_decides(self, device: torch.device) -> None:
        """An interrupted cell is told the epoch in which it goes on, and none before it."""
        horizon, images = Horizon(5, 10), self.images(self.dtypes[0]).to(device)
        transform = self.make()
        if not hasattr(transform, "at_epoch"):
            return
        first = self.apply(transform, images)[0]
        told = {}
        for epoch in (0, 2, 4):
            transform.at_epoch(epoch, horizon)
            told[epoch] = self.apply(transform, images)[0]
        assert torch.equal(first, told[0]), "before it is told an epoch it is not as in the first: begin with that."
        for epoch in (4, 2, 0):
            fresh = self.make()
            fresh.at_epoch(epoch, horizon)
            assert torch.equal(self.apply(fresh, images)[0], told[epoch]), (
                "an epoch gives other images where others were told before it: compute what changes from the epoch alone."
            )

    def test_other_seeds_give_other_images(self) -> None:
        transform, images = self.make(), self.images(self.dtypes[0], COPIES)
        results = [self.apply(transform, images, seed) for seed in SEEDS]
        differ = any(not torch.equal(a, b) for result in results for a, b in zip(result, results[0], strict=True))
        if self.draws(transform):
            assert differ, "it draws from the generator, and every seed gives the same: use what is drawn, or draw nothing."
        else:
            assert not differ, "it draws nothing from the generator, and seeds give different images."

    def test_each_image_has_a_draw_of_its_own(self) -> None:
        """Analysis of variance of many copies of one image, over seeds: draws once a batch make the copies of one seed alike."""
        transform = self.make()
        if not self.draws(transform):
            return
        images = self.images(self.dtypes[0], COPIES)
        mixing = hasattr(transform, "mix")
        images = images if mixing else images[:1].expand(COPIES, -1, -1, -1).contiguous()
        features = []
        for seed in SEEDS:
            out, labels = self.apply(transform, images, seed)
            features.append(labels.diag()[:, None] if mixing else _projections(out))
        for feature in torch.stack(features).double().unbind(2):
            assert not _alike_within_rows(feature), (
                f"copies of one image in one batch come out alike, other than chance would have it: draw `{COPIES}` numbers "
                "for that many images, not one for all of them."
            )

    def test_an_image_does_not_depend_on_the_others(self) -> None:
        transform = self.make()
        if hasattr(transform, "mix"):
            return
        images, place = self.images(self.dtypes[0]), IMAGES // 2
        others = images.flip(0, 3)
        others[place] = images[place]
        for seed in SEEDS[:4]:
            one, two = (self.apply(transform, batch, seed)[0][place] for batch in (images, others))
            assert torch.equal(one, two), "an image comes out differently beside other images: use its own pixels alone."

    def test_masks_move_with_their_images(self) -> None:
        """Where it says what becomes of masks: an image that is its own mask still is, up to what lies between two pixels."""
        transform = self.make()
        if not knows_masks(transform):
            return
        for dtype in self.dtypes:
            for seed in SEEDS[:4]:
                found = mistake(transform, self.image_shape, dtype, IMAGES, seed, self.recolors)
                assert not found, found

    def test_what_is_marked_deterministic_works_on_any_part(self) -> None:
        transform = self.make()
        if not getattr(transform, "deterministic", False):
            return
        images = self.images(self.dtypes[0])
        whole, part = self.apply(transform, images)[0], self.apply(transform, images[2:5])[0]
        assert torch.equal(whole[2:5], part), "a part of the images comes out differently: do not mark it `deterministic`."


def _projections(images: Tensor) -> Tensor:
    """Four numbers an image `[N, 4]`, which nearly any change of an image changes."""
    flat = images.flatten(1).float()
    return flat @ torch.randn(flat.shape[1], 4, generator=torch.Generator().manual_seed(0)) / math.sqrt(flat.shape[1])


def _alike_within_rows(values: Tensor) -> bool:
    """Whether values `[rows, columns]` are more alike in a row than independent ones would be, by an F-test."""
    rows, columns = values.shape
    noise = 1e-9 * values.abs().max().item() ** 2  # equal images in other places of a batch may round differently
    between = columns * values.mean(dim=1).var().item()
    within = values.var(dim=1).mean().item()
    if between <= noise * columns:
        return False
    ratio = between / max(within, noise)
    return float(stats.f.sf(ratio, rows - 1, rows * (columns - 1))) < CHANCE
