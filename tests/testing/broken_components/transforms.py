"""Transforms that break their contract."""

import torch

from ablate.components.transforms import deterministic, moves_masks

CAUGHT = {
    "cropped": ("test_images_have_the_form_that_is_documented", "8 uint8 images become [8, 3, 31, 32]"),
    "of_any_dtype": ("test_other_dtypes_are_refused_with_a_message", "float32 images are not refused"),
    "in_place": ("test_it_does_not_change_its_input", "work on a copy"),
    "torchs": ("test_the_generator_alone_decides", "it uses a global random generator"),
    "remembering": ("test_it_goes_on_where_its_generator_is", "keep nothing between two calls"),
    "ageing": ("test_the_epoch_alone_decides", "compute what changes from the epoch alone"),
    "late": ("test_the_epoch_alone_decides", "it is not as in the first"),
    "unused_draw": ("test_other_seeds_give_other_images", "use what is drawn, or draw nothing"),
    "once_a_batch": ("test_each_image_has_a_draw_of_its_own", "not one for all of them"),
    "operation_once_a_batch": ("test_each_image_has_a_draw_of_its_own", "not one for all of them"),
    "mixing_once_a_batch": ("test_each_image_has_a_draw_of_its_own", "not one for all of them"),
    "centred": ("test_an_image_does_not_depend_on_the_others", "use its own pixels alone"),
    "left_behind": ("test_masks_move_with_their_images", "is its column, images and masks agree in"),
    "moved_by_others": ("test_masks_move_with_their_images", "is its column, images and masks agree in"),
    "mean_classes": ("test_masks_move_with_their_images", "classes that they did not have"),
    "drawn_apart": ("test_masks_move_with_their_images", "beside masks, images become others than without"),
    "of_no_account": ("test_masks_move_with_their_images", "100 % of the pixels of masks do not count"),
    "marked": ("test_what_is_marked_deterministic_works_on_any_part", "do not mark it `deterministic`"),
}
TRIED = {
    "of_any_dtype": {"dtypes": ("uint8",)},
    "centred": {"output_dtype": "float32"},
    "marked": {"output_dtype": "float32"},
}


def rand(count, generator):
    return torch.rand(count, 1, 1, 1, generator=generator)


def darker(images, factors):
    return (images * factors).to(images.dtype)


def cropped():
    """A row is lost."""
    return lambda images, generator: images[:, :, 1:]


def of_any_dtype():
    """Takes what it says it does not take."""
    return lambda images, generator: images.flip(-1)


class Ageing:
    """Darker in each epoch that it is told."""

    deterministic = True

    def __init__(self, steps):
        self.factor, self.steps = 1.0, steps

    def at_epoch(self, epoch, horizon):
        self.factor = self.factor * 0.8 if self.steps and epoch else 0.9**epoch

    def __call__(self, images, generator):
        return darker(images, self.factor)


def ageing():
    """Another step from wherever it is."""
    return Ageing(steps=True)


def late():
    """Half as bright until it is told an epoch."""
    made = Ageing(steps=False)
    made.factor = 0.5
    return made


def in_place():
    """Writes into what came in."""
    return lambda images, generator: images.mul_(rand(len(images), generator) < 0.5)


def torchs():
    """Draws from torch's global generator."""
    return lambda images, generator: darker(images, rand(len(images), None))


def remembering():
    """The brightness of the images before."""
    before = [1.0]

    def apply(images, generator):
        factor, before[0] = before[0], before[0] * 0.9
        return darker(images, factor * rand(len(images), generator))

    return apply


def unused_draw():
    """Draws, and does nothing with it."""

    def apply(images, generator):
        rand(len(images), generator)
        return images.flip(-1)

    return apply


def once_a_batch():
    """One draw for all images."""
    return lambda images, generator: darker(images, rand(1, generator))


def operation_once_a_batch():
    """One operation for all images, with a strength for each."""

    def apply(images, generator):
        changed = images.flip(-1) if torch.rand((), generator=generator) < 0.5 else images
        return darker(changed, 0.8 + 0.2 * rand(len(images), generator))

    return apply


class MixingOnceABatch:
    """One weight for all images."""

    def mix(self, images, targets, generator):
        weight = torch.rand((), generator=generator).item()
        mixed = images * weight + images.roll(1, 0) * (1 - weight)
        return mixed.to(images.dtype), targets * weight + targets.roll(1, 0) * (1 - weight)


def mixing_once_a_batch():
    """One weight for all images."""
    return MixingOnceABatch()


def centred():
    """Takes off the mean of all images."""
    return lambda images, generator: images.float() - images.float().mean(0) + rand(len(images), generator)


def marked():
    """Takes off the mean of all images, and says that parts do not matter."""
    return deterministic(lambda images, _: images.float() - images.float().mean(0))


def rolled(images, generator):
    """Each image moved to the side by a draw of its own."""
    shifts = torch.randint(images.shape[3], (len(images),), generator=generator).tolist()
    return torch.stack([image.roll(shift, -1) for image, shift in zip(images, shifts, strict=True)])


def roll():
    """As `rolled`, to be marked."""
    return lambda images, generator: rolled(images, generator=generator)


def left_behind():
    """Masks stay."""
    return moves_masks(roll(), lambda masks, generator: masks)


def moved_by_others():
    """Masks move by other draws."""
    return moves_masks(roll(), lambda masks, generator: rolled(masks, generator.manual_seed(1)))


def mean_classes():
    """Masks are smoothed."""
    return moves_masks(roll(), lambda masks, generator: (rolled(masks, generator) + rolled(masks, generator)) // 2)


class DrawnApart:
    """Draws something else first where there are masks."""

    def __call__(self, images, generator):
        return rolled(images, generator)

    def with_masks(self, images, masks, generator):
        moved = rolled(masks, generator)
        return rolled(images, generator), moved


def drawn_apart():
    """Draws something else first where there are masks."""
    return DrawnApart()


def of_no_account():
    """Nothing of a mask counts."""
    return moves_masks(roll(), lambda masks, generator: torch.zeros_like(masks))
