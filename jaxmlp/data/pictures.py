"""One picture file as one raw row: turned upright, resized, and made grey or colour as the model's images are.

Pillow is imported when a picture is read; it is optional.
"""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxmlp.data.rows import ImageShape
from jaxmlp.errors import InputError, sentence

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def read_rows(path: Path, image_shape: ImageShape | None) -> np.ndarray:
    """The picture as (1, h·w·c) bytes 0..255.

    The camera's orientation tag is obeyed; transparent parts become white unless the model reads four channels; of an
    animation the first frame counts. Resizing is bicubic and does not keep the proportions.

    Args:
        path: the picture.
        image_shape: (h, w) and (h, w, 1) are grey, (h, w, 3) is RGB, (h, w, 4) RGBA.

    Raises:
        InputError: the model reads no images, Pillow is missing, or the file is no picture of 8 bits a channel.
    """
    if image_shape is None:
        got = f"the picture {path.name}"
        remedy = "only a model trained on images, or with an image_shape, takes pictures"
        raise InputError(sentence("this model", "rows of numbers", got, remedy))
    channels = image_shape[2] if len(image_shape) == 3 else 1
    if channels not in _MODES:
        remedy = "give the rows as .npz, .h5 or .csv"
        raise InputError(sentence("a picture", "a model of 1, 3 or 4 channels", channels, remedy))
    picture = _converted(_opened(path), _MODES[channels])
    height, width = image_shape[:2]
    return np.asarray(picture.resize((width, height), resample=_pillow().Resampling.BICUBIC)).reshape(1, -1)


def _opened(path: Path) -> "Image.Image":
    image = _pillow()
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image.DecompressionBombWarning)
            with image.open(path) as file:
                picture = ImageOps.exif_transpose(file)
    except (OSError, SyntaxError, ValueError, image.DecompressionBombError, image.DecompressionBombWarning):
        got, remedy = "one that cannot be read", "is it whole, and of reasonable size?"
        raise InputError(sentence(path.name, "a picture", got, remedy)) from None
    if picture.mode.startswith(("I", "F")):
        got, remedy = f"mode {picture.mode}", "save it with 8 bits a channel"
        raise InputError(sentence(path.name, "a picture of 8 bits a channel", got, remedy))
    return picture


def _converted(picture: "Image.Image", mode: str) -> "Image.Image":
    if mode != "RGBA" and picture.has_transparency_data:
        picture = picture.convert("RGBA")
        white = _pillow().new("RGBA", picture.size, "white")
        picture = _pillow().alpha_composite(white, picture)
    return picture.convert(mode)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError:
        remedy = 'pip install "jaxmlp[all]"'
        raise InputError(sentence("reading a picture", "Pillow", "an installation without it", remedy)) from None
    return Image
