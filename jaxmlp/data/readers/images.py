"""One picture file as an array of bytes: upright, resized, and with the colour channels that are asked for.

Pillow is optional, and is imported when a picture is read.
"""

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from jaxmlp.data.limits import RATIO, bytes_on_disk, check_regular, check_total_bytes
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError, sentence

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")  # Pillow decodes these itself; for EPS it would start Ghostscript
# what Pillow's decoders raise for a damaged file
PICTURE_ERRORS = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
PICTURE_ERRORS += (AttributeError, MemoryError, zlib.error, struct.error)
SMALL_PIXELS = 16_000_000  # any file may have so many; a large one may have RATIO a byte, up to the limit of Pillow
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_GREY_MODES = ("1", "L", "LA")


class PictureShape(NamedTuple):
    """The shape that a picture gets.

    Attributes:
        size: (height, width), to which it is resized; None keeps its own.
        channels: 1, 3 or 4 for grey, RGB or RGBA; None for grey if the file stores the picture without colour, else
            RGB.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None


def shape_for_model(image_shape: Sequence[int] | None, name: str) -> PictureShape:
    """Return the shape of the pictures that a model reads.

    Args:
        image_shape: of the model: (h, w) or (h, w, 1) is grey, (h, w, 3) is RGB, (h, w, 4) is RGBA.
        name: of a picture, for the error text.

    Raises:
        InputError: the model reads no images, or images of other channels.

    >>> shape_for_model((28, 28), "a.png")
    PictureShape(size=(28, 28), channels=1)
    """
    if image_shape is None:
        remedy = "only a model trained on images, or with an image_shape, takes pictures"
        raise InputError(sentence("this model", "rows of numbers", f"the picture {name}", remedy))
    height, width, channels = (*image_shape, 1)[:3]  # (h, w) is grey: one channel
    if channels not in _MODES:
        remedy = "give the rows as .npz, .h5 or .csv"
        raise InputError(sentence("a picture", "a model of 1, 3 or 4 channels", channels, remedy))
    return PictureShape((height, width), channels)


def read_image(path: Path, _n_features: int, columns: Columns) -> np.ndarray:
    """Return the picture as one row of bytes 0..255, (1, h·w·c), in the image shape of a model.

    Raises:
        InputError: the model reads no images, and as `read_picture`.
    """
    shape = shape_for_model(columns.image_shape, path.name)
    return read_picture(path, path.name, shape).reshape(1, -1)


def read_picture(path: Path, name: str, shape: PictureShape) -> np.ndarray:
    """Return a picture as bytes 0..255, (h, w) if it is grey, else (h, w, c).

    The orientation tag of the camera is applied. Transparent parts become white, unless four channels are asked for.
    Of an animation the first frame is read. Resizing is bicubic and does not preserve proportions.

    Args:
        path: the picture.
        name: of the picture in errors.
        shape: of the result.

    Raises:
        InputError: a damaged file, too many pixels, one channel of 16 or 32 bits, or Pillow is missing.
    """
    try:
        picture = _open_upright(path, name)
        channels = shape.channels or (1 if picture.mode in _GREY_MODES else 3)
        picture = _convert_channels(picture, _MODES[channels])
        if shape.size is not None:
            height, width = shape.size  # Pillow counts (width, height), and its array is (height, width[, c])
            picture = picture.resize((width, height), resample=_import_pillow().Resampling.BICUBIC)
        return np.asarray(picture)
    except InputError:
        raise
    except PICTURE_ERRORS:  # a palette that is cut short, for example
        raise _damaged(name) from None


def _open_upright(path: Path, name: str) -> "Image.Image":
    pillow = _import_pillow()
    from PIL import ImageOps

    status = check_regular(path, name)
    check_total_bytes(name, status.st_size, bytes_on_disk(status), "its content", "save the picture again")
    try:
        with pillow.open(path, formats=IMAGE_FORMATS) as file:
            # `open` reads the header only: no pixel is decoded yet
            n_pixels = math.prod(file.size)
            # a small file may unpack to gigabytes: Pillow only warns above its limit of pixels. Here that is an error,
            # without a filter of warnings, which would hold for all threads of the process
            limit = min(pillow.MAX_IMAGE_PIXELS or n_pixels, max(SMALL_PIXELS, RATIO * status.st_size))
            if n_pixels > limit:
                raise _too_large(name, f"at most {limit:,} pixels", f"{n_pixels:,}")
            # this decodes the pixels, which is possible only while the file is open
            picture = ImageOps.exif_transpose(file)
    except InputError:
        raise
    except pillow.UnidentifiedImageError:
        expects, remedy = f"a picture in {', '.join(IMAGE_FORMATS)}", "save it in one of these"
        raise InputError(sentence(name, expects, "a damaged file, or another format", remedy)) from None
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):
        raise _too_large(name, "no more pixels than Pillow decodes", "more") from None
    except PICTURE_ERRORS:
        raise _damaged(name) from None
    # 16 and 32 bits a pixel: cut to bytes they would be another picture
    if picture.mode.startswith(("I", "F")):
        got, remedy = f"mode {picture.mode}", "save it with 8 bits a channel"
        raise InputError(sentence(name, "a picture of 8 bits a channel", got, remedy))
    return picture


def _too_large(name: str, expects: str, got: str) -> InputError:
    return InputError(sentence(name, expects, got, "make the picture smaller"))


def _damaged(name: str) -> InputError:
    got, remedy = "one that cannot be read", "is it whole?"
    return InputError(sentence(name, "a picture", got, remedy))


def _convert_channels(picture: "Image.Image", mode: str) -> "Image.Image":
    if mode != "RGBA" and picture.has_transparency_data:
        picture = picture.convert("RGBA")
        # convert("RGB") would only drop the alpha channel, and show the colours beneath it, which are often black
        white = _import_pillow().new("RGBA", picture.size, "white")
        picture = _import_pillow().alpha_composite(white, picture)
    return picture.convert(mode)


def _import_pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        remedy = 'pip install "jaxmlp[all]"'
        raise InputError(sentence("reading a picture", "Pillow", "an installation without it", remedy)) from None
    return Image
