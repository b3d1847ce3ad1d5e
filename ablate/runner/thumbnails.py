"""Small pictures of the images that variants disagree on most, kept in the store, so that reports need no dataset for them."""

import io
from typing import Any

import numpy as np

from ablate.contracts import Environment
from ablate.errors import AblateError
from ablate.registry import default
from ablate.report.thumbnails import LARGEST, SIDE
from ablate.stats.image_records import PerImage
from ablate.store import Store
from ablate.study import Study
from ablate.writing import replaced

from .trained import cells_of


def keep_thumbnails(study: Study, found: PerImage | None, store: Store, environment: Environment) -> None:
    """Makes those that the store does not have, where the images are at hand and are those that were evaluated.

    Raises:
        OSError: They cannot be written.
    """
    if found is None or study.thumbnails is None:
        return
    missing = {
        image.image: file for image in found.disputed if not (file := study.thumbnails(found.images, image.image)).exists()
    }
    images = evaluated_images(study, found.images, store, environment) if missing else None
    if images is None:
        return
    for place, file in missing.items():
        if (data := small_picture(images, place)) is not None:
            with replaced(file) as temporary:
                temporary.write_bytes(data)


def evaluated_images(study: Study, wanted: str, store: Store, environment: Environment) -> Any:
    """The images that the reference was evaluated on; None where they are not at hand, or others now."""
    import torch

    from ablate.engine import data

    done = study.cells[(study.cells["variant"] == study.compare.reference) & (study.cells["status"] == "done")]
    cell = cells_of(store, list(done["key"])[:1])[0]
    try:
        shown = data.load(default(), cell.recipe, cell.seed, environment, torch.device("cpu")).evaluation
    except AblateError:  # a report is made without them
        return None
    return shown.images if data.sample_digest(shown) == wanted else None


def small_picture(images: Any, place: int) -> bytes | None:
    """PNG of an image, no larger than a thumbnail is; None where it is none that a picture shows."""
    from PIL import Image

    from ablate.photographs import Photographs

    pixels = images.decoded(place) if isinstance(images, Photographs) else images[place].numpy()
    if pixels.shape[0] not in (1, 3):
        return None
    picture = Image.fromarray(np.ascontiguousarray(pixels[0] if pixels.shape[0] == 1 else pixels.transpose(1, 2, 0)))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    made = io.BytesIO()
    picture.save(made, "PNG", optimize=True)
    return made.getvalue() if made.tell() <= LARGEST else None
