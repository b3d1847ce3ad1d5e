"""Files of every format become the pixels that they show, or are refused with their name; nothing is clipped."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.errors import DiskProblem, EnvironmentProblem
from ablate.images import READ_ANEW, REMARKS, decode, extensions, remarks

RAMP = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)  # black to white, no two rows alike
WHITE, BLACK = 255, 0


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., str]:
    """Saves an image under a name, and returns its path."""

    def save(image: Image.Image, name: str, **options: object) -> str:
        image.save(tmp_path / name, **options)
        return str(tmp_path / name)

    return save


def grey(path: str) -> np.ndarray:
    return decode(path, path, 1)[0]


def test_eight_bits_are_taken_as_they_are(save):
    path = save(Image.fromarray(RAMP), "grey.png")
    assert np.array_equal(grey(path), RAMP)
    assert np.array_equal(decode(path, path, 3), np.stack([RAMP] * 3))
    assert remarks(path, path) == ()
    colour = np.stack([RAMP, RAMP.T, 255 - RAMP], axis=-1)
    path = save(Image.fromarray(colour), "colour.bmp")
    assert np.array_equal(decode(path, path, 3), colour.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.jp2", "deep.pgm"])
def test_sixteen_bits_are_scaled_by_their_range(save, name):
    path = save(Image.fromarray(RAMP.astype(np.uint16) * 257), name)
    assert np.array_equal(grey(path), RAMP)
    assert remarks(path, path) == ("deep",)


def test_between_two_values_the_nearer_one_is_taken(save):
    values = np.array([[0, 128, 129, 257, 385, 386, 65406, 65407, 65535]], dtype=np.uint16)
    path = save(Image.fromarray(values), "deep.png")
    assert grey(path).tolist() == [[0, 0, 1, 1, 1, 2, 254, 255, 255]]


def test_sixteen_bits_in_the_other_byte_order(tmp_path):
    path = str(tmp_path / "big.tif")
    Image.frombytes("I;16B", (8, 8), (RAMP.astype(">u2") * 257).tobytes()).save(path)
    assert np.array_equal(grey(path), RAMP)


def tiff(path: Path, values: bytes, bits: int, photometric: int, width: int) -> str:
    """A grey TIFF of one row, uncompressed, little-endian."""
    entries = [(256, 4, width), (257, 4, 1), (258, 3, bits), (259, 3, 1), (262, 3, photometric), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, 1), (279, 4, len(values))]
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries
    )
    padded = values + b"\0" * (len(values) % 2)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(padded)) + padded + directory + b"\0\0\0\0")
    return str(path)


def test_twelve_bits_end_at_4095(tmp_path):
    path = tiff(tmp_path / "twelve.tif", bytes([0xFF, 0xF0, 0x00, 0x80, 0x00, 0x00]), 12, 1, 4)  # 4095, 0, 2048, 0
    assert grey(path).tolist() == [[255, 0, 128, 0]]


def test_where_0_is_white_it_is_white(tmp_path):
    values = struct.pack("<3H", 0, 65535, 257)
    assert grey(tiff(tmp_path / "white.tif", values, 16, 0, 3)).tolist() == [[WHITE, BLACK, 254]]
    assert grey(tiff(tmp_path / "white8.tif", bytes([0, 255, 1]), 8, 0, 3)).tolist() == [[WHITE, BLACK, 254]]


@pytest.mark.parametrize(
    ("values", "name", "mode"),
    [
        (RAMP.astype(np.float32), "float.tif", "mode 'F' of TIFF"),
        (RAMP.astype(np.float32) / 255, "unit.tif", "mode 'F' of TIFF"),
        (RAMP.astype(np.int32) * 200, "int.tif", "mode 'I' of TIFF"),
    ],
)
def test_what_has_no_range_is_refused_with_file_and_mode(save, values, name, mode):
    path = save(Image.fromarray(values), name)
    for use in (lambda: grey(path), lambda: remarks(path, path)):
        with pytest.raises(EnvironmentProblem, match=f"{name}: has .*{mode}.*Save it with 8 or 16 bits"):
            use()


def test_sixteen_bits_that_are_nearly_unused_are_told(save):
    path = save(Image.fromarray(RAMP.astype(np.uint16) * 16), "twelve.png")  # up to 4080 of 65535
    assert grey(path).max() == 16
    path = save(Image.fromarray(RAMP.astype(np.uint16) * 15), "twelve.png")
    assert remarks(path, path) == ("deep", "dark")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.webp", "photo.tif", "deep.png"])
def test_images_are_upright(save, orientation, name):
    """Every orientation, against where the corner of the picture has to be (EXIF 2.32, 4.6.4 A)."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.zeros((16, 32), np.uint8)
    stored[:8, :8] = 255  # its first corner
    image = Image.fromarray(stored.astype(np.uint16) * 257) if name.startswith("deep") else Image.fromarray(stored).convert("RGB")
    lossless = {"lossless": True} if name.endswith(".webp") else {}
    path = save(image, name, exif=exif, **lossless)
    pixels = grey(path) > 128
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}[orientation]
    assert pixels.shape == ((16, 32) if orientation < 5 else (32, 16))
    assert pixels[corner]
    assert pixels.sum() == 64
    turned = "upright" in remarks(path, path)
    assert turned == (orientation > 1 and not name.endswith(".tif"))  # Pillow has turned TIFF for long


def test_exif_data_that_is_no_exif_data_is_told(save):
    path = save(Image.fromarray(RAMP), "odd.png", exif=b"Exif\0\0no such thing")
    assert np.array_equal(grey(path), RAMP)
    assert remarks(path, path) == ("exif",)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.webp"])
