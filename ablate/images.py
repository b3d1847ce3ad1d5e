"""Image files as 8-bit pixels: the one place where every dataset decodes them, so that one file is the same in all of them.

What needs a decision is decided here, and has a remark that a dataset can tell (`REMARKS`). What has no right answer, such as a
float image, is refused: no image is clipped or blackened without a word.
"""

import io
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from .errors import DiskProblem, EnvironmentProblem

if TYPE_CHECKING:
    from PIL.Image import Image

Source = str | Path | bytes  # a file, or its content
Pixels = npt.NDArray[np.uint8]
Made = TypeVar("Made")

REMARKS = {
    "deep": "more than 8 bits a pixel, scaled from the range of the format to 0–255",
    "dark": "of 16 bits less than a sixteenth of the range is used, and they come out nearly black; "
    "write them anew, with the range that matters as 0–255",
    "upright": "turned upright, as their EXIF orientation says",
    "clear": "transparent parts, laid over white",
    "frames": "several frames, of which the first is read",
    "exif": "EXIF data that cannot be read; taken as they lie",
}
READ_ANEW = frozenset({"deep", "upright", "clear"})  # version 0.1.0 read their pixels otherwise, without a word
_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow only recognises them, or starts another program
ORIENTATION = 274  # the tag of EXIF
_SIXTEEN_BITS = {"I;16", "I;16B", "I;16L", "I;16N"}
_EXIF_IN_PNG = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")  # Pillow decodes a whole PNG to look for it


@cache
def extensions() -> frozenset[str]:
    """The extensions of files that are read, in lower case with their dot."""
    from PIL import Image

    known = Image.registered_extensions()
    return frozenset(extension for extension, name in known.items() if name in _formats())


