"""One picture file as one raw row: upright, resized, and with the colour channels of the model's images.

Pillow is optional, and is imported when a picture is read.
"""

import math
import struct
import warnings
import zlib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from jaxmlp.data.limits import RATIO, check_bytes, check_regular
from jaxmlp.data.rows import Columns
from jaxmlp.errors import InputError, sentence

if TYPE_CHECKING:
    from PIL import Image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
IMAGE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")  # Pillow decodes these itself; for EPS it would start Ghostscript
# what Pillow's decoders raise for a damaged file
PICTURE_ERRORS = (OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)
PICTURE_ERRORS += (AttributeError, MemoryError, zlib.error, struct.error)
SMALL_PIXELS = 16_000_000  # that a picture of any size on the disk may have; a larger one takes RATIO pixels a byte
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_image(path: Path, _n_features: int, columns: Columns) -> np.ndarray:
    """Return the picture as one row of bytes 0..255, (1, h·w·c).

    The orientation tag of the camera is applied. Transparent parts become white, unless the model reads four channels.
    Of an animation the first frame is read. Resizing is bicubic and does not preserve proportions.

    Args:
        path: the picture.
        columns: of the model; its image_shape (h, w) or (h, w, 1) is grey, (h, w, 3) is RGB, (h, w, 4) is RGBA.

    Raises:
        InputError: the model reads no images, Pillow is missing, or the file is not a picture of 8 bits a channel.
    """
    if columns.image_shape is None:
        got = f"the picture {path.name}"
        remedy = "only a model trained on images, or with an image_shape, takes pictures"
        raise InputError(sentence("this model", "rows of numbers", got, remedy))
    height, width, channels = (*columns.image_shape, 1)[:3]  # (h, w) is grey: one channel
    if channels not in _MODES:
        remedy = "give the rows as .npz, .h5 or .csv"
        raise InputError(sentence("a picture", "a model of 1, 3 or 4 channels", channels, remedy))
    try:
        picture = _convert_channels(_open_upright(path), _MODES[channels])
    except InputError:
        raise
    except PICTURE_ERRORS:  # a palette that is cut short, for example
        raise _damaged(path) from None
    # Pillow counts (width, height), and its array is (height, width[, c])
    return np.asarray(picture.resize((width, height), resample=_import_pillow().Resampling.BICUBIC)).reshape(1, -1)


def _open_upright(path: Path) -> "Image.Image":
    pillow = _import_pillow()
    from PIL import ImageOps

    status = check_regular(path)
    check_bytes(path, status.st_size)
    try:
        with warnings.catch_warnings():
            # a small file may unpack to gigabytes: Pillow warns above its limit of pixels, and here that is an error
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            with pillow.open(path, formats=IMAGE_FORMATS) as file:
                # `open` reads the header only: no pixel is decoded yet
                n_pixels = math.prod(file.size)
                if n_pixels > max(SMALL_PIXELS, RATIO * status.st_size):
                    raise _damaged(path)
                # this decodes the pixels, which is possible only while the file is open
                picture = ImageOps.exif_transpose(file)
    except InputError:
        raise
    except pillow.UnidentifiedImageError:
        expects, remedy = f"a picture in {', '.join(IMAGE_FORMATS)}", "save it in one of these"
        raise InputError(sentence(path.name, expects, "a damaged file, or another format", remedy)) from None
    except (*PICTURE_ERRORS, pillow.DecompressionBombError, pillow.DecompressionBombWarning):
        raise _damaged(path) from None
    # 16 and 32 bits a pixel: cut to bytes they would be another picture
    if picture.mode.startswith(("I", "F")):
        got, remedy = f"mode {picture.mode}", "save it with 8 bits a channel"
        raise InputError(sentence(path.name, "a picture of 8 bits a channel", got, remedy))
    return picture


def _damaged(path: Path) -> InputError:
    got, remedy = "one that cannot be read", "is it whole, and of reasonable size?"
    return InputError(sentence(path.name, "a picture", got, remedy))


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