def test_exif_data_that_ends_too_early_is_told_and_pillow_says_nothing(save, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(Image.fromarray(RAMP), name, exif=exif.tobytes()[:-6])  # within the orientation
    assert grey(path).shape == RAMP.shape
    assert remarks(path, path) == ("exif",)


@pytest.mark.filterwarnings("error")
def test_large_images_are_read_without_a_word_and_too_large_ones_are_refused(save, monkeypatch):
    path = save(Image.fromarray(RAMP), "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", RAMP.size // 2 + 1)  # Pillow warns above this, and refuses twice as many
    assert np.array_equal(grey(path), RAMP)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", RAMP.size // 2 - 1)
    with pytest.raises(EnvironmentProblem, match=r"large.png: cannot be read as an image: .*bomb DOS attack\. Repair it"):
        grey(path)


def test_transparent_parts_are_laid_over_white(save):
    pixels = np.zeros((8, 8, 4), np.uint8)  # black, and seen the less the lighter the ramp is
    pixels[..., 3] = 255 - RAMP
    path = save(Image.fromarray(pixels), "alpha.png")
    assert np.array_equal(grey(path), RAMP)
    assert remarks(path, path) == ("clear",)
    both = np.stack([np.zeros_like(RAMP), 255 - RAMP], axis=-1)
    assert np.array_equal(grey(save(Image.fromarray(both), "la.png")), RAMP)


def test_transparent_colours_of_a_palette_are_white(save):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
    image.putpalette([10, 10, 10, 20, 20, 20, 30, 30, 30])
    assert grey(save(image, "opaque.png")).tolist() == [[10, 20, 30]]
    assert grey(save(image, "clear.png", transparency=bytes([255, 0, 255]))).tolist() == [[10, 255, 30]]
    assert grey(save(image, "one.png", transparency=2)).tolist() == [[10, 20, 255]]
    assert grey(save(Image.fromarray(np.array([[7, 8]], np.uint8)), "key.png", transparency=7)).tolist() == [[255, 8]]


def test_opaque_images_with_transparency_keep_their_pixels(save):
    colour = np.stack([RAMP, RAMP.T, 255 - RAMP, np.full_like(RAMP, 255)], axis=-1)
    path = save(Image.fromarray(colour), "opaque.png")
    assert np.array_equal(decode(path, path, 3), colour[..., :3].transpose(2, 0, 1))
    assert remarks(path, path) == ()


def test_what_is_white_on_white_is_refused(save):
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[..., 3] = RAMP
    path = save(Image.fromarray(pixels), "ghost.png")
    with pytest.raises(EnvironmentProblem, match=r"ghost.png: is of one colour .* in its transparency alone"):
        grey(path)
    pixels[..., 3] = 0  # nothing is to be seen, and white is what it shows
    assert grey(save(Image.fromarray(pixels), "nothing.png")).min() == WHITE


def test_two_colours_and_inks(save):
    path = save(Image.fromarray(RAMP > 127), "bilevel.png")
    assert np.array_equal(grey(path), np.where(RAMP > 127, WHITE, BLACK))
    inks = save(Image.fromarray(RAMP).convert("RGB").convert("CMYK"), "inks.jpg", quality=100)
    assert np.abs(grey(inks).astype(int) - RAMP).max() < 8


@pytest.mark.parametrize("name", ["moving.gif", "moving.webp", "pages.tiff", "moving.png"])
def test_the_first_of_several_frames_is_read(save, name):
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)).convert("RGB") for value in (40, 200)]
    options = {"lossless": True} if name.endswith("webp") else {}
    path = save(frames[0], name, save_all=True, append_images=frames[1:], **options)
    assert np.unique(grey(path)).tolist() == [40]
    assert remarks(path, path) == ("frames",)


def test_images_are_cropped_in_the_middle_and_resized(save):
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 3:9] = 100  # the middle is 4 wide, and its neighbours take part in the resizing
    path = save(Image.fromarray(wide), "wide.png")
    assert decode(path, path, 1, 2).tolist() == [[[100] * 2] * 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty. Fetch it again or remove it"),
        (b"<html>404</html>", "its content is of no format that is known"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "it is a pointer of Git LFS. Run `git lfs pull`"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "its content is of no format that is known",
        ),  # would run Ghostscript
    ],
)
def test_what_is_no_image_is_told_by_name(content, message):
    for use in (decode, lambda data, name, _: remarks(data, name)):
        with pytest.raises(EnvironmentProblem, match=f"^photo 7: cannot be read as an image: {message}"):
            use(content, "photo 7", 3)


@pytest.mark.parametrize("name", ["half.jpg", "half.png", "half.tif", "half.webp"])
def test_half_an_image_is_told_by_name(save, name):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = Path(save(Image.fromarray(noise), name))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(EnvironmentProblem, match=f"{name}: cannot be read as an image"):
        decode(path, str(path), 3)


def test_a_file_that_is_gone_is_told(tmp_path):
    with pytest.raises(DiskProblem, match="gone.png: cannot be read: .*No such file"):
        decode(tmp_path / "gone.png", "gone.png", 3)


def test_all_extensions_of_images_are_read():
    assert {".jpg", ".jpe", ".jfif", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"} <= extensions()
    assert not {".eps", ".ps", ".mpg", ".txt", ".pdf", ".svg", ""} & extensions()


def test_what_is_read_anew_has_a_remark():
    assert REMARKS.keys() > READ_ANEW