def decode(source: Source, name: str, channels: Literal[1, 3], size: int | None = None, scale: int = 1) -> Pixels:
    """An image file as uint8 `[channels, H, W]`.

    Images of 8 bits are taken as they are; grey is ITU-R 601 luma. More bits are scaled from the range of their format. EXIF
    orientation is applied, transparent parts are laid over white, and the first of several frames is read. Colour profiles and
    gamma are not applied.

    Args:
        source: A path, or the content of a file.
        name: What messages call it.
        channels: 3 for RGB, 1 for grey.
        size: Height and width that it is cropped (in the middle) and resized to; as it is where None.
        scale: A JPEG file is decoded to `1 / scale` of its height and width, by its own transform; 1, 2, 4 or 8.

    Raises:
        DiskProblem: The file cannot be read.
        EnvironmentProblem: It is damaged, no image, or has no range that could be scaled, such as floats.
    """

    def pixels(image: "Image", _: bytes) -> Pixels:
        from PIL import Image, ImageOps

        if scale > 1:
            image.draft("RGB", (image.width // scale, image.height // scale))
        image = _flat(_eight_bits(_upright(image), image)).convert("RGB" if channels == 3 else "L")
        if size:
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
        return np.atleast_3d(np.asarray(image, dtype=np.uint8)).transpose(2, 0, 1)

    return _with(source, name, pixels)


class Look(NamedTuple):
    """What a file says of itself.

    Attributes:
        remarks: What is special about how it is read: keys of `REMARKS`, none for an ordinary 8-bit image.
        height: Of the upright image.
        width: Of the upright image.
    """

    remarks: tuple[str, ...]
    height: int
    width: int


def look(source: Source, name: str) -> Look:
    """Looks at an image file, and decodes it only where nothing else tells.

    Raises:
        As `decode`, as far as a look at the file tells.
    """

    def found(image: "Image", data: bytes) -> Look:
        remarks = [_orientation(image, data)]
        lies = remarks[0] == "upright" and image.getexif()[ORIENTATION] in range(5, 9)
        if getattr(image, "is_animated", False):
            remarks.append("frames")
        if image.mode in _SIXTEEN_BITS or image.mode in ("I", "F"):
            remarks.append("deep")
            if np.asarray(_eight_bits(image, image)).max() < 16:
                remarks.append("dark")
        elif image.has_transparency_data and _alpha(image).min() < 255:
            remarks.append("clear")
        height, width = (image.width, image.height) if lies else (image.height, image.width)
        return Look(tuple(remark for remark in remarks if remark), height, width)

    return _with(source, name, found)


def _with(source: Source, name: str, use: Callable[["Image", bytes], Made]) -> Made:
    """What becomes of an opened image; whatever goes wrong names it.

    Pillow's own warnings are of its code, and name no file: what matters of them is a remark.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise DiskProblem(f"{name}: cannot be read: {error}. Repair it or remove it.") from error
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_formats()) as image:
            return use(image, data)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(f"{name}: {error}") from error
    except UnidentifiedImageError as error:
        raise EnvironmentProblem(f"{name}: cannot be read as an image: {_what_else(data)}") from error
    except Exception as error:  # the file may be anything, a bomb too, and decoders fail in many ways
        why = str(error).rstrip(".")
        raise EnvironmentProblem(f"{name}: cannot be read as an image: {why}. Repair it or remove it.") from error


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.preinit()  # the common ones are tried first
    Image.init()
    return tuple(name for name in Image.ID if name not in _NO_PICTURES)


def _what_else(data: bytes) -> str:
    if not data:
        return "it is empty. Fetch it again or remove it."
    if data.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS. Run `git lfs pull`."
    return "its content is of no format that is known. Repair it or remove it."


def _orientation(image: "Image", data: bytes) -> str:
    """`upright` where EXIF data says that an image lies; not for TIFF, which Pillow turns itself while decoding."""
    if image.format == "TIFF" or (image.format == "PNG" and not any(word in data for word in _EXIF_IN_PNG)):
        return ""
    from PIL.Image import Exif

    try:
        with warnings.catch_warnings(action="error", category=UserWarning):  # of data that ends too early
            Exif().load(image.info.get("exif", b""))  # to open a JPEG has read it, and nobody heard the warning
            return "upright" if image.getexif().get(ORIENTATION, 1) in range(2, 9) else ""
    except Exception:  # decoders of EXIF fail in many ways, and the pixels are there without it
        image.load()
        return "exif"


def _upright(image: "Image") -> "Image":
    from PIL import ImageOps

    image.load()
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # as in `_orientation`, whose remark tells it
        return image


def _eight_bits(image: "Image", file: "Image") -> "Image":
    """The image with 8 bits a channel, scaled by the range that the format of its file has.

    Raises:
        EnvironmentProblem: Its format has no range.
    """
    from PIL import Image

    tags: Any = getattr(file, "tag_v2", {})
    if image.mode in _SIXTEEN_BITS:
        white = 2 ** tags.get(258, (16,))[0] - 1  # BitsPerSample of a TIFF may be 12
    elif image.mode == "I" and file.format in ("PNG", "PPM"):
        white = 65535  # Pillow has no other mode for their 16 bits, in some versions
    elif image.mode in ("I", "F"):
        kind = "floats" if image.mode == "F" else "integers of 32 bits, or with a sign"
        raise EnvironmentProblem(
            f"has {kind} (mode {image.mode!r} of {file.format}), and nothing says which of them are black and white. "
            "Save it with 8 or 16 bits, with the range that matters as the whole range."
        )
    else:
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > white:
        raise EnvironmentProblem(f"has values from {values.min()} to {values.max()}, and its format ends at {white}. Repair it.")
    if tags.get(262) == 0:  # PhotometricInterpretation: white is 0
        values = white - values
    return Image.fromarray(((values * 255 + white // 2) // white).astype(np.uint8))


def _alpha(image: "Image") -> Pixels:
    return np.asarray(image.convert("LA" if image.mode == "La" else "RGBA").getchannel("A"))


def _flat(image: "Image") -> "Image":
    """The image without transparency, as it looks on white.

    Raises:
        EnvironmentProblem: Nothing of it is seen on white, but something is in its transparency.
    """
    if not image.has_transparency_data:
        return image
    from PIL import Image

    alpha = _alpha(image)
    if alpha.min() == 255:
        return image
    image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    pixels = np.asarray(flat)
    if alpha.min() != alpha.max() and (pixels == pixels[0, 0]).all():
        raise EnvironmentProblem(
            "is of one colour where its transparent parts are laid over white, which is done with all: what it shows is in its "
            "transparency alone. Lay it over another colour, and save it without transparency."
        )
    return flat
