"""What a trained model says of images that lie in a folder, read as the dataset `image_folder` reads them."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ablate import images
from ablate.components import recorded
from ablate.components.class_folders import images_in
from ablate.contracts import DataInfo
from ablate.errors import EnvironmentProblem
from ablate.plain import one_line

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.engine.restoring import Restored

CHUNK = 256  # images at once
SHOWN = 5  # files that cannot be read which a message names
COLUMNS = ("path", "class", "probability")


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        path: The file, as seen from the folder.
        class_name: The most likely class.
        probability: That of this class.
    """

    path: str
    class_name: str
    probability: float


def predicted(model: "Restored", folder: Path, notice: Callable[[str], None]) -> Iterator[Prediction]:
    """What a model says of each image of a folder, through the transforms that its recipe evaluates with.

    Images are cropped in the middle and resized to the size that the model was trained on, which is told where it changes some.
    Where it was trained on images of any size, they go through the transforms as they are.

    Args:
        model: The model.
        folder: The images, at any depth; what is none is left out, and told.
        notice: Called with sentences about how they were read.

    Raises:
        EnvironmentProblem: Images cannot be read: nothing is told of any of them. Or they cannot be brought to their size.
    """
    files, notices = images_in(folder)
    form = model.form.images
    for said in (*notices, *_read_in_a_way_of_its_own(files, form)):
        notice(said)
    for start in range(0, len(files), CHUNK):
        some = files[start : start + CHUNK]
        answers = _told(model, some, form)
        for file, probabilities in zip(some, answers, strict=True):
            best = int(probabilities.argmax())
            path = visible(os.path.relpath(file, folder))
            yield Prediction(path, visible(model.form.class_names[best]), float(probabilities[best]))


def _told(model: "Restored", files: Sequence[str], form: DataInfo) -> "Tensor":
    """What a model says of some images: read like those that it was trained on, also where they have sizes of their own."""
    import torch

    if not form.any_size:
        return model.probabilities(torch.stack([_tensor(file, form) for file in files]))
    channels: Any = form.channels
    with TemporaryDirectory() as place:
        folder = Path(place, "records")
        recorded.write(folder, [0] * len(files), ((file, Path(file).read_bytes()) for file in files), channels, decoded=False)
        photographs: Any = recorded.recorded(folder).images
        return model.probabilities(photographs)


def _tensor(file: str, form: DataInfo) -> Any:
    import torch

    channels: Any = form.channels
    pixels = images.decode(file, file, channels)
    if pixels.shape[1:] != (form.height, form.width):
        pixels = images.decode(file, file, channels, form.height)
    return torch.from_numpy(pixels.copy())


def _read_in_a_way_of_its_own(files: Sequence[str], form: DataInfo) -> Iterator[str]:
    """What has to be said of how files are read, with numbers.

    Raises:
        EnvironmentProblem: Some cannot be read, or cannot be brought to their size.
    """
    if form.channels not in (1, 3):
        raise EnvironmentProblem(f"the model was trained on images of {form.channels} channels, and files have 1 or 3.")
    counts: Counter[str] = Counter()
    broken: list[str] = []
    channels: Any = form.channels
    for file in files:
        try:
            counts.update(images.look(file, file).remarks)
            other = images.decode(file, file, channels).shape[1:] != (form.height, form.width)
            counts["size"] += other and not form.any_size
        except EnvironmentProblem as error:
            broken.append(one_line(str(error)))
    if broken:
        more = [f"and {len(broken) - SHOWN:,} more"] if len(broken) > SHOWN else []
        raise EnvironmentProblem("\n".join([f"{len(broken):,} of {len(files):,} images cannot be read:", *broken[:SHOWN], *more]))
    resized = counts.pop("size", 0)
    if resized and form.height != form.width:
        message = f"{resized:,} of {len(files):,} images are not of {form.height}×{form.width}, which the model was trained on."
        raise EnvironmentProblem(f"{message} Bring them to it: only squares are cropped and resized here.")
    if resized:
        size = f"{form.height}×{form.width}"
        yield f"{resized:,} of {len(files):,} images are cropped in the middle and resized to {size}, as the model was trained on"
    for remark, count in counts.items():
        yield f"{count:,} of {len(files):,} images: {images.REMARKS[remark]}"


def visible(name: str) -> str:
    """A name on one line, with what cannot be printed as an escape, such as `\\x1b`: no name moves the cursor or begins a row."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in name)
